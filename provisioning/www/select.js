// select.js - which rows are selected, and what is associated with them.

import {COLUMNS, state} from "./state.js";

// Everything linked with `definitions` of column `kind`: leftwards from them to the left, rightwards to the right.
// Returns the direct neighbours (definition -> links) and all (a set).
function associated(kind, definitions) {
  const all = new Set();
  const direct = new Map();
  const walk = (from, map, end) => {
    let front = from;
    for (let step = 0; front.size; step++) {
      const next = new Set();
      for (const definition of front) {
        for (const link of map.get(definition) || []) {
          const other = link[end];
          if (step === 0) {
            direct.set(other, [...(direct.get(other) || []), link]);
          }
          if (!all.has(other)) {
            all.add(other);
            next.add(other);
          }
        }
      }
      front = next;
    }
  };
  walk(new Set(definitions), state.fromLeft, "right");
  walk(new Set(definitions), state.fromRight, "left");
  return {all, direct};
}

class Selection extends EventTarget {
  constructor() {
    super();
    this.kind = null;
    this.keys = new Set(); // rows: definitions, or "group:NAME" for all versions of a bundle
    this.update();
  }

  set(kind, keys) {
    this.kind = keys.size ? kind : null;
    this.keys = keys;
    this.update();
  }

  clear() {
    this.set(null, new Set());
  }

  has(kind, key) {
    return this.kind === kind && this.keys.has(key);
  }

  // The objects behind the selected rows; a group stands for its versions.
  definitions() {
    const found = new Set();
    for (const key of this.keys) {
      if (key.startsWith("group:")) {
        versionsOf(key.slice(6)).forEach((object) => found.add(object.definition));
      } else {
        found.add(key);
      }
    }
    return found;
  }

  update() {
    const {all, direct} = this.kind ? associated(this.kind, this.definitions()) : {all: new Set(), direct: new Map()};
    this.all = all;
    this.direct = direct;
    this.dispatchEvent(new Event("change"));
  }

  neighbours() {
    const i = COLUMNS.indexOf(this.kind);
    return i < 0 ? [] : [COLUMNS[i - 1], COLUMNS[i + 1]].filter(Boolean);
  }
}

// Newest first, as versions compare in OSGi.
function compareVersions(a, b) {
  const left = a.split(".");
  const right = b.split(".");
  for (let i = 0; i < 3; i++) {
    const difference = Number(right[i] || 0) - Number(left[i] || 0);
    if (difference) {
      return difference;
    }
  }
  return (right[3] || "").localeCompare(left[3] || "");
}

let groups = new Map();

// Bundles by symbolic name, versions newest first; resource processors are no part of it.
export function groupArtifacts() {
  groups = new Map();
  for (const object of state.objects.artifact.values()) {
    const name = object.attributes["Bundle-SymbolicName"];
    if (name && !object.attributes["Deployment-ProvidesResourceProcessor"]) {
      const list = groups.get(name);
      if (list) {
        list.push(object);
      } else {
        groups.set(name, [object]);
      }
    }
  }
  for (const list of groups.values()) {
    list.sort((a, b) => compareVersions(a.attributes["Bundle-Version"], b.attributes["Bundle-Version"]));
  }
  return groups;
}

export const versionsOf = (name) => groups.get(name) || [];

export const selection = new Selection();
state.addEventListener("links", () => selection.update());
