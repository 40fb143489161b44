// rollouts.js - rollouts: the one that runs, those that were, and the policy for the next.

import * as api from "./api.js";
import {cancel, confirmed, openDialog} from "./dialog.js";
import {allow, attempt, byId, formatTime, h, icon, oncePerFrame, plural, tell} from "./dom.js";
import {askRestore} from "./history.js";
import {state} from "./state.js";

const STATES = ["healthy", "installed", "offered", "waiting", "failed", "returned"];
const PHASES = {
  running: ["busy", "running"], paused: ["pause", "paused"], "rolling-back": ["back", "rolling back"],
  done: ["good", "done"], "rolled-back": ["back", "rolled back"], aborted: ["stop", "aborted"],
};
const TARGETS_SHOWN = 100;
const EXPLAINED = {
  waiting: "waiting: not offered to it yet", offered: "offered: it has not reported yet",
  installed: "installed: watched until the gate is over", healthy: "healthy: it passed the gate",
  failed: "failed", returned: "returned: it has the old content again",
};

const denied = () => state.denied("steerRollout");

function phase(rollout) {
  const [name, word] = PHASES[rollout.phase] || ["unknown", rollout.phase];
  return h(`span.phase.${rollout.phase}`, {}, icon(name), word);
}

// A bar of a group: parts by state, widths by count.
function bar(group) {
  const parts = STATES.filter((name) => group[name] > 0);
  const text = parts.map((name) => `${group[name]} ${name}`).join(", ") || "nothing yet";
  const element = h("div.group-bar", {role: "img", "aria-label": text}, parts.map((name) => {
    const part = h(`i.${name}`, {title: EXPLAINED[name]});
    part.style.flexGrow = group[name];
    return part;
  }));
  return h("div.group-progress", {}, element, h("span.muted", {}, text));
}

function groupRows(rollout) {
  const active = ["running", "paused"].includes(rollout.phase);
  return h("ol.groups", {}, rollout.groups.map((group, i) => group.targets > 0 && h("li", {class: active && i === rollout.group ? "now" : null},
    h("span.group-name", {}, i === 0 ? "Canary" : `Group ${i + 1}`, h("span.muted", {}, ` ${plural(group.targets, "target")}`)),
    bar(group))));
}

function targetTable(rollout) {
  const order = {failed: 0, offered: 1, installed: 2, returned: 3, waiting: 4, healthy: 5};
  const targets = [...rollout.targets || []].sort((a, b) => order[a.state] - order[b.state] || a.group - b.group);
  if (!targets.length) {
    return "";
  }
  return h("details", {open: targets.some((one) => one.state === "failed")}, h("summary", {}, "Targets"),
    h("div.table-place", {}, h("table.table.table-sm", {}, h("thead", {}, h("tr", {}, ["Target", "Group", "State", "Version",
      "Since", "Reason"].map((one) => h("th", {scope: "col"}, one)))), h("tbody", {}, targets.slice(0, TARGETS_SHOWN)
      .map((one) => h("tr", {}, h("td", {}, one.id), h("td", {}, one.group === 0 ? "canary" : one.group + 1),
        h("td", {title: EXPLAINED[one.state]}, one.state), h("td", {}, one.version || ""), h("td", {}, formatTime(one.since)),
        h("td", {}, one.reason || "")))))), targets.length > TARGETS_SHOWN && h("p.muted", {},
      `and ${targets.length - TARGETS_SHOWN} more`));
}

function historyList(rollout) {
  const lines = rollout.history || [];
  if (!lines.length) {
    return "";
  }
  const items = lines.map((one) => h("li", {}, h("span.muted", {}, `${formatTime(one.time)} `), one.text));
  if (rollout.historyOmitted > 0) {
    items.splice(lines.length / 2, 0, h("li.muted", {}, `… ${plural(rollout.historyOmitted, "line")} left out`));
  }
  return h("details", {id: "rollout-lines"}, h("summary", {}, "What happened"), h("ol.list-unstyled", {}, items));
}

async function command(rollout, verb, words) {
  if (words && !await confirmed(words[0], h("p", {}, words[1]), words[2])) {
    return;
  }
  const answer = await api.post(`/v1/rollouts/${rollout.id}/${verb}`);
  state.event("rollout", answer);
  tell(`Rollout ${rollout.id}: ${(PHASES[answer.phase] || [0, answer.phase])[1]}.`);
}

