// target.js - the tabs of a target's dialog: its state and management, its log, its versions. Live.

import * as api from "./api.js";
import {confirmed} from "./dialog.js";
import {attempt, formatAge, formatSize, formatTime, h, icon, plural, settle, tell} from "./dom.js";
import {state} from "./state.js";
import {statesOf, versionWords} from "./target-state.js";

const LOG_PAGE = 100;
const LOG_MAX = 2000; // lines on the page

const path = (id, rest = "") => `/v1/targets/${encodeURIComponent(id)}${rest}`;

// Calls f(event) on the state's events of one target, until the panel is gone.
function follow(panel, types, f) {
  for (const type of types) {
    const listener = (event) => {
      if (panel.isConnected) {
        f(event);
      } else {
        state.removeEventListener(type, listener);
      }
    };
    state.addEventListener(type, listener);
  }
}

function actionButton(text, explanation, reason, action, look = "outline-secondary") {
  const button = h(`button.btn.btn-sm.btn-${look}`, {type: "button", disabled: Boolean(reason),
    onclick: () => attempt(action, button)}, text);
  return h("div.action", {}, button, h("span.muted", {}, reason ? `${explanation} Not possible: ${reason}.` : explanation));
}

async function setAutoApprove(definition, on) {
  const object = state.get(definition);
  await state.change([{op: "replace", kind: "target", definition,
    object: {attributes: {...object.attributes, autoapprove: String(on)}, tags: object.tags}}]);
  tell(`${object.attributes.id} approves ${on ? "" : "not "}by itself. Store makes it count.`);
}

async function forget(id) {
  const sure = await confirmed("Forget this target?", h("p", {}, `${id} is removed with its versions and its agent's ` +
    "token. An agent of this name that reports again is new: it appears as unregistered, and enrols again."), "Forget");
  if (sure) {
    await api.post(path(id, "/forget"));
    tell(`${id} is forgotten.`);
  }
}

function management(definition, id) {
  const target = state.targetOf(definition);
  const registered = state.isRegistered(definition);
  const auto = state.get(definition)?.attributes.autoapprove === "true";
  const act = (verb, said, body) => async () => {
    await api.post(path(id, verb), body);
    tell(`${id} is ${said}.`);
  };
  const list = [];
  if (!registered) {
    list.push(actionButton("Register", "Puts it into the repository, at once; it approves by itself.",
      state.denied("registerTarget"), act("/register", "registered", {autoApprove: true}), "primary"));
  } else {
    const differs = target && target.store !== "Approved";
    list.push(actionButton("Approve", "Makes a deployment version of what it is to have.",
      state.denied("approveTarget") || (differs ? "" : "nothing differs from its newest version"),
      act("/approve", "approved")));
    list.push(actionButton(auto ? "Approve by hand" : "Approve by itself", auto ?
      "It approves by itself what is stored for it." : "Each change waits for somebody who approves it.",
    state.denied("editTarget"), () => setAutoApprove(definition, !auto)));
  }
  if (target) {
    const verdict = ["OK", "Failed"].includes(target.provisioning);
    list.push(actionButton("Acknowledge", "Clears the result of the last installation.",
      state.denied("approveTarget") || (verdict ? "" : "it has no result"), act("/acknowledge", "acknowledged")));
    list.push(actionButton("Forget", "Removes it and its versions.", state.denied("removeTarget"), () => forget(id),
      "outline-danger"));
  }
  return list;
}

