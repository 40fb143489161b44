// changes.js - linking, unlinking, deleting; and what becomes of the changes: store, retrieve, revert.

import {confirmed, cancel, openDialog} from "./dialog.js";
import {attempt, byId, h, plural, tell} from "./dom.js";
import {describe} from "./rights.js";
import {selection} from "./select.js";
import {ASSOCIATIONS, COLUMNS, WORDS, nameOf, state, targetToAdd, titleOf} from "./state.js";

// --- links ---------------------------------------------------------------------

const endOf = (row) => (row.group !== undefined ? {definition: row.versions[0].definition, dynamic: true} :
  {definition: row.key, dynamic: false});

const bundleOf = (definition) => state.get(definition)?.attributes["Bundle-SymbolicName"];

// An agent has one version of a bundle: a link of another one to the same feature is replaced. What a filter makes that
// links more than this stays, and is told.
function replacedBy(end, feature) {
  const bundle = bundleOf(end.definition);
  const others = !bundle ? [] : (state.fromRight.get(feature) || []).filter((one) => bundleOf(one.left) === bundle &&
    (one.left !== end.definition || one.dynamic !== end.dynamic));
  return {gone: others.filter((one) => state.sharing.get(one.association) === 1),
    kept: others.filter((one) => state.sharing.get(one.association) > 1)};
}

const versionOf = (link) => `${state.get(link.left)?.attributes["Bundle-Version"]}${link.dynamic ? " (dynamic)" : ""}`;

function checkOneVersion(rows) {
  const seen = new Set();
  for (const row of rows) {
    const bundle = bundleOf(endOf(row).definition);
    if (bundle && seen.has(bundle)) {
      throw new Error(`Not linked: an agent has one version of a bundle, and two of ${bundle} are selected. Select one, ` +
        "or the row above them, which is always the newest.");
    }
    seen.add(bundle);
  }
}

// Links each row of one column with each of a neighbour's. A row of all versions of a bundle makes a dynamic link;
// an unregistered target is registered and approves itself from then on, as ACE does.
export async function linkTogether(kind, rows, otherKind, otherRows, range = "0.0.0") {
  const [leftKind, left, rightRows] = COLUMNS.indexOf(kind) < COLUMNS.indexOf(otherKind) ?
    [kind, rows, otherRows] : [otherKind, otherRows, rows];
  const association = ASSOCIATIONS[COLUMNS.indexOf(leftKind)];
  const denied = state.deniedLink(association);
  if (denied) {
    throw new Error(`Not linked: ${denied}.`);
  }
  if (leftKind === "artifact") {
    checkOneVersion(left);
  }
  const changes = [];
  const replaced = [];
  const kept = [];
  let known = 0;
  let registered = 0;
  let made = 0;
  for (const rightRow of rightRows) {
    const right = endOf(rightRow).definition;
    if (right.startsWith("target-") && !state.isRegistered(right)) {
      registered++;
      changes.push({op: "add", kind: "target", object: targetToAdd(state.get(right).attributes.id, true)});
    }
    for (const row of left) {
      const end = endOf(row);
      if ((state.fromLeft.get(end.definition) || []).some((one) => one.right === right && one.dynamic === end.dynamic)) {
        known++;
        continue;
      }
      const others = leftKind === "artifact" ? replacedBy(end, right) : {gone: [], kept: []};
      replaced.push(...others.gone);
      kept.push(...others.kept);
      changes.push(...others.gone.map((link) => ({op: "remove", kind: association, definition: link.association})));
      made++;
      changes.push({op: "add", kind: association, object: {left: end.definition, right, tags: {},
        attributes: end.dynamic ? {associationVersionStatement: range} : {}}});
    }
  }
  if (!changes.length) {
    tell("They are linked already.");
    return;
  }
  // In words before the change: what is replaced is gone afterwards.
  const instead = [...new Set(replaced.map((link) => `${bundleOf(link.left)}@${versionOf(link)}`))].join(", ");
  const beside = [...new Set(kept.map((link) => `${bundleOf(link.left)}@${versionOf(link)}`))].join(", ");
  await state.change(changes);
  tell(`${plural(made, "link")} made${left.some((row) => row.group !== undefined) ? " (dynamic: the newest version)" : ""}` +
    `${instead ? ` instead of that of ${instead}` : ""}${known ? `, ${known} there already` : ""}` +
    `${beside ? `; ${beside} stays, linked by a filter: unlink it, an agent has one version` : ""}` +
    `${registered ? `; ${plural(registered, "target")} registered, approving by itself` : ""}. Store makes it count.`);
}

