// cluster.js - the nodes and the pods on them, live, and the faults that they can be given.
"use strict";

const MB = 1e6;

const QUESTIONS = {
  kill: (name) => `End all processes of ${name} at once? They are started again.`,
  halt: (name) => `Switch ${name} off? All that runs there ends at once; its pods move to other nodes.`,
  freeze: (name) => `Stop all processes of ${name}? To the others it looks hung or cut off.`,
};

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className || "";
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

class ClusterView {
  constructor(container, act) {
    this.container = container;
    this.act = act;
    this.nodes = new Map(); // name -> elements
    this.pods = new Map();
  }

  button(text, label, action, name) {
    const button = make("button", "btn btn-outline-secondary btn-sm", text);
    button.type = "button";
    button.setAttribute("aria-label", label);
    button.dataset.action = action;
    button.addEventListener("click", () => {
      if (!QUESTIONS[action] || window.confirm(QUESTIONS[action](name))) {
        this.act(action, name);
      }
    });
    return button;
  }

  meter(label) {
    const row = make("div", "meter");
    const bar = make("i");
    const track = make("div", "track");
    const value = make("span", "muted");
    track.append(bar);
    row.append(make("span", "muted", label), track, value);
    return {row, bar, value};
  }

  makeNode(name) {
    const card = make("section", "node");
    card.dataset.node = name;
    const title = make("h3");
    const state = make("span", "badge");
    const address = make("span", "muted");
    title.append(make("span", "", name), state, address);
    const cpu = this.meter("CPU");
    const memory = this.meter("Memory");
    const pods = make("ul", "pods");
    const buttons = make("div", "buttons");
    const actions = {};
    for (const action of ["halt", "start", "freeze", "thaw"]) {
      actions[action] = this.button(action, `${action} ${name}`, action, name);
      buttons.append(actions[action]);
    }
    card.append(title, cpu.row, memory.row, pods, buttons);
    return {card, state, address, cpu, memory, pods, actions, buttons};
  }

  makePod(name) {
    const row = make("li");
    row.dataset.pod = name;
    const label = make("span", "name");
    const usage = make("span", "usage muted");
    const kill = this.button("kill", `kill ${name}`, "kill", name);
    row.append(label, usage, kill);
    return {row, label, usage, kill};
  }

  showNode(node, cluster, mayChange) {
    const view = this.nodes.get(node.name) || this.makeNode(node.name);
    this.nodes.set(node.name, view);
    const machine = node.machine || "running";
    const words = machine !== "running" ? machine : !node.ready ? "not ready" : node.schedulable ? "ready" : "cordoned";
    view.state.textContent = words;
    view.state.className = "badge " + (words === "ready" ? "good" : words === "cordoned" ? "" : "bad");
    view.address.textContent = node.address;
    const off = machine === "halted"; // what was measured last is not so any more
    const cpu = off ? 0 : node.cpu;
    const memory = off ? 0 : node.memory;
    this.showMeter(view.cpu, cpu, node.cpuCapacity, formatNumber(cpu, 2) + " cores");
    this.showMeter(view.memory, memory, node.memoryCapacity, formatNumber(memory / MB, 0) + " MB");
    view.buttons.hidden = !cluster.faults;
    const possible = {halt: machine !== "halted", start: machine === "halted", freeze: machine === "running",
      thaw: machine === "frozen"};
    for (const [action, button] of Object.entries(view.actions)) {
      button.hidden = !possible[action];
      button.disabled = !mayChange;
    }
    return view;
  }

  showMeter(meter, value, capacity, text) {
    const percent = capacity > 0 ? Math.min(100, 100 * value / capacity) : 0;
    meter.bar.style.width = percent.toFixed(1) + "%";
    meter.value.textContent = text;
  }

  showPod(pod, cluster, mayChange) {
    const view = this.pods.get(pod.name) || this.makePod(pod.name);
    this.pods.set(pod.name, view);
    const well = pod.ready && pod.status === "Running";
    view.row.className = well ? "good" : "bad";
    view.label.textContent = pod.part || pod.name;
    view.label.title = pod.name + (pod.address ? ", " + pod.address : "");
    const restarts = pod.restarts ? `, ${pod.restarts} restart${pod.restarts === 1 ? "" : "s"}` : "";
    const status = well ? "" : pod.status === "Running" ? "not ready, " : pod.status + ", ";
    view.usage.textContent = `${status}${formatNumber(pod.cpu, 2)} cores, ${formatNumber(pod.memory / MB, 0)} MB${restarts}`;
    view.kill.hidden = !cluster.faults || !pod.node;
    view.kill.disabled = !mayChange;
    return view.row;
  }

  forget(map, present, element) {
    for (const [name, view] of map) {
      if (!present.has(name)) {
        view[element].remove();
        map.delete(name);
      }
    }
  }

  // Only what changed its place is moved, so that the focus stays where it is.
  arrange(parent, children) {
    children.forEach((child, i) => {
      if (parent.children[i] !== child) {
        parent.insertBefore(child, parent.children[i] || null);
      }
    });
  }

  show(cluster, mayChange) {
    if (!cluster) {
      return;
    }
    this.container.classList.toggle("old", !cluster.connected);
    this.forget(this.nodes, new Set(cluster.nodes.map((node) => node.name)), "card");
    this.forget(this.pods, new Set(cluster.pods.map((pod) => pod.name)), "row");
    this.arrange(this.container, cluster.nodes.map((node) => this.showNode(node, cluster, mayChange).card));
    for (const node of cluster.nodes) {
      this.arrange(this.nodes.get(node.name).pods, cluster.pods.filter((pod) => pod.node === node.name)
        .map((pod) => this.showPod(pod, cluster, mayChange)));
    }
    const waiting = cluster.pods.filter((pod) => !pod.node);
    byId("waiting").textContent = waiting.length
      ? "Waiting for a node: " + waiting.map((pod) => pod.name).join(", ") : "";
  }
}
