// state.js - what the page knows: objects, links, targets, rollouts, the workspace.
//
// Without changes of one's own the page shows the newest revision and follows
// it live. The first change makes a workspace on the server; from then on the
// page shows that, until it is stored, reverted or retrieved. Whoever draws
// something listens to the state's events: "objects", "links", "targets",
// "target" (detail: id), "rollouts", "workspace", "server", "audit", "version".

import * as api from "./api.js";
import {settle} from "./dom.js";

export const COLUMNS = ["artifact", "feature", "distribution", "target"];
export const WORDS = {artifact: "artifact", feature: "feature", distribution: "distribution", target: "target"};
// The association between a column and its right neighbour.
export const ASSOCIATIONS = ["artifact2feature", "feature2distribution", "distribution2target"];
const KEPT_WORKSPACE = "inaetics-provisioning-workspace";

const targetDefinition = (id) => "target-id-" + id.replaceAll("/", "&#47");

// A target for the repository; what its agent told of itself stands in its tags, where filters and checks look for it.
export function targetToAdd(id, autoApprove) {
  const told = Object.entries(state.targets.get(id)?.properties || {}).map(([key, value]) => [`target.${key}`, value]);
  return {attributes: {id, autoapprove: String(autoApprove)}, tags: Object.fromEntries(told)};
}

export function nameOf(object) {
  const a = object.attributes;
  return a["Bundle-SymbolicName"] || a.filename || a.artifactName || a.name || a.id || object.definition;
}

// For people: "processor@1.0.0".
export function titleOf(object) {
  const version = object.attributes["Bundle-Version"];
  return version ? `${nameOf(object)}@${version}` : nameOf(object);
}

export const isProcessor = (object) => Boolean(object.attributes["Deployment-ProvidesResourceProcessor"]);
export const isBundle = (object) => Boolean(object.attributes["Bundle-SymbolicName"]);

const plain = (text) => text.toLowerCase().replace(/[^a-z]/g, "");

class State extends EventTarget {
  constructor() {
    super();
    this.clear();
    this.relink = settle(150, () => this.quietly(() => this.loadLinks()));
    this.retarget = settle(300, () => this.quietly(() => this.loadTargets()));
    this.reread = settle(150, () => this.quietly(() => this.loadObjects()));
    this.askServer = settle(250, () => this.quietly(() => this.loadServer()));
    this.askWorkspace = settle(150, () => this.quietly(() => this.checkWorkspace()));
  }