function controls(rollout) {
  const reason = denied();
  const button = (id, name, text, look, action) => {
    const element = h(`button.btn.btn-sm.btn-${look}`, {type: "button", id,
      onclick: () => attempt(action, element)}, icon(name), text);
    allow(element, reason);
    return element;
  };
  const back = button("rollout-rollback", "back", "Roll back", "outline-danger", () => command(rollout, "rollback",
    ["Roll back?", `All targets that rollout ${rollout.id} reached get the content of revision ${rollout.from} again, as ` +
      "a new version. The others never see the new one.", "Roll back"]));
  const active = rollout.phase === "running" || rollout.phase === "paused";
  return h("div.controls", {}, rollout.phase === "running" &&
    button("rollout-pause", "pause", "Pause", "outline-secondary", () => command(rollout, "pause")),
  rollout.phase === "paused" && button("rollout-resume", "play", "Resume", "primary", () => command(rollout, "resume")),
  active && button("rollout-abort", "stop", "Abort", "outline-secondary", () => command(rollout, "abort",
    ["Abort?", "Targets that have the new content keep it, the rest keeps the old one.", "Abort"])), active && back);
}

function summary(rollout) {
  return h("p", {}, `Revision ${rollout.from} → ${rollout.to}, started ${formatTime(rollout.started)} by ${rollout.author}`,
    rollout.ended ? `, ended ${formatTime(rollout.ended)}` : "", rollout.message ? `: ${rollout.message}` : ".");
}

function details(rollout) {
  return [h("div.rollout-head", {}, phase(rollout), summary(rollout)), rollout.reason &&
    h("div.notice.error", {}, h("b", {}, "Why: "), rollout.reason), groupRows(rollout)];
}

async function openRollout(id) {
  const rollout = await api.get(`/v1/rollouts/${id}`);
  openDialog({title: `Rollout ${id}`, size: "wide", id: "rollout-dialog", body: [...details(rollout).filter(Boolean),
    targetTable(rollout), historyList(rollout)].filter(Boolean), buttons: [rollout.phase === "done" && rollout.from > 0 && {text: "Go back to revision " +
    rollout.from, reason: state.deniedRestore(), id: "rollout-back", action: () => {
    setTimeout(() => askRestore(rollout.from));
  }}, {text: "Close"}].filter(Boolean)});
}

// --- the view ------------------------------------------------------------------

let shownTargets = null; // of the active rollout: lists leave them out
let asking = false;

async function readTargets(rollout) {
  if (!asking && document.body.dataset.view === "rollouts") {
    asking = true;
    await state.quietly(async () => {
      shownTargets = await api.get(`/v1/rollouts/${rollout.id}`);
    });
    setTimeout(() => {
      asking = false;
    }, 500);
    const place = byId("rollout-targets");
    if (place && shownTargets) {
      const open = place.querySelector("details")?.open;
      place.replaceChildren(targetTable(shownTargets));
      if (open !== undefined && place.firstChild?.open !== undefined) {
        place.firstChild.open = open || place.firstChild.open;
      }
    }
  }
}

function showActive(rollout) {
  const place = byId("rollout-active");
  const hidden = state.denied("viewTarget");
  if (hidden) {
    place.replaceChildren(h("p.muted", {}, `Not shown: ${hidden}.`));
    return;
  }
  if (!rollout) {
    shownTargets = null;
    place.replaceChildren(h("p.muted", {}, "None is under way. Storing a change of software starts one."));
    return;
  }
  const targets = h("div", {id: "rollout-targets"});
  if (shownTargets?.id === rollout.id) {
    targets.append(byId("rollout-targets")?.firstChild || targetTable(shownTargets));
  }
  place.replaceChildren(...details(rollout).filter(Boolean), controls(rollout), targets);
  readTargets(rollout);
}

function showHistory() {
  const list = [...state.rollouts.values()].sort((a, b) => b.id - a.id);
  byId("rollout-history").replaceChildren(...list.map((one) => h("tr", {}, h("td", {}, h("button.btn.btn-link.p-0",
    {type: "button", onclick: () => attempt(() => openRollout(one.id))}, `Rollout ${one.id}`)), h("td", {}, phase(one)),
  h("td", {}, `${one.from} → ${one.to}`), h("td", {}, formatTime(one.started)), h("td", {}, one.author),
  h("td", {}, one.reason || one.message || ""))));
  byId("rollout-none").hidden = list.length > 0;
}

// Who looks at the columns is told how it ended; what ended before the page was opened is history.
const told = new Set();

function tellEnds() {
  for (const rollout of state.rollouts.values()) {
    if (rollout.ended && !told.has(rollout.id)) {
      told.add(rollout.id);
      if (state.loaded) {
        const word = PHASES[rollout.phase]?.[1] || rollout.phase;
        tell(`Rollout ${rollout.id}: ${word}.${rollout.reason ? ` ${rollout.reason}` : ""}`, rollout.phase !== "done",
          byId("notes")); // not to a dialog that happens to be open
      }
    }
  }
}

