// list.js - a list or tree of any length: only rows that are seen exist.
//
// Rows are {key, ...}; all are equally high. A row's element stays the same
// while the row is seen, also when its content changes: a click or a drag that
// began on it is not torn off. For screen readers it is a grid whose
// aria-activedescendant is the active row; its size is told by aria-rowcount.

import {h} from "./dom.js";

const SPARE = 6; // rows beyond the edges

export class VirtualList {
  // options: label, tree, rowHeight, fill(row, element), signature(row): changes when the row must be filled again,
  // select(row, event), key(event, row): true when it was handled, selected(row)
  constructor(element, options) {
    this.element = element;
    this.options = options;
    this.rows = [];
    this.index = new Map();
    this.shown = new Map();
    this.active = null;
    this.anchor = null;
    this.space = h("div.list-space");
    element.classList.add("list");
    element.setAttribute("role", options.tree ? "treegrid" : "grid");
    element.setAttribute("aria-label", options.label);
    element.setAttribute("aria-multiselectable", "true");
    element.setAttribute("aria-colcount", "1");
    element.tabIndex = 0;
    element.append(this.space);
    element.addEventListener("scroll", () => this.draw(), {passive: true});
    element.addEventListener("keydown", (event) => this.keydown(event));
    // Before the focus comes, which would otherwise make another row the active one.
    element.addEventListener("mousedown", (event) => {
      this.active = this.rowAt(event.target)?.key ?? this.active;
    });
    element.addEventListener("click", (event) => this.click(event));
    element.addEventListener("focus", () => this.focused());
    element.addEventListener("blur", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(element);
  }

  setRows(rows) {
    this.rows = rows;
    this.index = new Map(rows.map((row, i) => [row.key, i]));
    if (this.active !== null && !this.index.has(this.active)) {
      this.active = null;
    }
    this.space.style.height = `${rows.length * this.options.rowHeight}px`;
    this.element.setAttribute("aria-rowcount", rows.length);
    this.draw();
  }

  rowAt(element) {
    const shown = element.closest?.("[data-row]");
    return shown && this.element.contains(shown) ? this.rows[this.index.get(shown.dataset.row)] : undefined;
  }

  // --- drawing ------------------------------------------------------------

  draw() {
    const {rowHeight} = this.options;
    const top = this.element.scrollTop;
    const first = Math.max(0, Math.floor(top / rowHeight) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((top + this.element.clientHeight) / rowHeight) + SPARE);
    const wanted = new Set(this.rows.slice(first, last).map((row) => row.key));
    if (this.active !== null) {
      wanted.add(this.active); // aria-activedescendant must exist
    }
    for (const [key, element] of this.shown) {
      if (!wanted.has(key)) {
        element.remove();
        this.shown.delete(key);
      }
    }
    for (const key of wanted) {
      this.drawRow(this.index.get(key));
    }
    const active = this.active === null ? null : this.shown.get(this.active);
    if (active) {
      this.element.setAttribute("aria-activedescendant", active.id);
    } else {
      this.element.removeAttribute("aria-activedescendant");
    }
  }

  drawRow(i) {
    const row = this.rows[i];
    let element = this.shown.get(row.key);
    if (!element) {
      element = h("div.list-row", {role: "row", id: `${this.element.id}-${encodeURIComponent(row.key)}`,
        data: {row: row.key}});
      this.shown.set(row.key, element);
      this.space.append(element);
    }
    element.style.transform = `translateY(${i * this.options.rowHeight}px)`;
    element.setAttribute("aria-rowindex", i + 1);
    const selected = this.options.selected(row);
    element.setAttribute("aria-selected", selected);
    element.classList.toggle("selected", selected);
    element.classList.toggle("active", row.key === this.active && document.activeElement === this.element);
    if (this.options.tree) {
      element.setAttribute("aria-level", row.level || 1);
      if (row.expandable) {
        element.setAttribute("aria-expanded", Boolean(row.expanded));
      } else {
        element.removeAttribute("aria-expanded");
      }
    }
    const signature = this.options.signature(row);
    if (element.signature !== signature) {
      element.signature = signature;
      this.options.fill(row, element);
    }
  }

  show(key) {
    const i = this.index.get(key);
    if (i === undefined) {
      return false;
    }
    const {rowHeight} = this.options;
    const top = this.element.scrollTop;
    if (i * rowHeight < top) {
      this.element.scrollTop = i * rowHeight;
    } else if ((i + 1) * rowHeight > top + this.element.clientHeight) {
      this.element.scrollTop = (i + 1) * rowHeight - this.element.clientHeight;
    }
    return true;
  }

  // --- selecting ----------------------------------------------------------

  focused() {
    if (this.active === null && this.rows.length) {
      const selected = this.rows.find((row) => this.options.selected(row));
      this.active = (selected || this.rows[Math.min(this.rows.length - 1,
        Math.ceil(this.element.scrollTop / this.options.rowHeight))]).key;
    }
    this.draw();
  }

  click(event) {
    const row = this.rowAt(event.target);
    if (row) {
      this.activate(row, event);
    }
  }

  // Makes it the active row and selects: it alone, with Shift a range, with Ctrl one more or less.
  activate(row, event) {
    if (!this.index.has(row.key)) {
      return;
    }
    this.active = row.key;
    if (event?.shiftKey && this.anchor !== null && this.index.has(this.anchor)) {
      const [a, b] = [this.index.get(this.anchor), this.index.get(row.key)].sort((x, y) => x - y);
      this.options.select(this.rows.slice(a, b + 1), "set");
    } else {
      this.anchor = row.key;
      this.options.select([row], event?.ctrlKey || event?.metaKey ? "toggle" : "set");
    }
    this.show(row.key);
    this.draw();
  }

  keydown(event) {
    const at = this.active === null ? -1 : this.index.get(this.active);
    const row = this.rows[at];
    if (event.target !== this.element || event.altKey || this.options.key(event, row)) {
      return;
    }
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.options.rowHeight) - 1);
    const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
    if (event.key in steps && this.rows.length) {
      event.preventDefault();
      const to = this.rows[Math.max(0, Math.min(this.rows.length - 1, at + steps[event.key]))];
      if (event.ctrlKey && !event.shiftKey) {
        this.active = to.key; // moves without selecting; Space selects
        this.show(to.key);
        this.draw();
      } else {
        this.activate(to, event.shiftKey ? {shiftKey: true} : null);
      }
    } else if (event.key === " " && row) {
      event.preventDefault();
      this.activate(row, {ctrlKey: event.ctrlKey, shiftKey: event.shiftKey});
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.options.select(this.rows, "set");
    }
  }
}
