// target-state.js - a target's states as icon, words and explanation.

import {formatAge, h, icon} from "./dom.js";

const REGISTRATION = {
  Registered: ["good", "registered", "Registered: it is in the repository and can be linked."],
  Unregistered: ["unknown", "unregistered", "Unregistered: it reported itself, but nobody registered it (R)."],
};

const STORE = {
  New: ["fresh", "nothing yet", "New: no deployment version was made for it yet."],
  Unapproved: ["waiting", "unapproved", "Unapproved: what it is to have differs from its newest version (A approves)."],
  Approved: ["good", "approved", "Approved: its newest version is what it is to have."],
};

const PROVISIONING = {
  Idle: ["idle", "idle", "Idle: it has not been offered anything since it was acknowledged."],
  InProgress: ["busy", "installing", "In progress: it fetched its newest version and has not reported yet."],
  OK: ["good", "installed", "OK: it reported that the version is installed."],
  Failed: ["bad", "failed", "Failed: it could not install the version; the one before goes on running."],
};

// of its icon
const TONE = {good: "good", bad: "bad", warning: "bad", waiting: "busy", busy: "busy", fresh: "busy"};

// [icon, word, explanation] of each state.
export function statesOf(target, registered) {
  if (!target) {
    return [["fresh", "not stored", "Made here, and not stored yet."]];
  }
  const states = [REGISTRATION[registered ? "Registered" : "Unregistered"]];
  if (registered) {
    states.push(STORE[target.store] || ["unknown", target.store, ""]);
  }
  states.push(PROVISIONING[target.provisioning] || ["unknown", target.provisioning, ""]);
  states.push(healthOf(target));
  return states;
}

function healthOf(target) {
  const health = target.health;
  if (target.present === false) {
    return ["unknown", "silent", `Last heard ${formatAge(target.seen)}: whether it runs is not known.`];
  }
  if (!health?.time) {
    const who = target.legacy ? "An ACE or Celix agent: it reports no health." : "It has not reported its health yet.";
    return ["unknown", "health unknown", `${who} Last heard ${formatAge(target.seen)}.`];
  }
  if (!health.ready) {
    return ["bad", "not ready", `Not ready: ${health.reason || "it gives no reason"}`];
  }
  if (health.errors > 0) {
    return ["warning", `${health.errors} errors`, `Ready, but it logged ${health.errors} errors with this version${health.reason ? `; the last: ${health.reason}` : ""}.`];
  }
  return ["good", "healthy", "Healthy: all components are active and no error was logged."];
}

function chip([name, word, explanation]) {
  return h(`span.chip.${TONE[name] || "neutral"}`, {title: explanation}, icon(name), word);
}

// The second line of a target's row.
export function chips(target, registered) {
  const version = target?.current ? h("span.chip.neutral", {title: versionWords(target)}, target.current) : null;
  const states = statesOf(target, registered).filter((one) => one[1] !== "registered");
  if (target?.problem) {
    states.push(["warning", "problem", target.problem]);
  }
  // What needs a person comes first: a narrow column cuts the end.
  const rank = ([name]) => ["bad", "busy", undefined, "good"].indexOf(TONE[name]);
  return h("span.row-chips", {}, version, states.sort((a, b) => rank(a) - rank(b)).map(chip));
}

export function versionWords(target) {
  if (!target.current) {
    return "No version was made for it yet.";
  }
  if (target.installed === target.current && !target.installedOk) {
    return `Version ${target.current} is the newest; it could not be installed.`;
  }
  if (target.installed === target.current) {
    return `Version ${target.current} is the newest, and installed.`;
  }
  return `Version ${target.current} is the newest; ${target.installed ? `${target.installed} is installed` :
    "none is installed yet"}.`;
}

export const needsApproval = (target) => target.registration === "Registered" && target.store !== "Approved";
