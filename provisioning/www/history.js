// history.js - revisions with what goes with them, and the desired state with its drift.

import * as api from "./api.js";
import {differenceList} from "./changes.js";
import {cancel, openDialog} from "./dialog.js";
import {attempt, byId, formatTime, h, plural, settle, tell} from "./dom.js";
import {state} from "./state.js";

const PAGE = 50;
let oldest = 0;

export function askRestore(number) {
  const message = h("input.form-control", {id: "restore-message", maxlength: 1000, autofocus: true,
    value: `Restore revision ${number}`});
  openDialog({title: `Restore revision ${number}?`, id: "restore-dialog", body: [h("p", {},
    `Features, distributions and links become as they were at revision ${number}, as a new revision, which goes out as any ` +
    "other. Nothing is lost: the revisions in between stay in the history."),
  h("label.form-label", {for: "restore-message"}, "Message"), message],
  buttons: [cancel, {text: "Restore", look: "primary", submit: true, id: "restore-now", action: async () => {
    const answer = await api.post(`/v1/revisions/${number}/restore`, {message: message.value});
    tell(`Revision ${number} is restored as revision ${answer.revision}.` +
      (answer.rollout ? ` Rollout ${answer.rollout} takes it to the targets.` : ""));
  }}]});
}

function askRollout(revision) {
  const force = h("input.form-check-input", {type: "checkbox", id: "rollout-force"});
  openDialog({title: `Roll out revision ${revision.number}?`, id: "roll-out-dialog", body: [h("p", {},
    "Targets that approve by themselves get it, group by group."), h("div.form-check", {}, force,
  h("label.form-check-label", {for: "rollout-force"}, "Also content that failed in a rollout before"))],
  buttons: [cancel, {text: "Roll out", look: "primary", submit: true, action: async () => {
    const rollout = await api.post("/v1/rollouts", {revision: revision.number, policy: state.policy, force: force.checked});
    state.event("rollout", rollout);
    tell(`Rollout ${rollout.id} begins.`);
    location.hash = "rollouts";
  }}]});
}

function revisionRow(revision) {
  const newest = revision.number === state.server.revision;
  const released = revision.number === state.server.released;
  const restore = state.deniedRestore();
  const steer = state.denied("steerRollout");
  const button = (text, reason, action) => h("button.btn.btn-sm.btn-outline-secondary", {type: "button",
    disabled: Boolean(reason), title: reason || null, onclick: action}, text);
  return h("tr", {data: {revision: revision.number}}, h("td.number", {}, revision.number), h("td", {}, formatTime(revision.time)),
    h("td", {}, revision.author), h("td", {}, revision.message || "", newest && h("span.badge.quiet", {}, "newest"),
      released && h("span.badge.quiet.good", {title: "What targets get that no rollout holds elsewhere"}, "released")),
    h("td", {}, `${plural(revision.changes, "change")}${revision.software ? "" : ", targets only"}`),
    h("td.actions", {}, !newest && button("Restore", restore, () => askRestore(revision.number)),
      newest && !released && revision.software && button("Roll out", steer, () => askRollout(revision))));
}

async function load(more) {
  const {items} = await api.get(api.query("/v1/revisions", {before: more ? oldest : "", maximum: PAGE}));
  const rows = items.map(revisionRow);
  if (more) {
    byId("revisions").append(...rows);
  } else {
    byId("revisions").replaceChildren(...rows);
  }
  oldest = items.length ? items[items.length - 1].number : 0;
  byId("revisions-more").hidden = items.length < PAGE;
  byId("revisions-none").hidden = byId("revisions").childElementCount > 0;
}

// --- desired state -----------------------------------------------------------------

const healing = () => h("p.muted", {}, h("code", {}, "inaetics provisioning apply DIRECTORY"), " heals it, ",
  h("code", {}, "inaetics provisioning export DIRECTORY"), " takes it over into the folder.");

async function loadDesired() {
  const place = byId("desired");
  const hidden = state.denied("viewTarget");
  if (hidden) {
    place.replaceChildren(h("p.muted", {}, `Not shown: ${hidden}.`));
    return;
  }
  if (!state.server.desired) {
    place.replaceChildren(h("p.muted", {}, "No desired state was applied. A folder under version control can say what is " +
      "to be here: ", h("code", {}, "inaetics provisioning export DIRECTORY"), " writes one."));
    return;
  }
  const {digest, applied, drift} = await api.get("/v1/desired");
  place.replaceChildren(h("p", {}, `Applied ${formatTime(applied)}, `, h("code", {title: digest}, digest.slice(0, 12)),
    drift.length ? `; ${plural(drift.length, "difference")} since:` : "; what is stored is as it says."));
  if (drift.length) {
    place.append(differenceList(drift), healing());
  }
}

async function openDrift() {
  const {drift} = await api.get("/v1/desired");
  openDialog({title: "Differs from the desired state", size: "wide", id: "drift-dialog", body: [
    h("p", {}, "Somebody changed this after the state was applied. Applying it again undoes it:"), differenceList(drift),
    healing()], buttons: [{text: "Close"}]});
}

function showDrift() {
  const n = state.server.drift || 0;
  byId("drift").hidden = !n;
  byId("drift-text").textContent = `What is stored differs from the desired state that was applied, in ${plural(n, "place")}.`;
}

export function showHistory() {
  const refresh = settle(200, () => {
    if (document.body.dataset.view === "history") {
      state.quietly(() => load(false));
      state.quietly(loadDesired);
    }
  });
  for (const type of ["view", "revision", "server"]) {
    state.addEventListener(type, refresh);
  }
  state.addEventListener("server", showDrift);
  byId("revisions-more").addEventListener("click", (event) => attempt(() => load(true), event.currentTarget));
  byId("drift-show").addEventListener("click", () => attempt(openDrift));
}
