// live.js - the live model of the page: one stream of server-sent events that
// resumes by itself, and charts over ten minutes.
"use strict";

const HISTORY_MS = 10 * 60 * 1000;

class Live {
  constructor(changed) {
    this.series = new Map();
    this.events = [];
    this.system = null;
    this.changed = changed;
    this.source = new EventSource("/events");
    this.source.addEventListener("snapshot", (event) => this.take(JSON.parse(event.data), true));
    this.source.addEventListener("tick", (event) => this.take(JSON.parse(event.data), false));
    this.source.onerror = () => {
      this.showStatus(false);
      // The browser gives up for good only on an answer that is no stream; then we begin again.
      if (this.source.readyState === EventSource.CLOSED) {
        setTimeout(() => window.location.reload(), 3000);
      }
    };
  }

  take(data, all) {
    if (all) {
      this.series.clear();
      this.events = [];
    }
    const present = new Set();
    for (const from of data.series) {
      present.add(from.id);
      const series = this.series.get(from.id) || {times: [], values: []};
      const last = series.times.length ? series.times[series.times.length - 1] : 0;
      Object.assign(series, {id: from.id, name: from.name, type: from.type, unit: from.unit, part: from.part,
        present: from.present, value: from.value});
      from.times.forEach((time, i) => {
        if (time > last) {
          series.times.push(time);
          series.values.push(from.values[i]);
        }
      });
      const old = series.times.findIndex((time) => time > data.time - HISTORY_MS);
      if (old > 0) {
        series.times.splice(0, old);
        series.values.splice(0, old);
      }
      this.series.set(from.id, series);
    }
    for (const id of [...this.series.keys()]) {
      if (!present.has(id)) {
        this.series.delete(id);
      }
    }
    const known = new Set(this.events.map((event) => event.time + event.text));
    for (const event of data.events) {
      if (!known.has(event.time + event.text)) {
        this.events.push(event);
      }
    }
    this.events.sort((a, b) => a.time - b.time);
    this.events = this.events.slice(-200);
    this.system = data.system;
    this.cluster = data.cluster;
    this.time = data.time;
    this.showStatus(true);
    this.changed(this);
  }

  showStatus(live) {
    const status = byId("status");
    if (status) {
      status.textContent = live ? "live" : "connection lost, trying again";
      status.classList.toggle("lost", !live);
    }
  }

  // Series of a part ("queue") and type ("utilization"), those that exist.
  find(part, type) {
    return [...this.series.values()].filter((series) => series.part === part && series.type === type);
  }

  // The sum of several series, second by second.
  sum(list) {
    const totals = new Map();
    for (const series of list) {
      series.times.forEach((time, i) => {
        const second = Math.round(time / 1000) * 1000;
        totals.set(second, (totals.get(second) || 0) + series.values[i]);
      });
    }
    return [...totals.entries()].sort((a, b) => a[0] - b[0]).map(([x, y]) => ({x, y}));
  }
}

// One line for each name: a part that was replaced goes on where the former one ended.
function linesOf(list) {
  const lines = new Map();
  for (const series of list) {
    lines.set(series.name, [...(lines.get(series.name) || []), ...pointsOf(series)]);
  }
  return [...lines].map(([label, points]) => ({label, points: points.sort((a, b) => a.x - b.x)}));
}

function pointsOf(series) {
  return series.times.map((time, i) => ({x: time, y: series.values[i]}));
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const LINES = ["--accent", "--good", "--bad", "--muted"];

// Draws a thin line where something happened.
const MARKS = {
  id: "marks",
  beforeDatasetsDraw(chart, args, options) {
    const {ctx, chartArea, scales} = chart;
    ctx.save();
    ctx.strokeStyle = style("--mark");
    ctx.setLineDash([2, 3]);
    for (const time of options.times || []) {
      const x = scales.x.getPixelForValue(time);
      if (x >= chartArea.left && x <= chartArea.right) {
        ctx.beginPath();
        ctx.moveTo(x, chartArea.top);
        ctx.lineTo(x, chartArea.bottom);
        ctx.stroke();
      }
    }
    ctx.restore();
  },
};

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND), ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR), ...[1, 2, 7, 14, 28, 84, 364].map((n) => n * DAY)];

