// help.js - what the page can do, and its keys.

import {openDialog} from "./dialog.js";
import {h} from "./dom.js";

const KEYS = [
  ["Everywhere", [["Ctrl+S", "Store"], ["Alt+Shift+R", "Retrieve"], ["Alt+Shift+Z", "Revert"], ["1 2 3 4", "To a column"],
    ["/", "To the search of the column"], ["?", "This help"]]],
  ["In a column", [["↑ ↓ Page Home End", "Select"], ["Shift + those", "Select several"],
    ["Ctrl + ↑ ↓, then Space", "Select one more, or one less"], ["← →", "Fold and unfold versions"], ["Enter", "Open"],
    ["L", "Link to…: what dragging does"], ["U", "Unlink from what is selected"], ["Delete", "Delete"],
    ["R", "Register a target"], ["A", "Approve a target"], ["Escape", "Select nothing"]]],
];

export function openHelp() {
  openDialog({title: "Help", size: "wide", id: "help-dialog", buttons: [{text: "Close"}], body: [
    h("p", {}, "Artifacts make up features, features distributions, and distributions go to targets: the agents. ",
      "Drag a row onto one of the column beside it to link them; several when several are selected. Dragging the row ",
      "of a bundle's name, which stands for all its versions, makes a ", h("b", {}, "dynamic link"), ": it always takes the newest. ",
      "Select a row to see what it is associated with, in all columns."),
    h("p", {}, "Your changes are yours alone until you ", h("b", {}, "Store"), " them. ", h("b", {}, "Retrieve"),
      " reads what is newest and drops your changes, ", h("b", {}, "Revert"), " drops them. Registering and approving ",
      "count at once; a distribution can also go to whatever targets match a filter: Link to…. What is stored goes to targets that approve by themselves, in groups: see Rollouts."),
    ...KEYS.map(([title, keys]) => h("section", {}, h("h3", {}, title), h("dl.keys", {}, keys.map(([key, what]) =>
      [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]))))]});
}