const escaped = (text) => text.replace(/[\\()*\0]/g, (one) => `\\${one.charCodeAt(0).toString(16).padStart(2, "0")}`);

// Distributions go to all targets that match, whenever they come.
export async function linkByFilter(rows, filter) {
  await state.change(rows.map((row) => ({op: "add", kind: "distribution2target", object: {tags: {}, attributes: {
    leftEndpoint: `(name=${escaped(row.object.attributes.name)})`, leftCardinality: "1", rightEndpoint: filter,
    rightCardinality: "2147483647"}}})));
  tell(`${plural(rows.length, "link")} by ${filter} made. Store makes it count.`);
}

const ends = (link) => {
  const [left, right] = [state.get(link.left), state.get(link.right)];
  return `${left ? titleOf(left) : link.left} – ${right ? nameOf(right) : link.right}`;
};

// One association may make many links (a filter): then all of them go, which is said first.
export async function askUnlink(links) {
  const broad = links.filter((link) => state.sharing.get(link.association) > 1);
  if (broad.length) {
    const others = broad.reduce((n, link) => n + state.sharing.get(link.association), 0);
    const sure = await confirmed("Unlink by filter?", h("p", {},
      `${ends(broad[0])} is linked by a filter, which makes ${plural(others, "link")} in all. Unlinking removes the ` +
      "filter, and all of them."), `Remove ${plural(others, "link")}`);
    if (!sure) {
      return false;
    }
  }
  return attempt(async () => {
    await state.change(links.map((link) => ({op: "remove", kind: link.kind, definition: link.association})));
    tell(`Unlinked: ${links.length === 1 ? ends(links[0]) : plural(links.length, "link")}.`);
    return true;
  });
}

export async function askRemove(kind, rows) {
  const denied = state.denied("remove" + kind);
  if (denied) {
    tell(`Not deleted: ${denied}.`, true);
    return;
  }
  const objects = rows.flatMap((row) => (row.group !== undefined ? row.versions : [row.object]));
  const stored = objects.filter((object) => kind !== "target" || state.isRegistered(object.definition));
  const links = objects.reduce((n, object) => n + (state.fromLeft.get(object.definition)?.length || 0) +
    (state.fromRight.get(object.definition)?.length || 0), 0);
  if (!stored.length) {
    tell("An unregistered target is no part of the repository. Open it to let the server forget it.", true);
    return;
  }
  const what = rows.length === 1 ? describe(rows[0]) : plural(objects.length, WORDS[kind]);
  const text = [`${what} ${objects.length === 1 ? "is" : "are"} deleted from the workspace` +
    (links ? `, with ${plural(links, "link")}.` : "."), " Nothing changes on any target until you store."];
  if (await confirmed(`Delete ${WORDS[kind]}?`, h("p", {}, text), "Delete")) {
    await attempt(async () => {
      await state.change(stored.map((object) => ({op: "remove", kind, definition: object.definition})));
      selection.clear();
      tell(`Deleted: ${what}.`);
    });
  }
}

// --- differences ----------------------------------------------------------------

const KINDS = {artifact2feature: "link artifact – feature", feature2distribution: "link feature – distribution",
  distribution2target: "link distribution – target"};

function nameOfAny(object) {
  const kind = object.definition.slice(0, object.definition.indexOf("-"));
  if (!KINDS[kind]) {
    return `${kind} ${titleOf(object)}`;
  }
  const a = object.attributes;
  const short = (filter = "?") => {
    // As the server makes them of definitions; whoever wrote a filter of his own sees it.
    const [, one, rest] = /^\((?:&\()?(?:Bundle-SymbolicName|filename|name|id)=([^()]*)\)(.*)$/.exec(filter) || [];
    const [, version] = /^\(Bundle-Version=([^()]*)\)\)$/.exec(rest || "") || [];
    return one === undefined ? filter : version ? `${one}@${version}` : !rest || a.associationVersionStatement ? one : filter;
  };
  return `${KINDS[kind]}: ${short(a.leftEndpoint)} – ${short(a.rightEndpoint)}` +
    (a.associationVersionStatement ? ` (dynamic, ${a.associationVersionStatement})` : "");
}

const shownValue = (value) => (typeof value === "string" ? value || '""' : JSON.stringify(value));