function facts(target) {
  const properties = Object.entries(target.properties || {}).sort();
  const health = target.health?.time ? `${target.health.version || "?"} for ${target.health.runningSeconds} s, ` +
    `${target.health.errors} errors, told ${formatAge(target.health.time)}` : "";
  const rows = [["Version", versionWords(target)], ["Last heard", formatAge(target.seen)], ["Runs", health],
    ["Agent", target.legacy ? "ACE or Celix" : "Inaetics"], ...properties];
  return h("dl.facts", {}, rows.filter(([, value]) => value).map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

function stateTab(definition, id) {
  return {title: "State", build(panel) {
    const show = () => {
      const target = state.targetOf(definition);
      const states = statesOf(target, state.isRegistered(definition));
      panel.replaceChildren(h("ul.states", {}, states.map(([name, word, text]) => h("li", {}, icon(name),
        h("b", {}, word), h("span", {}, text)))), target?.problem ? h("div.notice.error", {id: "target-problem"},
        h("b", {}, "It cannot get what is linked to it, or did not take it:"),
        h("ul", {}, target.problem.split("\n").filter(Boolean).map((line) => h("li", {}, line)))) : "",
      h("div", {id: "management"}, management(definition, id)), target ? facts(target) : "",
      artifactsOf(target));
    };
    show();
    const soon = settle(100, () => panel.isConnected && show());
    follow(panel, ["target", "workspace"], (event) => (event.type !== "target" || event.detail === id) && soon());
  }};
}

function artifactsOf(target) {
  if (!target?.artifacts?.length) {
    return "";
  }
  return h("details", {}, h("summary", {}, `In its newest version: ${plural(target.artifacts.length, "artifact")}`), h("ul.links", {},
    target.artifacts.map((one) => h("li", {}, one.replace(/^artifact-/, "").replace("Bundle-SymbolicName-", "")
      .replace("-Bundle-Version-", "@").replace("filename-", "")))));
}

function logLine(event) {
  return h("tr", {}, h("td", {}, formatTime(event.time)), h("td", {title: `type ${event.type}`}, event.name),
    h("td.properties", {}, Object.entries(event.properties || {}).map(([key, value]) => `${key}=${value}`).join(", ")));
}

function logTab(id) {
  return {title: "Log", build(panel) {
    const denied = state.denied("viewLog");
    if (denied) {
      panel.append(h("p.muted", {}, `Not shown: ${denied}.`));
      return;
    }
    const body = h("tbody", {id: "target-log"});
    const more = h("button.btn.btn-sm.btn-outline-secondary", {type: "button", hidden: true}, "Older");
    const empty = h("p.muted", {hidden: true}, "It has reported nothing yet.");
    const seen = new Set();
    const fresh = (event) => {
      const key = `${event.log}-${event.sequence}`;
      const unknown = !seen.has(key);
      seen.add(key);
      return unknown && body.childElementCount < LOG_MAX;
    };
    const load = async (skip) => {
      const {items} = await api.get(api.query(path(id, "/log"), {skip, maximum: LOG_PAGE}));
      body.append(...items.filter(fresh).map(logLine));
      more.hidden = items.length < LOG_PAGE || body.childElementCount >= LOG_MAX;
      empty.hidden = body.childElementCount > 0;
    };
    more.addEventListener("click", () => attempt(() => load(body.childElementCount), more));
    panel.append(h("div.table-place", {}, h("table.table.table-sm", {}, h("thead", {}, h("tr", {},
      ["Time", "Type", "Properties"].map((one) => h("th", {scope: "col"}, one)))), body)), empty, more);
    attempt(() => load(0));
    follow(panel, ["audit"], ({detail}) => {
      if (detail?.target === id && fresh(detail)) {
        body.prepend(logLine(detail));
        empty.hidden = true;
      }
    });
    follow(panel, ["again"], () => {
      seen.clear();
      body.replaceChildren();
      attempt(() => load(0));
    });
  }};
}

function versionsTab(id) {
  return {title: "Versions", build(panel) {
    const list = h("div", {id: "target-versions"});
    panel.append(list);
    const show = async () => {
      const {items} = await api.get(path(id, "/versions"));
      const current = state.targets.get(id);
      list.replaceChildren(...items.map((one, i) => h("details.version", {open: i === 0}, h("summary", {},
        h("b", {}, one.version), one.version === current?.installed && h("span.badge.quiet", {}, "installed"),
        h("span.muted", {}, ` ${formatTime(one.created)}, by ${one.author}, revision ${one.revision}` +
          (one.rollout ? `, rollout ${one.rollout}` : ""))), h("ul.links", {}, one.artifacts.map((artifact) => h("li", {},
        h("span.name", {}, artifact.symbolicName ? `${artifact.symbolicName}@${artifact.version}` : artifact.name),
        h("span.muted", {}, formatSize(artifact.size)), h("code.digest", {title: artifact.sha256},
          artifact.sha256.slice(0, 12))))))));
      if (!items.length) {
        list.replaceChildren(h("p.muted", {}, "No version was made for it yet."));
      }
    };
    attempt(show);
    const soon = settle(200, () => panel.isConnected && attempt(show));
    follow(panel, ["version", "target"], ({type, detail}) => (type === "target" ? detail : detail?.target) === id && soon());
  }};
}

export function targetTabs(definition) {
  const target = state.targetOf(definition);
  const id = state.get(definition).attributes.id;
  return [stateTab(definition, id), ...(target ? [logTab(id), versionsTab(id)] : [])];
}
