// rows.js - which rows each column has, and what a row looks like.

import {h, icon, iconButton, plural} from "./dom.js";
import {allow as permit, describe} from "./rights.js";
import {groupArtifacts, selection} from "./select.js";
import {isBundle, isProcessor, nameOf, state} from "./state.js";
import {chips, needsApproval} from "./target-state.js";

const FEW_ARTIFACTS = 60; // so many are shown unfolded

const byName = new Intl.Collator(undefined, {numeric: true}).compare;

// Attributes and tags as one lower-case text, kept with the object: 10,000 are searched at each key.
const texts = new WeakMap();

function textOf(object) {
  let text = texts.get(object);
  if (text === undefined) {
    const values = [];
    for (const [key, value] of Object.entries(object.attributes)) {
      if (key !== "url" && key !== "sha256" && key !== "mimetype") {
        values.push(value);
      }
    }
    for (const [key, value] of Object.entries(object.tags)) {
      values.push(`${key}=${value}`);
    }
    text = values.join("\n").toLowerCase();
    texts.set(object, text);
  }
  return text;
}

// All words must be found.
function matcher(search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return words.length ? (text) => words.every((word) => text.includes(word)) : null;
}

function artifactRows(search, folds) {
  const matches = matcher(search);
  const groups = groupArtifacts();
  const few = state.objects.artifact.size <= FEW_ARTIFACTS;
  const heads = [];
  let total = 0;
  for (const [name, versions] of groups) {
    const found = matches ? versions.filter((object) => matches(textOf(object))) : versions;
    total += versions.length;
    if (found.length) {
      heads.push({key: `group:${name}`, name, group: name, versions, found, level: 1, expandable: true,
        expanded: folds.get(name) ?? (few || (Boolean(matches) && found.length < versions.length))});
    }
  }
  for (const object of state.objects.artifact.values()) {
    if (!isBundle(object) && !isProcessor(object)) {
      total++;
      if (!matches || matches(textOf(object))) {
        heads.push({key: object.definition, name: nameOf(object), object, level: 1});
      }
    }
  }
  heads.sort((a, b) => byName(a.name, b.name));
  const rows = [];
  for (const head of heads) {
    rows.push(head);
    if (head.expanded) {
      for (const object of head.found) {
        rows.push({key: object.definition, name: object.attributes["Bundle-Version"], object, level: 2});
      }
    }
  }
  return {rows, total, found: heads.reduce((n, head) => n + (head.found?.length || 1), 0)};
}

function plainRows(objects, search, extra) {
  const matches = matcher(search);
  const rows = [];
  let total = 0;
  for (const object of objects) {
    total++;
    if (!matches || matches(textOf(object) + (extra ? extra(object) : ""))) {
      rows.push({key: object.definition, name: nameOf(object), object});
    }
  }
  rows.sort((a, b) => byName(a.name, b.name));
  return {rows, total, found: rows.length};
}

// A target is found by its states too: "failed", "unregistered".
function statesText(object) {
  const target = state.targetOf(object.definition);
  return target ? `\n${target.registration} ${target.store} ${target.provisioning} ${target.current}`.toLowerCase() : "";
}

export function rowsOf(kind, search, folds) {
  if (kind === "artifact") {
    return artifactRows(search, folds);
  }
  if (kind === "target") {
    return plainRows(state.targetDefinitions().map((one) => state.get(one)).filter(Boolean), search, statesText);
  }
  return plainRows(state.objects[kind].values(), search);
}

// --- what one looks like -----------------------------------------------------

const definitionsOf = (row) => (row.group !== undefined ? row.versions.map((one) => one.definition) : [row.key]);

function related(row) {
  return definitionsOf(row).some((definition) => selection.all.has(definition));
}

// Links between the row and the selection, each association once.
export function linksWithSelection(row) {
  const links = definitionsOf(row).flatMap((definition) => selection.direct.get(definition) || []);
  return [...new Map(links.map((link) => [link.association, link])).values()];
}

function changeOf(row) {
  const changes = definitionsOf(row).map((definition) => state.changed.get(definition)).filter(Boolean);
  return changes.length ? (changes[0].before ? "changed" : "new") : "";
}

const isDynamic = (row) => linksWithSelection(row).some((link) => link.dynamic);

