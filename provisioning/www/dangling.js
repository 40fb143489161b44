// dangling.js - links that match nothing on one side: shown, because what they were for is missing somewhere. An assignment
// whose filter finds no target at the moment is none of them: its targets come and go.

import {openDialog} from "./dialog.js";
import {attempt, byId, h, iconButton, plural, tell} from "./dom.js";
import {state} from "./state.js";

// Of a link its kind, and how people write its ends: "feature1", or the filter.
function partsOf(definition) {
  const [, kind, ...ends] = /^(\w+)-leftEndpoint-(.*)-rightEndpoint-(.*)$/s.exec(definition) ||
    [null, definition.slice(0, definition.indexOf("-")), definition.slice(definition.indexOf("-") + 1), ""];
  const [left, right] = ends.map((end) => /^\((?:name|id|filename|Bundle-SymbolicName)=([^()*\\]+)\)$/.exec(end)?.[1] || end);
  return {kind, left, right};
}

function waitsForTargets(definition) {
  const {kind, left} = partsOf(definition);
  return kind === "distribution2target" && state.objects.distribution.has(`distribution-name-${left.replaceAll("/", "&#47")}`);
}

function sortOut() {
  const waiting = state.dangling.filter(waitsForTargets);
  return {waiting, lost: state.dangling.filter((one) => !waiting.includes(one))};
}

function row(definition) {
  const {kind, left, right} = partsOf(definition);
  const button = iconButton("unlink", "Remove this link", () => attempt(async () => {
    await state.change([{op: "remove", kind, definition}]);
    tell("The link is removed. Store makes it count.");
  }), state.deniedLink(kind, "dissociate"));
  button.tabIndex = 0;
  return h("li", {}, h("code.long", {title: definition}, right ? `${left} → ${right}` : left), button);
}

const section = (title, text, links) => (links.length ? [h("h3.h6", {}, title), h("p.muted", {}, text),
  h("ul.links", {}, links.map(row))] : []);

function openDangling() {
  const place = h("div");
  const show = () => {
    const {waiting, lost} = sortOut();
    place.replaceChildren(...section("Lead nowhere", "On one side of each there is nothing that matches: it was deleted, " +
      "or is yet to come. Upload or create it, or remove the link.", lost),
    ...section("Wait for targets", "No target matches these filters at the moment. That is no fault: a target that comes " +
      "and matches gets the distribution.", waiting));
    if (!waiting.length && !lost.length) {
      place.replaceChildren(h("p.muted", {}, "None any more."));
    }
  };
  show();
  const again = () => (place.isConnected ? show() : state.removeEventListener("links", again));
  openDialog({title: "Links without a match", size: "wide", id: "dangling-dialog", body: [place], buttons: [{text: "Close"}]});
  state.addEventListener("links", again);
}

export function showDangling() {
  state.addEventListener("links", () => {
    const {waiting, lost} = sortOut();
    byId("dangling").hidden = !state.dangling.length;
    byId("dangling").textContent = [lost.length && `${plural(lost.length, "link")} ${lost.length === 1 ? "leads" : "lead"} nowhere`,
      waiting.length && `${plural(waiting.length, "distribution")} ${waiting.length === 1 ? "waits" : "wait"} for targets`]
      .filter(Boolean).join(", ");
  });
  byId("dangling").addEventListener("click", openDangling);
}
