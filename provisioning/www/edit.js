// edit.js - what double click and Enter open: an object's information, associations and tags; and new objects.

import {askUnlink, linkTogether} from "./changes.js";
import {cancel, openDialog, tabs} from "./dialog.js";
import {formatSize, h, iconButton, plural, tell} from "./dom.js";
import {openLinkTo} from "./link.js";
import {selection} from "./select.js";
import {ASSOCIATIONS, COLUMNS, WORDS, nameOf, state, targetToAdd, titleOf} from "./state.js";
import {targetTabs} from "./target.js";

const DESCRIPTION = {artifact: "artifactDescription", feature: "description", distribution: "description"};
const READABLE = {"Bundle-SymbolicName": "Symbolic name", "Bundle-Version": "Version", artifactName: "Name",
  artifactSize: "Size", filename: "File", mimetype: "Type", processorPid: "Resource processor", sha256: "SHA-256",
  runtime: "Runtime", processors: "Processors", name: "Name", id: "Id", autoapprove: "Approves itself", url: "Address",
  "Deployment-ProvidesResourceProcessor": "Provides processor"};

function definitionList(pairs) {
  return h("dl.facts", {}, pairs.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

// --- tags ----------------------------------------------------------------------

// Rows of key and value; `read()` gives them, or throws what is wrong.
function tagEditor(tags, denied) {
  const rows = h("div.tag-rows");
  const add = (key = "", value = "") => {
    const row = h("div.tag-row", {}, h("input.form-control.form-control-sm", {value: key, "aria-label": "Tag",
      placeholder: "tag", disabled: Boolean(denied), maxlength: 255}),
    h("input.form-control.form-control-sm", {value, "aria-label": "Value", placeholder: "value",
      disabled: Boolean(denied), maxlength: 4096}), iconButton("remove", "Remove this tag", () => row.remove(), denied));
    row.lastChild.tabIndex = 0;
    rows.append(row);
    return row;
  };
  Object.entries(tags).sort().forEach(([key, value]) => add(key, value));
  const element = h("div", {}, rows, h("button.btn.btn-sm.btn-outline-secondary", {type: "button", id: "add-tag",
    disabled: Boolean(denied), title: denied || null, onclick: () => add().firstChild.focus()}, "Add a tag"),
  h("p.form-text", {}, "Tags are seen by filters of associations, and by ${context.TAG} in configurations."));
  return {element, read() {
    const found = {};
    for (const row of rows.children) {
      const [key, value] = [row.children[0].value.trim(), row.children[1].value];
      if (!key && !value) {
        continue;
      }
      if (!key) {
        row.children[0].focus();
        throw new Error(`The value "${value}" has no tag: give it a name, or remove the line.`);
      }
      if (key in found) {
        row.children[0].focus();
        throw new Error(`There are two tags "${key}": each may be there once.`);
      }
      found[key] = value;
    }
    return found;
  }};
}

// --- associations -----------------------------------------------------------------

function linkRow(link, other, refresh) {
  const object = state.get(other);
  const denied = state.deniedLink(link.kind, "dissociate");
  const shared = state.sharing.get(link.association) || 1;
  const button = iconButton("unlink", "Unlink", async () => {
    if (await askUnlink([link])) {
      refresh();
    }
  }, denied);
  button.tabIndex = 0;
  return h("li", {}, h("span.name", {}, object ? titleOf(object) : other), link.dynamic &&
    h("span.badge.quiet", {title: "It takes the newest version of its range"}, "dynamic"), shared > 1 &&
    h("span.badge.quiet", {title: `One filter makes ${shared} links`}, "by filter"), button);
}

function associationsTab(kind, definitions) {
  return {title: "Associations", build(panel) {
    const refresh = () => {
      const at = COLUMNS.indexOf(kind);
      const sides = [[COLUMNS[at - 1], state.fromRight, "left"], [COLUMNS[at + 1], state.fromLeft, "right"]];
      panel.replaceChildren(...sides.filter(([other]) => other).map(([other, map, end]) => {
        const links = definitions.flatMap((definition) => map.get(definition) || []);
        return h("section", {}, h("h3", {}, plural(links.length, WORDS[other])), links.length ? h("ul.links", {},
          links.map((link) => linkRow(link, link[end], refresh))) : h("p.muted", {}, "None."));
      }), h("button.btn.btn-sm.btn-outline-secondary", {type: "button", onclick: () => {
        selection.set(kind, new Set(definitions));
        openLinkTo(kind, definitions.map((definition) => ({key: definition, object: state.get(definition)})));
      }}, "Link to…"));
    };
    refresh();
    const changed = () => (panel.isConnected ? refresh() : state.removeEventListener("links", changed));
    state.addEventListener("links", changed);
  }};
}

// --- an object ---------------------------------------------------------------------

function shownValue(key, value) {
  return key === "artifactSize" ? formatSize(value) : key === "sha256" ? h("code.digest", {}, value) : value;
}

function infoTab(kind, object, description) {
  return {title: "Information", build(panel) {
    const order = Object.keys(READABLE);
    const place = (key) => (order.includes(key) ? order.indexOf(key) : order.length);
    const entries = Object.entries(object.attributes).filter(([key]) => key !== DESCRIPTION[kind])
      .sort(([a], [b]) => place(a) - place(b) || a.localeCompare(b));
    const list = definitionList(entries.map(([key, value]) => [READABLE[key] || key, shownValue(key, value)]));
    if (object.attributes.sha256) {
      list.append(h("dt", {}, "File"), h("dd", {}, h("a", {href: `/v1/artifacts/${object.attributes.sha256}`,
        download: object.attributes.filename || object.attributes.artifactName || ""}, "download")));
    }
    panel.append(list);
    if (description) {
      panel.append(h("label.form-label", {for: description.id}, "Description"), description);
    }
    for (const part of ["provides", "requires"]) {
      if (Array.isArray(object[part]) && object[part].length) {
        panel.append(h("h3", {}, part === "provides" ? "Provides" : "Requires"), h("ul.clauses", {},
          object[part].map((one) => h("li", {}, h("code", {}, typeof one === "string" ? one : JSON.stringify(one))))));
      }
    }
  }};
}

export function openObject(kind, definition) {
  const object = state.get(definition);
  if (!object) {
    tell("It is not there any more.", true);
    return;
  }
  const registered = kind !== "target" || state.isRegistered(definition);
  const denied = registered ? state.denied("edit" + kind) : "it is not registered yet";
  const key = DESCRIPTION[kind];
  const description = key ? h("textarea.form-control", {id: "description", rows: 2, maxlength: 4096,
    value: object.attributes[key] || "", disabled: Boolean(denied)}) : null;
  const tags = tagEditor(object.tags, denied);
  const parts = [infoTab(kind, object, description), associationsTab(kind, [definition]),
    {title: "Tags", build: (panel) => panel.append(tags.element)}];
  if (kind === "target") {
    parts.unshift(...targetTabs(definition));
  }
  return openDialog({title: `${WORDS[kind][0].toUpperCase()}${WORDS[kind].slice(1)} ${titleOf(object)}`, size: "wide",
    id: "object-dialog", body: tabs(parts), buttons: [{text: "Close"}, {text: "Keep changes", look: "primary",
      submit: true, id: "keep", reason: denied, action: () => keep(kind, definition, tags, description)}]});
}

async function keep(kind, definition, tags, description) {
  const object = state.get(definition);
  const key = DESCRIPTION[kind];
  const after = {attributes: {...object.attributes}, tags: tags.read()};
  if (key && description.value !== (object.attributes[key] || "")) {
    after.attributes[key] = description.value;
  }
  const same = (a, b) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());
  if (same(after.attributes, object.attributes) && same(after.tags, object.tags)) {
    return true;
  }
  await state.change([{op: "replace", kind, definition, object: after}]);
  tell(`${titleOf(object)} is changed. Store makes it count.`);
  return true;
}

// All versions of a bundle.
function openGroup(row) {
  const versions = {title: plural(row.versions.length, "version"), build(panel) {
    panel.append(h("div.table-place", {}, h("table.table.table-sm", {}, h("thead", {}, h("tr", {}, ["Version", "Runtime",
      "Size", "Features"].map((one) => h("th", {scope: "col"}, one)))), h("tbody", {}, row.versions.map((object) => {
      const links = state.fromLeft.get(object.definition) || [];
      return h("tr", {}, h("td", {}, h("button.btn.btn-link.p-0", {type: "button",
        onclick: () => openObject("artifact", object.definition)}, object.attributes["Bundle-Version"])),
      h("td", {}, object.attributes.runtime || ""), h("td.number", {}, formatSize(object.attributes.artifactSize)),
      h("td", {}, links.map((link) => nameOf(state.get(link.right) || {attributes: {}, definition: link.right}))
        .join(", ")));
    })))));
  }};
  openDialog({title: `Bundle ${row.group}`, size: "wide", id: "object-dialog", body: tabs([versions,
    associationsTab("artifact", row.versions.map((object) => object.definition))]), buttons: [{text: "Close"}]});
}

export const openRow = (kind, row) => (row.group !== undefined ? openGroup(row) : openObject(kind, row.key));

// --- new ones -----------------------------------------------------------------------

export function openCreate(kind) {
  const key = kind === "target" ? "id" : "name";
  const name = h("input.form-control", {id: "new-name", required: true, autofocus: true, maxlength: 255,
    pattern: kind === "target" ? "[A-Za-z0-9._\\-]+" : null});
  const description = kind === "target" ? null : h("input.form-control", {id: "new-description", maxlength: 4096});
  const auto = kind === "target" ? h("input.form-check-input", {type: "checkbox", id: "new-auto", checked: true}) : null;
  const linked = selection.kind && Math.abs(COLUMNS.indexOf(selection.kind) - COLUMNS.indexOf(kind)) === 1 &&
    !state.deniedLink(ASSOCIATIONS[Math.min(COLUMNS.indexOf(selection.kind), COLUMNS.indexOf(kind))]) ?
    h("input.form-check-input", {type: "checkbox", id: "new-linked"}) : null;
  const check = (box, text) => h("div.form-check", {}, box, h("label.form-check-label", {for: box.id}, text));
  openDialog({title: `New ${WORDS[kind]}`, id: "create-dialog", body: [
    h("label.form-label", {for: "new-name"}, kind === "target" ? "Id" : "Name"), name,
    kind === "target" && h("p.form-text", {}, "As its agent calls itself: letters, digits, '.', '_' and '-'."),
    description && [h("label.form-label", {for: "new-description"}, "Description"), description],
    auto && check(auto, "Approve by itself what is stored for it"),
    linked && check(linked, `Link with the ${plural(selection.keys.size, WORDS[selection.kind])} selected`)],
  buttons: [cancel, {text: "Create", look: "primary", submit: true, id: "create-now", action: async () => {
    const attributes = {[key]: name.value.trim()};
    if (description?.value) {
      attributes.description = description.value;
    }
    const fresh = kind === "target" ? targetToAdd(attributes.id, auto.checked) : {attributes, tags: {}};
    const from = selection.kind;
    const keys = [...selection.keys];
    const [object] = await state.change([{op: "add", kind, object: fresh}]);
    if (linked?.checked) {
      await linkTogether(from, keys.map((one) => (one.startsWith("group:") ? {key: one, group: one.slice(6),
        versions: [...selection.definitions()].map((two) => state.get(two))
          .filter((two) => nameOf(two) === one.slice(6))} : {key: one, object: state.get(one)})), kind,
      [{key: object.definition, object}]);
    } else {
      tell(`${attributes[key]} is made. Store makes it count.`);
    }
    selection.set(kind, new Set([object.definition]));
  }}]});
}
