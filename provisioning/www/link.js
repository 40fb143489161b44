// link.js - "Link to…": what dragging does, by keyboard.

import {linkTogether} from "./changes.js";
import {cancel, openDialog} from "./dialog.js";
import {h, plural} from "./dom.js";
import {describe} from "./rights.js";
import {rowsOf} from "./rows.js";
import {VirtualList} from "./list.js";
import {selection} from "./select.js";
import {ASSOCIATIONS, COLUMNS, WORDS, state} from "./state.js";

export function openLinkTo(kind, rows) {
  const neighbours = selection.neighbours();
  if (!rows.length || !neighbours.length) {
    return;
  }
  const at = COLUMNS.indexOf(kind);
  const chosen = new Set();
  // Rightwards first: that is the way software takes.
  let other = COLUMNS[at + 1] || COLUMNS[at - 1];
  const search = h("input.form-control", {type: "search", placeholder: "Search", autofocus: true, id: "link-search",
    "aria-label": "Search what to link to"});
  const list = h("div", {id: "link-list"});
  const status = h("p.muted", {role: "status", id: "link-status"});
  const virtual = new VirtualList(list, {
    label: "Link to", rowHeight: 34, tree: true,
    signature: (row) => `${row.key}|${row.expanded}|${linked(row)}`,
    selected: (row) => chosen.has(row.key),
    select: (picked, how) => {
      if (how === "set") {
        chosen.clear();
      }
      picked.forEach(({key}) => (how === "toggle" && chosen.has(key) ? chosen.delete(key) : chosen.add(key)));
      say();
    },
    key: (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        dialog.element.querySelector("#link-now").click();
        return true;
      }
      return false;
    },
    fill: (row, element) => {
      element.classList.toggle("child", row.level === 2);
      element.replaceChildren(h("div.cell", {role: "gridcell"}, h("span.row-head", {}, h("span.name", {}, row.name),
        linked(row) && h("span.badge.quiet", {}, "linked"), row.group !== undefined && h("span.count", {}, "newest"))));
    },
  });
  let shown = [];

  function linked(row) {
    return rows.some((one) => {
      const mine = one.group !== undefined ? one.versions.map((object) => object.definition) : [one.key];
      return mine.some((definition) => [...state.fromLeft.get(definition) || [], ...state.fromRight.get(definition) || []]
        .some((link) => link.left === row.key || link.right === row.key));
    });
  }

  function say() {
    status.textContent = chosen.size ? `${plural(chosen.size, WORDS[other])} chosen. Enter links.` :
      `Choose one or more ${WORDS[other]}s: arrow keys, Shift and Ctrl for several.`;
  }

  function show() {
    shown = rowsOf(other, search.value, new Map()).rows;
    virtual.setRows(shown);
    say();
  }

  const sides = neighbours.length > 1 ? h("div.sides", {role: "radiogroup", "aria-label": "Which column"},
    neighbours.map((one) => h("label", {}, h("input", {type: "radio", name: "side", value: one, checked: one === other,
      onchange: () => {
        other = one;
        chosen.clear();
        show();
      }}), ` ${WORDS[one]}s`))) : null;
  const association = (a, b) => ASSOCIATIONS[Math.min(COLUMNS.indexOf(a), COLUMNS.indexOf(b))];
  const range = h("input.form-control", {id: "link-range", value: "0.0.0", "aria-describedby": "link-range-help"});
  const dynamic = rows.some((row) => row.group !== undefined) ? h("div.mb-2", {},
    h("label.form-label", {for: "link-range"}, "Versions"), range, h("div.form-text", {id: "link-range-help"},
      "A dynamic link takes the newest version of this range: 0.0.0 is any, [1.0,2.0) stays below 2.0.")) : null;
  search.addEventListener("input", show);
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      list.focus();
    } else if (event.key === "Enter" && shown.length === 1) {
      event.preventDefault();
      chosen.add(shown[0].key);
      dialog.element.querySelector("#link-now").click();
    }
  });
  const title = rows.length === 1 ? describe(rows[0]) : plural(rows.length, WORDS[kind]);
  const dialog = openDialog({title: `Link ${title} to…`, id: "link-dialog", body: [sides, search, dynamic,
    h("div.link-place", {}, list), status], buttons: [cancel, {text: "Link", look: "primary", id: "link-now", submit: true,
    reason: neighbours.every((one) => state.deniedLink(association(kind, one))) ?
      state.deniedLink(association(kind, other)) : "", action: async () => {
      if (!chosen.size) {
        say();
        return false;
      }
      const all = new Map(shown.map((row) => [row.key, row]));
      await linkTogether(kind, rows, other, [...chosen].map((key) => all.get(key)).filter(Boolean), range.value);
      return true;
    }}]});
  show();
}