function changedEntries(before, after) {
  // An object of the model has attributes and tags; settings and policies are flat.
  const parts = before.attributes ? [[before.attributes, after.attributes || {}], [before.tags || {}, after.tags || {}]] :
    [[before, after]];
  return parts.flatMap(([was, is]) => [...new Set([...Object.keys(was), ...Object.keys(is)])]
    .filter((key) => JSON.stringify(was[key]) !== JSON.stringify(is[key])).map((key) => h("div.entry", {},
      h("code", {}, key), ": ", was[key] === undefined ? "" : h("del", {}, shownValue(was[key])), " ",
      is[key] === undefined ? h("em", {}, "removed") : h("ins", {}, shownValue(is[key])))));
}

// A difference of a workspace {before, after}, or of a desired state, which has kind, name and change too.
function differenceLine({before, after, kind, name}) {
  const [mark, word] = before && after ? ["~", "changed"] : after ? ["+", "added"] : ["−", "removed"];
  const text = name && kind ? (kind === name ? name : `${KINDS[kind] ? KINDS[kind] + ":" : kind} ${name}`) :
    nameOfAny(after || before);
  return h(`li.${word}`, {}, h("span.sign", {title: word, "aria-label": word}, mark), text,
    before && after ? changedEntries(before, after) : null);
}

const LINES_MAX = 500; // of a difference; beyond it a person reads no more

export function differenceList(items) {
  const list = h("ul.differences", {}, items.slice(0, LINES_MAX).map(differenceLine));
  if (items.length > LINES_MAX) {
    list.append(h("li.muted", {}, `and ${items.length - LINES_MAX} more`));
  }
  return list;
}

// --- store, retrieve, revert -------------------------------------------------------

export async function openStore() {
  if (!state.diff.length) {
    tell("There is nothing to store.");
    return;
  }
  await attempt(() => state.loadDiff());
  if (document.querySelector("dialog[open]")) {
    return; // asked twice
  }
  const message = h("input.form-control", {id: "store-message", maxlength: 1000, autofocus: true,
    placeholder: "What this is for (optional)"});
  const policy = state.policy ? `It goes out in groups of ${state.policy.groups.join(", ")} % of the targets, and comes ` +
    "back by itself if it does harm." : "No rollout policy is set: it goes out to all targets at once.";
  openDialog({title: `Store ${plural(state.diff.length, "change")}`, id: "store-dialog", size: "wide", body: [
    h("p.muted", {}, policy), differenceList(state.diff),
    h("label.form-label", {for: "store-message"}, "Message"), message],
  buttons: [cancel, {text: "Store", look: "primary", submit: true, id: "store-now", action: () => store(message.value)}]});
}

async function store(message) {
  try {
    const {revision, rollout} = await state.store(message);
    tell(`Stored as revision ${revision}.${rollout ? ` Rollout ${rollout} takes it to the targets.` : ""}`);
    return true;
  } catch (error) {
    if (error.code !== "stale") {
      throw error;
    }
    showConflict(error.message, message);
    return true;
  }
}

function showConflict(text, message) {
  openDialog({title: "Changes not stored", id: "conflict", size: "wide", body: [
    h("p", {}, "Somebody stored other changes since you began:"), h("blockquote", {id: "conflict-text"}, text),
    h("p", {}, "Your changes are still here, and nothing of yours was stored. You can"),
    h("ul", {}, h("li", {}, h("b", {}, "make them again"), " on top of what is there now: you see the result before it is " +
      "stored; where both cannot be had, it says so and leaves your changes as they are;"),
    h("li", {}, h("b", {}, "retrieve"), " what is there now, and lose your changes;"),
    h("li", {}, h("b", {}, "go back"), " and look at them first."))],
  buttons: [{text: "Go back"}, {text: "Retrieve, lose mine", look: "outline-danger", id: "conflict-retrieve",
    action: () => state.leaveWorkspace()}, {text: "Make them again", look: "primary", id: "conflict-again", submit: true,
    action: async () => {
      await state.storeAgain();
      setTimeout(() => {
        openStore().then(() => {
          const input = byId("store-message");
          if (input) {
            input.value = message;
          }
        });
      });
    }}]});
}

async function leave(title, what, word, done) {
  const n = state.diff.length;
  if (n && !await confirmed(title, [h("p", {}, `${what} ${plural(n, "change")} of yours would be lost:`),
    differenceList(state.diff)], word)) {
    return;
  }
  await attempt(async () => {
    await state.leaveWorkspace();
    tell(done);
  });
}

export const retrieve = () => leave("Retrieve?", "The newest revision is read.", "Retrieve and lose them",
  "This is the newest revision.");
export const revert = () => leave("Revert?", "All is as it was when you began.", "Revert", "Your changes are reverted.");