// All that a row's look depends on.
export function signatureOf(kind, row) {
  const target = kind === "target" ? state.targetOf(row.key) : null;
  return [row.name, row.expanded, row.found?.length, changeOf(row), related(row), linksWithSelection(row).length,
    isDynamic(row), state.session?.role, target && JSON.stringify([target.registration, target.store,
      target.provisioning, target.current, target.installed, target.problem, target.health?.ready,
      target.health?.errors, target.present, target.legacy, target.autoApprove, state.isRegistered(row.key)]),
    row.object && (row.object.attributes.description || row.object.attributes.artifactDescription)].join("|");
}

// Of "org.example.long.name" the end is what tells them apart: the beginning is cut first.
function dotted(name) {
  const dot = name.lastIndexOf(".") + 1;
  return h("span.name.dotted", {title: name}, dot > 0 && h("span.muted", {}, name.slice(0, dot)),
    h("span", {}, name.slice(dot)));
}

function artifactCells(row) {
  if (row.group !== undefined) {
    const some = row.found.length < row.versions.length ? `${row.found.length} of ` : "";
    return [h("span.twist", {data: {act: "fold"}}, icon(row.expanded ? "open" : "closed")), icon("bundle"),
      dotted(row.name),
      h("span.count", {title: "Drag this row to link whatever version is newest"},
        some + plural(row.versions.length, "version"))];
  }
  const a = row.object.attributes;
  const runtime = {c: "C", java: "Java"}[a.runtime];
  return [icon(row.level === 2 ? "bundle" : "configuration"), h("span.name", {}, row.name),
    runtime && h("span.badge.quiet", {}, runtime), isDynamic(row) &&
    h("span.badge.quiet", {title: "Linked dynamically: always the newest version in the range"}, "newest")];
}

const ENDING_MAX = 12; // characters
const SHORT_NAME = 16; // fits in any case

// Pods are called alike but for the end, "-x7k2p": what is before it is cut.
function ended(name) {
  if (name.length <= SHORT_NAME) {
    return h("span.name", {title: name}, name);
  }
  const dash = name.lastIndexOf("-");
  const at = dash > 0 && name.length - dash <= ENDING_MAX ? dash : Math.max(name.length - ENDING_MAX, 0);
  return h("span.name.dotted", {title: name}, h("span.beginning", {}, name.slice(0, at)),
    h("span", {}, name.slice(at)));
}

function plainCells(kind, row) {
  const description = row.object.attributes.description;
  return [icon(kind), kind === "target" ? ended(row.name) : h("span.name", {title: row.name}, row.name), description && h("span.muted.description", {}, description)];
}

function buttons(kind, row, actions) {
  const links = linksWithSelection(row);
  const unlinked = links.length ? state.deniedLink(links[0].kind, "dissociate") : "";
  const target = kind === "target" && state.targetOf(row.key);
  const register = kind === "target" && !state.isRegistered(row.key);
  return h("span.row-buttons", {},
    register && iconButtonText("R", "Register", () => actions.register(row), permit("registerTarget")),
    target && needsApproval(target) &&
      iconButtonText("A", "Approve", () => actions.approve(row), permit("approveTarget")),
    h("span.hover-buttons", {},
      links.length > 0 && iconButton("unlink", `Unlink ${describe(row)} from what is selected`,
        () => actions.unlink(links), unlinked),
      iconButton("edit", `Open ${describe(row)}`, () => actions.open(row)),
      iconButton("remove", `Delete ${describe(row)}`, () => actions.remove(row), permit("remove" + kind))));
}

function iconButtonText(letter, label, onclick, reason) {
  const button = iconButton("good", label, onclick, reason);
  button.classList.add("lettered");
  button.replaceChildren(letter);
  return button;
}

export function fillRow(kind, row, element, actions) {
  const change = changeOf(row);
  element.classList.toggle("related", related(row));
  element.classList.toggle("changed", Boolean(change));
  element.classList.toggle("child", row.level === 2);
  element.draggable = true;
  const mark = change && h("span.unsaved", {title: "Not stored yet"}, change);
  const head = h("span.row-head", {}, kind === "artifact" ? artifactCells(row) : plainCells(kind, row), mark,
    buttons(kind, row, actions));
  const told = related(row) ? h("span.visually-hidden", {}, "associated with the selection") : null;
  element.replaceChildren(h("div.cell", {role: "gridcell"}, head, told,
    kind === "target" && chips(state.targetOf(row.key), state.isRegistered(row.key))));
}