// Round times of this place's clock, evenly spaced, not more than `most`.
function evenTimes(begin, end, most) {
  if (!(end > begin)) {
    return [];
  }
  const step = STEPS.find((one) => (end - begin) / one <= Math.max(most, 1)) || end - begin;
  const shift = new Date(begin).getTimezoneOffset() * MINUTE;
  const times = [];
  for (let time = Math.ceil((begin - shift) / step) * step + shift; time <= end; time += step) {
    times.push(time);
  }
  return times;
}

// A line chart over time: lines are [{label, points}].
class TimeChart {
  constructor(canvas, options) {
    this.options = options || {};
    this.chart = new Chart(canvas, {type: "line", data: {datasets: []}, plugins: [MARKS], options: {
      animation: false,
      maintainAspectRatio: false,
      parsing: false,
      normalized: true,
      interaction: {mode: "nearest", axis: "x", intersect: false},
      elements: {point: {radius: 0, hitRadius: 8}, line: {borderWidth: 1.5}},
      scales: {
        x: {type: "linear", ticks: {maxRotation: 0, autoSkip: false, callback: (value) => this.timeText(value)},
          afterBuildTicks: (axis) => {
            axis.ticks = evenTimes(axis.min, axis.max, axis.width / (this.options.dates ? 180 : 75)).map((value) => ({value}));
          }},
        y: {beginAtZero: true, min: this.options.percent ? 0 : undefined, max: this.options.percent ? 100 : undefined,
          ticks: {stepSize: this.options.percent ? 20 : undefined}},
      },
      plugins: {legend: {position: "bottom", labels: {boxWidth: 16}},
        marks: {times: []},
        tooltip: {callbacks: {title: (items) => this.titleOf(items)}}},
    }});
    this.recolour();
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.recolour();
      this.chart.update();
    });
  }

  timeText(ms) {
    const date = new Date(ms);
    return this.options.dates ? date.toLocaleString(undefined, {hour12: false}) : formatTime(ms);
  }

  // The time, and what happened within two seconds of it.
  titleOf(items) {
    if (!items.length) {
      return "";
    }
    const time = items[0].parsed.x;
    const near = (this.marks || []).filter((mark) => Math.abs(mark.time - time) < 2000).map((mark) => mark.text);
    return [this.timeText(time), ...near];
  }

  // Events [{time, text}] to be shown on the time axis with the next show().
  mark(events) {
    this.marks = events;
    this.chart.options.plugins.marks.times = events.map((event) => event.time);
  }

  recolour() {
    const scales = this.chart.options.scales;
    for (const axis of ["x", "y"]) {
      scales[axis].grid.color = style("--grid");
      scales[axis].ticks.color = style("--muted");
    }
    this.chart.options.plugins.legend.labels.color = style("--text");
    this.chart.data.datasets.forEach((dataset, i) => this.paint(dataset, i));
  }

  paint(dataset, i) {
    const colour = style(LINES[i % LINES.length]);
    dataset.borderColor = colour;
    dataset.backgroundColor = colour + "22";
  }

  show(lines, begin, end) {
    const datasets = this.chart.data.datasets;
    datasets.length = Math.min(datasets.length, lines.length);
    lines.forEach((line, i) => {
      const dataset = datasets[i] || {fill: lines.length === 1 ? "origin" : false, borderDash: line.dash || []};
      dataset.label = line.label;
      dataset.data = line.points;
      this.paint(dataset, i);
      datasets[i] = dataset;
    });
    this.chart.options.plugins.legend.display = lines.length > 1;
    this.chart.options.scales.x.min = begin;
    this.chart.options.scales.x.max = end;
    this.chart.update("none");
  }

  remove() {
    this.chart.destroy();
  }
}
