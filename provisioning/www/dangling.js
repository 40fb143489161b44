// dangling.js - links that match nothing on one side: shown, because what they were for is missing somewhere.

import {openDialog} from "./dialog.js";
import {attempt, byId, h, iconButton, plural, tell} from "./dom.js";
import {state} from "./state.js";

const kindOf = (definition) => definition.slice(0, definition.indexOf("-"));

function row(definition) {
  const kind = kindOf(definition);
  const button = iconButton("unlink", "Remove this link", () => attempt(async () => {
    await state.change([{op: "remove", kind, definition}]);
    tell("The link is removed. Store makes it count.");
  }), state.deniedLink(kind, "dissociate"));
  button.tabIndex = 0;
  return h("li", {}, h("code.long", {}, definition.slice(kind.length + 1)), button);
}

function openDangling() {
  const list = h("ul.links");
  const show = () => list.replaceChildren(...(state.dangling.length ? state.dangling.map(row) :
    [h("li.muted", {}, "None any more.")]));
  show();
  const again = () => (list.isConnected ? show() : state.removeEventListener("links", again));
  openDialog({title: "Links that lead nowhere", size: "wide", id: "dangling-dialog", body: [h("p.muted", {},
    "On one side of each there is nothing that matches: it was deleted, or is yet to come."), list],
  buttons: [{text: "Close"}]});
  state.addEventListener("links", again);
}

export function showDangling() {
  state.addEventListener("links", () => {
    byId("dangling").hidden = !state.dangling.length;
    byId("dangling").textContent = `${plural(state.dangling.length, "link")} ` +
      `${state.dangling.length === 1 ? "leads" : "lead"} nowhere`;
  });
  byId("dangling").addEventListener("click", openDangling);
}
