// dashboard.js - the system at a glance, and its controls.
"use strict";

const charts = {
  queue: new TimeChart(byId("queue-chart"), {percent: true}),
  store: new TimeChart(byId("store-chart"), {percent: true}),
  throughput: new TimeChart(byId("throughput-chart")),
  latency: new TimeChart(byId("latency-chart")),
};
const slider = byId("utilization");
const cluster = new ClusterView(byId("cluster"), (action, name) => post("/cluster", {action, name}));
let mayChange = false;
let steering = 0; // until when the slider is the user's, not the stream's

async function post(path, fields) {
  try {
    const reply = await fetch(path, {method: "POST", body: new URLSearchParams(fields)});
    if (reply.status === 401) {
      await showSession();
    }
    showError(reply.ok ? "" : await reply.text());
  } catch (error) {
    showError("The viewer does not answer; nothing was changed.");
  }
}

async function showSession() {
  const session = await (await fetch("/session")).json();
  mayChange = session.mayChange;
  byId("read-only").hidden = mayChange;
  byId("or-login").hidden = !session.password;
  slider.disabled = !mayChange;
}

slider.addEventListener("input", () => {
  steering = Date.now() + 3000;
  byId("preferred").textContent = slider.value + " %";
  post("/coordinator/utilisation", {value: slider.value});
});

for (const kind of ["producer", "processor"]) {
  const path = kind === "producer" ? "/coordinator/scaleProducer" : "/coordinator/scaleProcessor";
  byId(kind + "-less").addEventListener("click", () => post(path, {value: -1}));
  byId(kind + "-more").addEventListener("click", () => post(path, {value: 1}));
}

function showReplicas(kind, replicas) {
  byId(kind + "s").textContent = replicas.running + " / " + replicas.requested;
  byId(kind + "-count").textContent = replicas.requested;
  const note = replicas.refused ? "What is declared is refused: " + replicas.refused
    : replicas.scalable && replicas.requested >= replicas.maximum ? replicas.maximum + " is the maximum of the Application" : "";
  byId(kind + "-note").textContent = note;
  byId(kind + "-note").hidden = !note;
  byId(kind + "-less").disabled = !mayChange || !replicas.scalable || replicas.requested === 0;
  byId(kind + "-more").disabled = !mayChange || !replicas.scalable || replicas.requested >= replicas.maximum;
}

function showSystem(live) {
  const system = live.system;
  showReplicas("producer", system.producers);
  showReplicas("processor", system.processors);
  byId("actual").textContent = "Utilization = " + formatNumber(system.utilization, 1) + " %";
  if (Date.now() > steering) {
    slider.value = system.productionRate;
    byId("preferred").textContent = formatNumber(system.productionRate, 0) + " %";
  }
  const level = (part) => {
    const series = live.find(part, "utilization").find((one) => one.present);
    return series ? formatNumber(series.value, 1) + " %" : "–";
  };
  byId("queue-level").textContent = level("queue");
  byId("store-level").textContent = level("store");
}

function showEvents(live) {
  byId("events").replaceChildren(...live.events.slice().reverse().map((event) => {
    const item = document.createElement("li");
    const time = document.createElement("time");
    time.dateTime = new Date(event.time).toISOString();
    time.textContent = formatTime(event.time);
    item.append(time, event.text);
    return item;
  }));
}

function last(points) {
  return points.length ? points[points.length - 1].y : null;
}

function changed(live) {
  showSystem(live);
  showEvents(live);
  if (live.cluster && byId("cluster").querySelector("p")) {
    byId("cluster").replaceChildren();
  }
  cluster.show(live.cluster, mayChange);
  const marks = live.events.filter((event) => event.mark);
  for (const chart of Object.values(charts)) {
    chart.mark(marks);
  }
  const begin = live.time - HISTORY_MS;
  for (const part of ["queue", "store"]) {
    charts[part].show(linesOf(live.find(part, "utilization")).slice(0, 1), begin, live.time);
  }
  const stored = live.sum(live.find("store", "throughput"));
  byId("stored-rate").textContent = formatNumber(last(stored), 0) + " samples/s";
  charts.throughput.show([
    {label: "produced", points: live.sum(live.find("producer", "throughput"))},
    {label: "processed", points: live.sum(live.find("processor", "throughput"))},
    {label: "stored", points: stored, dash: [4, 4]},
  ], begin, live.time);
  const latency = live.find("store", "latency");
  charts.latency.show(linesOf(latency), begin, live.time);
  byId("latency").textContent = latency.filter((series) => series.present)
    .map((series) => formatNumber(series.value, 1)).join(" / ") + " ms";
}

showSession();
new Live(changed);