function showBanner(rollout) {
  const place = byId("rollout-banner");
  place.hidden = !rollout;
  if (rollout) {
    const sum = (name) => rollout.groups.reduce((n, group) => n + (group[name] || 0), 0);
    const all = Object.fromEntries(STATES.map((name) => [name, sum(name)]));
    place.replaceChildren(phase(rollout), h("span", {}, `Rollout ${rollout.id} to revision ${rollout.to}: ` +
      `${rollout.group === 0 ? "canary" : `group ${rollout.group + 1} of ${rollout.groups.length}`}`), bar(all),
    h("a", {href: "#rollouts"}, "Show"));
  }
}

// --- the policy ------------------------------------------------------------------

const DEFAULT_POLICY = {groups: [10, 50, 100], success: 100, error: 0, gateSeconds: 5, installSeconds: 60,
  silenceSeconds: 15, progress: 10, automaticRollback: true};

const FIELDS = [
  ["groups", "Groups", "Percent of the targets, cumulative and rising to 100; the first, the canary, has at least one."],
  ["success", "Healthy, %", "So many of a group must be healthy before the next begins."],
  ["error", "May fail, %", "When more of a group fail, the rollout comes back."],
  ["gateSeconds", "Gate, s", "So long a target must run without an error to be healthy; 0: installed is enough."],
  ["installSeconds", "Install, s", "Longer than this since it was offered: failed."],
  ["silenceSeconds", "Silence, s", "Not heard, not ready, or doing too little for so long: failed."],
  ["progress", "Progress, %", "So much of the work that it did before a target must do to be healthy; 0: not judged."],
];

const PERCENTS = ["success", "error", "progress"];

function openPolicy() {
  const policy = state.policy || DEFAULT_POLICY;
  const inputs = {};
  const on = h("input.form-check-input", {type: "checkbox", id: "policy-on", checked: Boolean(state.policy)});
  const back = h("input.form-check-input", {type: "checkbox", id: "policy-back", checked: policy.automaticRollback});
  const fields = h("fieldset", {}, FIELDS.map(([key, label, help]) => {
    inputs[key] = h("input.form-control", {id: `policy-${key}`, value: key === "groups" ? policy.groups.join(", ") :
      policy[key], type: key === "groups" ? "text" : "number", min: 0, max: PERCENTS.includes(key) ? 100 : null,
    "aria-describedby": `policy-${key}-help`, required: true});
    return h("div.field", {}, h("label.form-label", {for: `policy-${key}`}, label), inputs[key],
      h("div.form-text", {id: `policy-${key}-help`}, help));
  }), h("div.form-check", {}, back, h("label.form-check-label", {for: "policy-back"},
    "Roll back by itself (otherwise it pauses)")));
  const show = () => {
    fields.disabled = !on.checked;
  };
  on.addEventListener("change", show);
  show();
  openDialog({title: "Rollout policy", id: "policy-dialog", size: "wide", body: [h("div.form-check", {}, on,
    h("label.form-check-label", {for: "policy-on"}, "Roll out in groups (otherwise what is stored goes out at once)")), fields],
  buttons: [cancel, {text: "Set policy", look: "primary", submit: true, reason: denied(), action: async () => {
    const value = {automaticRollback: back.checked};
    for (const [key] of FIELDS) {
      value[key] = key === "groups" ? inputs.groups.value.split(/[\s,]+/).filter(Boolean).map(Number) :
        Number(inputs[key].value);
    }
    state.policy = await api.put("/v1/policy", on.checked ? value : {});
    state.tell("rollouts");
    tell(on.checked ? "The policy counts from the next rollout on." : "From now on what is stored goes out at once.");
  }}]});
}

function showPolicy() {
  const p = state.policy;
  allow(byId("edit-policy"), state.denied("viewTarget") || denied());
  byId("policy").textContent = p ? `Groups of ${p.groups.join(", ")} %; ${p.success} % of a group must be healthy for ` +
    `${p.gateSeconds} s${p.progress ? ` and do ${p.progress} % of what they did` : ""}, ${p.error} % may fail; ` +
    `${p.automaticRollback ? "comes back by itself" : "pauses"} otherwise.` :
    "None: what is stored goes out to all targets at once.";
}

export function showRollouts() {
  state.addEventListener("rollouts", tellEnds);
  const show = oncePerFrame(() => {
    const active = state.activeRollout();
    showBanner(active);
    showActive(active);
    showHistory();
    showPolicy();
  });
  state.addEventListener("rollouts", show);
  state.addEventListener("session", show);
  state.addEventListener("view", show);
  byId("edit-policy").addEventListener("click", openPolicy);
}
