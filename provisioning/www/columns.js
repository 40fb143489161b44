// columns.js - the four columns: rows, search, selection, keys, drag and drop.

import * as api from "./api.js";
import {askRemove, askUnlink, linkTogether} from "./changes.js";
import {atMostEach, attempt, byId, h, icon, oncePerFrame, plural, tell} from "./dom.js";
import {openCreate, openRow} from "./edit.js";
import {openLinkTo} from "./link.js";
import {VirtualList} from "./list.js";
import {openProcessors} from "./processors.js";
import {allow, describe} from "./rights.js";
import {fillRow, linksWithSelection, rowsOf, signatureOf} from "./rows.js";
import {selection, versionsOf} from "./select.js";
import {COLUMNS, WORDS, state} from "./state.js";
import {chooseFiles, uploadFiles} from "./upload.js";

const TITLES = {artifact: "Artifacts", feature: "Features", distribution: "Distributions", target: "Targets"};
const EMPTY = {artifact: "No artifacts yet. Drop files here, or press ↑.", feature: "No features yet. Press +.",
  distribution: "No distributions yet. Press +.",
  target: "No targets yet. Agents appear here when they report, or press +."};
const HEIGHT = {artifact: 34, feature: 34, distribution: 34, target: 54};
const TARGETS_MS = 200; // a thousand agents may each report every second
const columns = new Map();
let dragged = null; // {kind, rows} of this page; what other pages drag is none of ours

class Column {
  constructor(kind) {
    this.kind = kind;
    this.folds = new Map();
    this.search = h("input.form-control.form-control-sm", {type: "search", "aria-label": `Search ${TITLES[kind]}`,
      placeholder: "Search", id: `search-${kind}`});
    this.count = h("span.count", {id: `count-${kind}`, role: "status"});
    this.list = h("div", {id: `list-${kind}`});
    this.empty = h("p.empty.muted", {id: `empty-${kind}`});
    this.tools = h("span.tools");
    this.element = h("section.column", {id: `column-${kind}`, "aria-label": TITLES[kind], data: {kind}},
      h("div.column-head", {}, h("h2", {}, TITLES[kind]), this.count, this.tools), this.search,
      h("div.list-place", {}, this.list, this.empty));
    this.rows = new VirtualList(this.list, {
      label: TITLES[kind], tree: kind === "artifact", rowHeight: HEIGHT[kind],
      fill: (row, element) => fillRow(kind, row, element, actions(kind)),
      signature: (row) => signatureOf(kind, row),
      selected: (row) => selection.has(kind, row.key),
      select: (rows, how) => this.select(rows, how),
      key: (event, row) => this.key(event, row),
    });
    this.refresh = kind === "target" ? atMostEach(TARGETS_MS, () => this.show()) : oncePerFrame(() => this.show());
    this.search.addEventListener("input", () => this.show());
    this.search.addEventListener("keydown", (event) => this.searchKey(event));
    this.list.addEventListener("click", (event) => this.fold(event));
    this.list.addEventListener("dblclick", (event) => this.open(event));
    this.takeDrops();
    this.showTools();
  }

  show() {
    const {rows, total, found} = rowsOf(this.kind, this.search.value, this.folds);
    this.rows.setRows(rows);
    this.count.textContent = this.search.value ? `${found.toLocaleString()} of ${total.toLocaleString()}` :
      total.toLocaleString();
    const denied = allow("view" + this.kind);
    this.empty.hidden = rows.length > 0;
    this.empty.textContent = denied ? `Not shown: ${denied}.` : !state.loaded ? "Loading…" :
      this.search.value ? "Nothing matches." : EMPTY[this.kind];
  }

  showTools() {
    const button = (name, label, action, reason, id) => h("button.icon-button", {type: "button", id,
      title: reason ? `${label}: ${reason}` : label, "aria-label": label, disabled: Boolean(reason), onclick: action},
    name.length < 3 ? name : icon(name));
    const create = allow("create" + this.kind);
    const word = WORDS[this.kind];
    this.tools.replaceChildren(...[
      this.kind === "artifact" && button("RP", "Resource processors", openProcessors, allow("viewArtifact"), "processors"),
      this.kind === "artifact" ? button("upload", "Upload artifacts", chooseFiles, create, "upload") :
        button("plus", `New ${word}`, () => openCreate(this.kind), create, `create-${this.kind}`),
    ].filter(Boolean));
  }