  clear() {
    this.session = null;
    this.server = {};
    this.objects = {artifact: new Map(), feature: new Map(), distribution: new Map()};
    this.targets = new Map();
    this.heard = null;
    this.links = [];
    this.fromLeft = new Map();
    this.fromRight = new Map();
    this.sharing = new Map();
    this.dangling = [];
    this.rollouts = new Map();
    this.policy = null;
    this.workspace = null;
    this.diff = [];
    this.changed = new Map();
    this.readings = {};
    this.loaded = false;
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, {detail}));
  }

  // Reading again in the background: the stream's state shows when the server is away.
  async quietly(action) {
    try {
      await action();
    } catch (error) {
      console.info(error.message);
    }
  }

  // Why the account may not; "" when it may. permission: "createArtifact", "associateArtifactFeature".
  denied(permission) {
    const has = this.session?.permissions.some((one) => plain(one) === plain(permission));
    return has ? "" : `your role ${this.session?.role || ""} may not do this (permission ${permission})`;
  }

  deniedLink(association, verb = "associate") {
    const [left, right] = association.split("2");
    return this.denied(verb + left[0].toUpperCase() + left.slice(1) + right[0].toUpperCase() + right.slice(1));
  }

  // Restoring may add, change and remove whatever is no target.
  deniedRestore() {
    const verbs = ["create", "edit", "remove"];
    const reasons = COLUMNS.slice(0, 3).flatMap((kind) => verbs.map((verb) => this.denied(verb + kind)));
    reasons.push(...ASSOCIATIONS.flatMap((one) => [this.deniedLink(one), this.deniedLink(one, "dissociate")]));
    return reasons.find(Boolean) || "";
  }

  // --- reading ------------------------------------------------------------

  async load() {
    await this.loadServer();
    const cursor = this.server.cursor;
    await this.resumeWorkspace();
    await Promise.all([this.loadObjects(), this.loadTargets(), this.loadLinks(), this.loadRollouts()]);
    this.loaded = true;
    this.tell("objects");
    this.tell("targets");
    return cursor;
  }

  async loadServer() {
    this.server = await api.get("/v1/state");
    this.tell("server");
  }

  // Answers may overtake each other: only what the newest reading of a kind brings counts.
  newest(what) {
    this.readings[what] = (this.readings[what] || 0) + 1;
    const mine = this.readings[what];
    return () => this.readings[what] === mine;
  }

  // Rows appear page by page the first time; later they are exchanged at once, without a jump.
  async loadObjects() {
    const counts = this.newest("objects");
    const first = !this.objects.artifact.size && !this.objects.feature.size;
    await Promise.all(COLUMNS.slice(0, 3).filter((kind) => !this.denied("view" + kind)).map(async (kind) => {
      const found = new Map();
      await api.pages("/v1/objects", {kind, workspace: this.workspace?.id}, (items) => {
        items.forEach((item) => found.set(item.definition, item));
        if (first && counts()) {
          this.objects[kind] = found;
          this.tell("objects");
        }
      });
      if (counts()) {
        this.objects[kind] = found;
      }
    }));
    this.tell("objects");
  }

  async loadTargets() {
    if (this.denied("viewTarget")) {
      return;
    }
    const counts = this.newest("targets");
    const heard = new Map(); // events that come meanwhile are newer
    this.heard = heard;
    const found = new Map();
    await api.pages("/v1/targets", {}, (items) => items.forEach((item) => found.set(item.id, item)));
    if (!counts()) {
      return;
    }
    this.heard = null;
    for (const [id, target] of heard) {
      if (target) {
        found.set(id, target);
      } else {
        found.delete(id);
      }
    }
    this.targets = found;
    this.tell("targets");
  }

  async loadLinks() {
    const counts = this.newest("links");
    const answer = await api.get(api.query("/v1/links", {workspace: this.workspace?.id}));
    if (!counts()) {
      return;
    }
    this.links = answer.items;
    this.dangling = answer.dangling || [];
    this.fromLeft = new Map();
    this.fromRight = new Map();
    this.sharing = new Map();
    const put = (map, key, link) => {
      const list = map.get(key);
      if (list) {
        list.push(link);
      } else {
        map.set(key, [link]);
      }
    };
    for (const link of this.links) {
      put(this.fromLeft, link.left, link);
      put(this.fromRight, link.right, link);
      this.sharing.set(link.association, (this.sharing.get(link.association) || 0) + 1);
    }
    this.tell("links");
  }

  async loadRollouts() {
    if (this.denied("viewTarget")) {
      return;
    }
    const [rollouts, policy] = await Promise.all([api.get("/v1/rollouts"), api.get("/v1/policy")]);
    this.rollouts = new Map(rollouts.items.map((one) => [one.id, one]));
    this.policy = policy;
    this.tell("rollouts");
  }

  // --- looking up ---------------------------------------------------------

  kindOf(definition) {
    return COLUMNS.find((kind) => definition.startsWith(kind + "-"));
  }

  get(definition) {
    const kind = this.kindOf(definition);
    if (kind === "target") {
      return this.targetObject(definition);
    }
    return this.objects[kind]?.get(definition);
  }

  // A target as the workspace has it, with what the server knows of it.
  targetObject(definition) {
    const change = this.changed.get(definition);
    if (change) {
      return change.after;
    }
    const target = this.targetOf(definition);
    return target && {definition, attributes: {...target.attributes, id: target.id}, tags: target.tags || {}};
  }

  targetOf(definition) {
    return this.targets.get(definition.slice("target-id-".length).replaceAll("&#47", "/"));
  }

  isRegistered(definition) {
    const change = this.changed.get(definition);
    return change ? Boolean(change.after) : this.targetOf(definition)?.registration === "Registered";
  }

  // Targets of the server and those that only the workspace has, as definitions.
  targetDefinitions() {
    const all = [...this.targets.keys()].map(targetDefinition);
    for (const [definition, change] of this.changed) {
      if (definition.startsWith("target-") && change.after && !this.targetOf(definition)) {
        all.push(definition);
      }
    }
    return all;
  }

  // Running or waiting for a person.
  activeRollout() {
    return [...this.rollouts.values()].find((one) => ["running", "paused", "rolling-back"].includes(one.phase));
  }

  // --- the workspace ------------------------------------------------------

  async resumeWorkspace() {
    const id = sessionStorage.getItem(KEPT_WORKSPACE);
    if (id) {
      try {
        this.workspace = await api.get(`/v1/workspaces/${id}`);
        await this.loadDiff();
      } catch (error) {
        this.forgetWorkspace();
      }
    }
  }

  forgetWorkspace() {
    this.newest("diff");
    sessionStorage.removeItem(KEPT_WORKSPACE);
    this.workspace = null;
    this.diff = [];
    this.changed = new Map();
    this.tell("workspace");
  }

  async needWorkspace() {
    if (!this.workspace) {
      // Two changes at once share one workspace.
      this.making = this.making || api.post("/v1/workspaces").finally(() => {
        this.making = null;
      });
      this.workspace = await this.making;
      sessionStorage.setItem(KEPT_WORKSPACE, this.workspace.id);
    }
    return this.workspace;
  }

  async loadDiff() {
    const counts = this.newest("diff");
    const {items} = await api.get(`/v1/workspaces/${this.workspace.id}/diff`);
    if (!counts()) {
      return;
    }
    this.diff = items;
    this.changed = new Map(this.diff.map((one) => [(one.after || one.before).definition, one]));
    this.tell("workspace");
  }

  async checkWorkspace() {
    if (this.workspace) {
      try {
        this.workspace = await api.get(`/v1/workspaces/${this.workspace.id}`);
      } catch (error) {
        if (error.status !== 404) {
          throw error;
        }
        this.forgetWorkspace();
        await this.readAgain();
        this.tell("lost-workspace");
      }
      this.tell("workspace");
    }
  }

  // All or nothing; the answer's objects.
  async change(changes) {
    await this.needWorkspace();
    const answer = await api.post(`/v1/workspaces/${this.workspace.id}/changes`, {changes});
    changes.forEach((change, i) => this.take(change, answer.items[i]));
    await this.afterChange();
    return answer.items;
  }

  take(change, object) {
    const map = this.objects[change.kind];
    if (map && object && change.op !== "remove") {
      map.set(object.definition, object);
    } else if (map && change.op === "remove") {
      map.delete(change.definition);
    }
  }

  async upload(file, progress) {
    await this.needWorkspace();
    const answer = await api.upload(file, this.workspace.id, progress);
    this.objects.artifact.set(answer.object.definition, answer.object);
    return answer;
  }

  async afterChange() {
    await Promise.all([this.loadLinks(), this.loadDiff()]);
    this.tell("objects");
    this.tell("targets");
  }

  async readAgain() {
    await Promise.all([this.loadObjects(), this.loadLinks()]); // targets come live
  }

  async discardWorkspace() {
    const old = this.workspace;
    this.forgetWorkspace();
    if (old) {
      await api.remove(`/v1/workspaces/${old.id}`).catch(() => {});
    }
  }

  async leaveWorkspace() {
    await this.discardWorkspace();
    await this.readAgain();
  }

  async store(message) {
    const answer = await api.post(`/v1/workspaces/${this.workspace.id}/commit`, {message});
    await this.leaveWorkspace();
    return answer;
  }

  // Makes the same changes again on what is newest; the old workspace stays when that is refused.
  async storeAgain() {
    const changes = this.diff.map(({before, after}) => {
      const definition = (before || after).definition;
      const kind = definition.slice(0, definition.indexOf("-"));
      const object = after && {...after, definition: undefined};
      return before && after ? {op: "replace", kind, definition, object} : after ? {op: "add", kind, object} :
        {op: "remove", kind, definition};
    });
    // Objects come before the links that need them, and go after those.
    const rank = (change) => (change.kind.includes("2") ? 1 : 0) * (change.op === "remove" ? -1 : 1);
    changes.sort((a, b) => rank(a) - rank(b));
    const fresh = await api.post("/v1/workspaces");
    try {
      await api.post(`/v1/workspaces/${fresh.id}/changes`, {changes});
    } catch (error) {
      await api.remove(`/v1/workspaces/${fresh.id}`).catch(() => {});
      throw error;
    }
    const old = this.workspace;
    this.workspace = fresh;
    sessionStorage.setItem(KEPT_WORKSPACE, fresh.id);
    await api.remove(`/v1/workspaces/${old.id}`).catch(() => {});
    await Promise.all([this.loadDiff(), this.readAgain()]);
  }

  // --- the live stream ----------------------------------------------------

  event(type, data) {
    switch (type) {
    case "revision":
      this.revised(data);
      break;
    case "target":
      this.targets.set(data.id, data);
      this.heard?.set(data.id, data);
      this.tell("targets");
      this.tell("target", data.id);
      break;
    case "target-gone":
      this.targets.delete(data.id);
      this.heard?.set(data.id, null);
      this.tell("targets");
      this.tell("target", data.id);
      break;
    case "rollout":
      this.rollouts.set(data.id, data);
      this.tell("rollouts");
      this.askServer();
      break;
    case "workspace":
      if (this.workspace && data.id === this.workspace.id) {
        this.workspace = {...this.workspace, ...data};
        this.tell("workspace");
      }
      break;
    default:
      this.tell(type, data);
    }
  }

  // Targets come and go without touching the software: then only links can differ.
  revised(data) {
    this.lastRevision = data;
    this.askServer();
    this.tell("revision", data);
    if (data.software) {
      this.retarget(); // what each is to have may differ now
    }
    if (this.workspace) {
      this.askWorkspace();
      return;
    }
    if (data.software) {
      this.reread();
    }
    this.relink();
  }
}

export const state = new State();
