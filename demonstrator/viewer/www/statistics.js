// statistics.js - a chart for every figure that any part reports; they come and go with the parts.
"use strict";

const shown = new Map();

function add(series) {
  const column = document.createElement("section");
  column.className = "col-xl-4 col-md-6";
  const panel = document.createElement("div");
  panel.className = "panel";
  const title = document.createElement("h2");
  const value = document.createElement("span");
  value.className = "float-end fw-normal muted";
  const chart = document.createElement("div");
  chart.className = "chart";
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", series.name + " in the last ten minutes");
  title.append(value, series.name);
  chart.append(canvas);
  panel.append(title, chart);
  column.append(panel);
  column.dataset.id = series.id;
  const next = [...byId("charts").children].find((other) => other.dataset.id > series.id);
  byId("charts").insertBefore(column, next || null);
  return {column, value, chart: new TimeChart(canvas, {percent: series.type === "utilization"})};
}

function changed(live) {
  for (const series of live.series.values()) {
    if (!shown.has(series.id)) {
      shown.set(series.id, add(series));
    }
    const one = shown.get(series.id);
    one.value.textContent = series.present ? formatNumber(series.value, 1) + " " + series.unit : "gone";
    one.chart.show([{label: series.name, points: pointsOf(series)}], live.time - HISTORY_MS, live.time);
  }
  for (const [id, one] of shown) {
    if (!live.series.has(id)) {
      one.chart.remove();
      one.column.remove();
      shown.delete(id);
    }
  }
  byId("none").hidden = shown.size > 0;
}

new Live(changed);