  select(rows, how) {
    const keys = new Set(how === "toggle" && selection.kind === this.kind ? selection.keys : []);
    for (const {key} of rows) {
      if (how === "toggle" && keys.has(key)) {
        keys.delete(key);
      } else {
        keys.add(key);
      }
    }
    selection.set(this.kind, keys);
  }

  setFold(row, expanded) {
    this.folds.set(row.group, expanded);
    this.show();
  }

  fold(event) {
    const row = this.rows.rowAt(event.target);
    if (row?.expandable && event.target.closest("[data-act=fold]")) {
      this.setFold(row, !row.expanded);
    }
  }

  open(event) {
    const row = this.rows.rowAt(event.target);
    if (row && !event.target.closest("button, [data-act=fold]")) {
      openRow(this.kind, row);
    }
  }

  // --- keys -----------------------------------------------------------------

  searchKey(event) {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      this.list.focus();
    } else if (event.key === "Escape" && this.search.value) {
      event.preventDefault();
      this.search.value = "";
      this.show();
    }
  }

  key(event, row) {
    if (event.ctrlKey || event.metaKey || !row) {
      return event.key === "Escape" && this.escape();
    }
    const act = actions(this.kind);
    const keys = {
      Enter: () => act.open(row), Delete: () => act.remove(row), l: () => this.linkTo(row),
      u: () => act.unlink(linksWithSelection(row), row), Escape: () => this.escape(),
    };
    if (this.kind === "target") {
      Object.assign(keys, {r: () => act.register(row), a: () => act.approve(row)});
    } else if (row.expandable) {
      Object.assign(keys, {ArrowRight: () => this.setFold(row, true), ArrowLeft: () => this.setFold(row, false)});
    } else if (row.level === 2) {
      keys.ArrowLeft = () => this.rows.activate(this.rows.rows.find((one) =>
        one.group === row.object.attributes["Bundle-SymbolicName"]));
    }
    if (!keys[event.key]) {
      return false;
    }
    event.preventDefault();
    keys[event.key]();
    return true;
  }

  escape() {
    selection.clear();
    return true;
  }

  linkTo(row) {
    if (!selection.has(this.kind, row.key)) {
      selection.set(this.kind, new Set([row.key]));
    }
    openLinkTo(this.kind, selectedRows());
  }

  // --- drag and drop ----------------------------------------------------------

  takeDrops() {
    const list = this.list;
    list.addEventListener("dragstart", (event) => {
      const row = this.rows.rowAt(event.target);
      if (row) {
        if (!selection.has(this.kind, row.key)) {
          selection.set(this.kind, new Set([row.key]));
        }
        dragged = {kind: this.kind, rows: selectedRows()};
        event.dataTransfer.effectAllowed = "link";
        showDragged(event, dragged.rows);
        event.dataTransfer.setData("text/plain", dragged.rows.map((one) => one.key).join("\n"));
        document.body.dataset.dragging = this.kind;
      }
    });
    list.addEventListener("dragend", () => {
      dragged = null;
      delete document.body.dataset.dragging;
      this.dropOn(null);
    });
    list.addEventListener("dragover", (event) => {
      const row = this.rows.rowAt(event.target);
      const may = dragged && row && Math.abs(COLUMNS.indexOf(dragged.kind) - COLUMNS.indexOf(this.kind)) === 1;
      this.dropOn(may ? row : null);
      if (may) {
        event.preventDefault();
        event.dataTransfer.dropEffect = "link";
      }
    });
    list.addEventListener("dragleave", (event) => {
      if (!list.contains(event.relatedTarget)) {
        this.dropOn(null);
      }
    });
    list.addEventListener("drop", (event) => {
      const row = this.rows.rowAt(event.target);
      this.dropOn(null);
      if (dragged && row) {
        event.preventDefault();
        const from = dragged;
        attempt(() => linkTogether(from.kind, from.rows, this.kind, [row]));
      }
    });
  }

  dropOn(row) {
    this.list.querySelector(".drop")?.classList.remove("drop");
    if (row) {
      this.rows.shown.get(row.key)?.classList.add("drop");
    }
  }
}

// What the pointer carries: its name, or how many.
function showDragged(event, rows) {
  const image = h("div.drag-image", {}, rows.length === 1 ? describe(rows[0]) : `${rows.length} rows`);
  document.body.append(image);
  event.dataTransfer.setDragImage(image, -12, -8);
  setTimeout(() => image.remove());
}

