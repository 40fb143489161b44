// link.js - "Link to…": what dragging does, by keyboard; and distributions linked with whatever targets match a filter.

import {linkByFilter, linkTogether} from "./changes.js";
import {cancel, openDialog} from "./dialog.js";
import {h, plural} from "./dom.js";
import {VirtualList} from "./list.js";
import {describe} from "./rights.js";
import {rowsOf} from "./rows.js";
import {selection} from "./select.js";
import {ASSOCIATIONS, COLUMNS, WORDS, state} from "./state.js";

const associationOf = (a, b) => ASSOCIATIONS[Math.min(COLUMNS.indexOf(a), COLUMNS.indexOf(b))];

class LinkDialog {
  constructor(kind, rows) {
    this.kind = kind;
    this.rows = rows;
    this.chosen = new Map(); // rows by key: they stay chosen when the search hides them
    this.folds = new Map();
    this.shown = [];
    this.search = h("input.form-control", {type: "search", placeholder: "Search", autofocus: true, id: "link-search",
      "aria-label": "Search what to link to", oninput: () => this.show(), onkeydown: (event) => this.searchKey(event)});
    this.place = h("div", {id: "link-list"});
    this.status = h("p.muted", {role: "status", id: "link-status"});
    this.range = h("input.form-control", {id: "link-range", value: "0.0.0", "aria-describedby": "link-range-help"});
    this.filter = h("input.form-control", {id: "link-filter", placeholder: "(target.component=…)", spellcheck: "false",
      "aria-describedby": "link-filter-help"});
    this.byFilter = h("div.mb-2", {}, h("label.form-label", {for: "link-filter"}, "Or by filter"), this.filter,
      h("div.form-text", {id: "link-filter-help"}, "An LDAP filter over attributes and tags: all targets that match, also " +
        "those that come later."));
    this.list = new VirtualList(this.place, {label: "Link to", rowHeight: 34, tree: true,
      signature: (row) => `${row.key}|${row.expanded}|${this.linked(row)}`,
      selected: (row) => this.chosen.has(row.key), select: (picked, how) => this.choose(picked, how),
      key: (event, row) => this.key(event, row), fill: (row, element) => this.fill(row, element)});
  }

  open() {
    const neighbours = selection.neighbours();
    // Rightwards first: that is the way software takes.
    this.other = neighbours[neighbours.length - 1];
    const sides = neighbours.length > 1 ? h("div.sides", {role: "radiogroup", "aria-label": "Which column"},
      neighbours.map((one) => h("label", {}, h("input", {type: "radio", name: "side", value: one,
        checked: one === this.other, onchange: () => this.turn(one)}), ` ${WORDS[one]}s`))) : null;
    const dynamic = this.rows.some((row) => row.group !== undefined) ? h("div.mb-2", {},
      h("label.form-label", {for: "link-range"}, "Versions"), this.range, h("div.form-text", {id: "link-range-help"},
        "A dynamic link takes the newest version of this range: 0.0.0 is any, [1.0,2.0) stays below 2.0.")) : null;
    const title = this.rows.length === 1 ? describe(this.rows[0]) : plural(this.rows.length, WORDS[this.kind]);
    const denied = neighbours.map((one) => state.deniedLink(associationOf(this.kind, one)));
    this.dialog = openDialog({title: `Link ${title} to…`, id: "link-dialog", body: [sides, this.search, dynamic,
      h("div.link-place", {}, this.place), this.byFilter, this.status], buttons: [cancel, {text: "Link", look: "primary",
      id: "link-now", submit: true, reason: denied.every(Boolean) ? denied[0] : "", action: () => this.link()}]});
    this.show();
  }

  turn(other) {
    this.other = other;
    this.chosen.clear();
    this.show();
  }

  show() {
    this.shown = rowsOf(this.other, this.search.value, this.folds).rows;
    this.byFilter.hidden = this.other !== "target";
    this.list.setRows(this.shown);
    this.say();
  }

  say() {
    this.status.textContent = this.chosen.size ? `${plural(this.chosen.size, WORDS[this.other])} chosen. Enter links.` :
      `Choose one or more ${WORDS[this.other]}s: arrow keys, Shift and Ctrl for several.`;
  }

  linked(row) {
    const mine = this.rows.flatMap((one) => (one.group !== undefined ? one.versions.map((object) => object.definition) :
      [one.key]));
    return mine.some((definition) => [...state.fromLeft.get(definition) || [], ...state.fromRight.get(definition) || []]
      .some((link) => link.left === row.key || link.right === row.key));
  }

  choose(picked, how) {
    if (how === "set") {
      this.chosen.clear();
    }
    for (const row of picked) {
      if (how === "toggle" && this.chosen.has(row.key)) {
        this.chosen.delete(row.key);
      } else {
        this.chosen.set(row.key, row);
      }
    }
    this.say();
  }

  key(event, row) {
    const fold = {ArrowRight: true, ArrowLeft: false}[event.key];
    if (event.key === "Enter") {
      event.preventDefault();
      this.press();
      return true;
    }
    if (fold !== undefined && row?.expandable) {
      event.preventDefault();
      this.folds.set(row.group, fold);
      this.show();
      return true;
    }
    return false;
  }

  searchKey(event) {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      this.place.focus();
      this.list.activate(this.shown[0] || {}, null);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.shown.length === 1) {
        this.chosen.set(this.shown[0].key, this.shown[0]);
      }
      this.press();
    }
  }

  press() {
    this.dialog.element.querySelector("#link-now").click();
  }

  async link() {
    if (this.other === "target" && this.filter.value.trim()) {
      await linkByFilter(this.rows, this.filter.value.trim());
    } else if (this.chosen.size) {
      await linkTogether(this.kind, this.rows, this.other, [...this.chosen.values()], this.range.value);
    } else {
      this.say();
      return false;
    }
    return true;
  }

  fill(row, element) {
    element.classList.toggle("child", row.level === 2);
    element.replaceChildren(h("div.cell", {role: "gridcell"}, h("span.row-head", {}, h("span.name", {}, row.name),
      this.linked(row) && h("span.badge.quiet", {}, "linked"), row.group !== undefined && h("span.count", {}, "newest"))));
  }
}

export function openLinkTo(kind, rows) {
  if (rows.length && selection.neighbours().length) {
    new LinkDialog(kind, rows).open();
  }
}
