// report.js - the stored results of a range: aggregates as a chart, rows, exports.
"use strict";

const reportChart = new TimeChart(byId("report-chart"), {dates: true});
let nextPage = "";

// A datetime-local field holds local time without a zone.
function localText(ms) {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
  return date.toISOString().slice(0, 19);
}

function setRange(minutes) {
  const now = Date.now();
  byId("end").value = localText(now + 1000);
  byId("begin").value = localText(now - minutes * 60000);
}

function parameters(more) {
  const query = new URLSearchParams({
    begin_us: Date.parse(byId("begin").value) * 1000,
    end_us: Date.parse(byId("end").value) * 1000,
  });
  if (byId("producer").value.trim()) {
    query.set("producer", byId("producer").value.trim());
  }
  for (const [name, value] of Object.entries(more || {})) {
    query.set(name, value);
  }
  return query;
}

async function ask(path, query) {
  const reply = await fetch(path + "?" + query);
  const text = await reply.text();
  if (!reply.ok) {
    let message = text;
    try {
      message = JSON.parse(text).message;
    } catch (error) {
      // plain text already
    }
    throw new Error(message);
  }
  return JSON.parse(text);
}

function showChart(intervals, column) {
  const used = intervals.filter((interval) => interval.count > 0);
  const line = (label, value) => ({label, points: used.map((interval) => ({x: interval.begin_us / 1000, y: value(interval)}))});
  byId("chart-title").textContent = "Per interval: " + column;
  reportChart.show([line("mean", (i) => i.mean), line("minimum", (i) => i.minimum), line("maximum", (i) => i.maximum)],
    Date.parse(byId("begin").value), Date.parse(byId("end").value));
}

function showTotals(total) {
  byId("count").textContent = formatNumber(total.count, 0);
  byId("mean").textContent = formatNumber(total.mean, 3);
  byId("minimum").textContent = formatNumber(total.minimum, 3);
  byId("maximum").textContent = formatNumber(total.maximum, 3);
  byId("p50").textContent = formatNumber(total.percentiles[0], 3);
  byId("p99").textContent = formatNumber(total.percentiles[1], 3);
}

function cell(row, text, number) {
  const element = row.insertCell();
  element.textContent = text;
  if (number) {
    element.className = "number";
  }
}

async function showResults(clear) {
  const reply = await ask("/report/results", parameters({maximum: 50, page: clear ? "" : nextPage}));
  if (clear) {
    byId("results").replaceChildren();
  }
  for (const result of reply.results) {
    const row = byId("results").insertRow();
    cell(row, result.producer);
    row.cells[0].className = "name";
    row.cells[0].title = result.producer;
    cell(row, result.sequence, true);
    cell(row, new Date(result.time_us / 1000).toLocaleString(undefined, {hour12: false}));
    cell(row, formatNumber(result.value1, 3), true);
    cell(row, formatNumber(result.value2, 3), true);
    cell(row, formatNumber(result.result, 3), true);
    cell(row, formatNumber((result.processing_time_us - result.time_us) / 1000, 2), true);
  }
  nextPage = reply.next_page;
  byId("more").hidden = !nextPage;
}

async function show() {
  showError("");
  byId("csv").href = "/report/results.csv?" + parameters();
  byId("ndjson").href = "/report/results.ndjson?" + parameters();
  const column = byId("column").value;
  try {
    const perInterval = await ask("/report/aggregate", parameters({column, intervals: 60}));
    showChart(perInterval.intervals, column);
    showTotals((await ask("/report/aggregate", parameters({column, intervals: 1}))).intervals[0]);
    await showResults(true);
  } catch (error) {
    showError(error.message);
  }
}

byId("range").addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
byId("more").addEventListener("click", () => showResults(false).catch((error) => showError(error.message)));
for (const link of document.querySelectorAll("[data-minutes]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    setRange(Number(link.dataset.minutes));
    show();
  });
}
setRange(10);
show();