function selectedRows() {
  const column = columns.get(selection.kind);
  if (!column) {
    return [];
  }
  return [...selection.keys].map((key) => (key.startsWith("group:") ?
    {key, name: key.slice(6), group: key.slice(6), versions: versionsOf(key.slice(6))} : {key, object: state.get(key)}))
    .filter((row) => row.group !== undefined || row.object);
}

const idOf = (row) => encodeURIComponent(row.object.attributes.id);

function actions(kind) {
  const rowsFor = (row) => (selection.has(kind, row.key) ? selectedRows() : [row]);
  const each = (row, what, f) => attempt(async () => {
    const rows = rowsFor(row);
    for (const one of rows) {
      await f(one);
    }
    tell(rows.length === 1 ? `${rows[0].object.attributes.id} is ${what}.` : `${plural(rows.length, "target")} ${what}.`);
  });
  return {
    open: (row) => openRow(kind, row),
    remove: (row) => askRemove(kind, rowsFor(row)),
    unlink: (links, row) => (links.length ? askUnlink(links) :
      tell(`${row ? "This row" : "It"} is not linked with what is selected.`)),
    register: (row) => allow("registerTarget") ? tell(allow("registerTarget"), true) :
      each(row, "registered", (one) => state.isRegistered(one.key) ||
        api.post(`/v1/targets/${idOf(one)}/register`, {autoApprove: false})),
    approve: (row) => allow("approveTarget") ? tell(allow("approveTarget"), true) :
      each(row, "approved", (one) => api.post(`/v1/targets/${idOf(one)}/approve`)),
  };
}

function showSelection() {
  const rows = selection.kind ? selectedRows() : [];
  const bar = byId("selection");
  const parts = COLUMNS.filter((kind) => kind !== selection.kind).map((kind) => [kind,
    [...selection.all].filter((definition) => state.kindOf(definition) === kind).length])
    .filter(([, n]) => n);
  byId("selection-text").textContent = rows.length ?
    `${plural(rows.length, WORDS[selection.kind])} selected` +
    (parts.length ? `, associated with ${parts.map(([kind, n]) => plural(n, WORDS[kind])).join(", ")}` : ", associated with nothing") : "Nothing is selected.";
  bar.querySelector("#link-to").disabled = !rows.length;
  for (const column of columns.values()) {
    column.rows.draw();
  }
  // What a narrow window does not show beside it.
  for (const tab of document.querySelectorAll("#column-tabs button")) {
    const n = (parts.find(([kind]) => kind === tab.dataset.kind) || [0, 0])[1];
    tab.replaceChildren(TITLES[tab.dataset.kind], n ? h("span.badge.quiet", {}, n) : "");
  }
}

export function focusColumn(kind) {
  showOnly(kind);
  columns.get(kind).list.focus();
}

export function focusSearch(kind) {
  columns.get(kind || selection.kind || "artifact").search.focus();
}

// On narrow windows one column at a time.
function showOnly(kind) {
  byId("columns").dataset.shown = kind;
  for (const tab of document.querySelectorAll("#column-tabs button")) {
    tab.setAttribute("aria-selected", tab.dataset.kind === kind);
  }
}

export function showColumns() {
  for (const kind of COLUMNS) {
    const column = new Column(kind);
    columns.set(kind, column);
    byId("columns").append(column.element);
    byId("column-tabs").append(h("button", {type: "button", role: "tab", "aria-controls": `column-${kind}`,
      data: {kind}, onclick: () => showOnly(kind)}, TITLES[kind]));
    column.element.addEventListener("dragover", (event) => {
      if (kind === "artifact" && event.dataTransfer.types.includes("Files")) {
        event.preventDefault();
        column.element.classList.add("takes-files");
      }
    });
    column.element.addEventListener("dragleave", () => column.element.classList.remove("takes-files"));
    column.element.addEventListener("drop", (event) => {
      column.element.classList.remove("takes-files");
      if (kind === "artifact" && event.dataTransfer.files.length) {
        event.preventDefault();
        uploadFiles([...event.dataTransfer.files]);
      }
    });
  }
  showOnly("artifact");
  const some = (...kinds) => () => kinds.forEach((kind) => columns.get(kind).refresh());
  state.addEventListener("objects", some("artifact", "feature", "distribution"));
  state.addEventListener("targets", some("target"));
  state.addEventListener("workspace", some(...COLUMNS));
  state.addEventListener("session", () => {
    columns.forEach((column) => column.showTools());
    some(...COLUMNS)();
  });
  selection.addEventListener("change", oncePerFrame(showSelection));
  byId("link-to").addEventListener("click", () => openLinkTo(selection.kind, selectedRows()));
}
