// main.js - the page: logging in and out, the views, the toolbar, the live stream.

import * as api from "./api.js";
import {openStore, retrieve, revert} from "./changes.js";
import {focusColumn, focusSearch, showColumns} from "./columns.js";
import {showDangling} from "./dangling.js";
import {confirmed} from "./dialog.js";
import {allow, attempt, byId, h, oncePerFrame, plural, tell} from "./dom.js";
import {showElsewhere} from "./elsewhere.js";
import {openHelp} from "./help.js";
import {showHistory} from "./history.js";
import {showRollouts} from "./rollouts.js";
import {showSettings} from "./settings.js";
import {COLUMNS, state} from "./state.js";

const SEGMENTS = ["#e8731a", "#ec8a16", "#efa013", "#f2b711", "#e5c41b", "#bfbf2e", "#98b942", "#70b157", "#48a86d",
  "#2a9d86", "#1e8aa3", "#1a76b5", "#1668b8"];
// Says that this browser logged in before: only then it is worth asking whether the session still lives.
const KNOWN = "inaetics-provisioning-known";
const WARNED = "inaetics-provisioning-warned";
const VIEWS = ["software", "rollouts", "history", "settings"];

for (const colour of SEGMENTS) {
  const segment = h("i");
  segment.style.background = colour;
  document.querySelector(".segments").append(segment);
}

// --- the live stream --------------------------------------------------------------

const stream = new api.Stream((type, data) => {
  if (type === "reset") {
    begin().catch(() => {});
  } else {
    state.event(type, data);
  }
}, showConnection);

function showConnection(what, seconds) {
  const status = byId("status");
  status.textContent = what === "live" ? "live" : what === "connecting" ? "connecting" :
    `connection lost, trying again in ${seconds} s`;
  status.classList.toggle("lost", what === "lost");
  document.body.classList.toggle("stale", what === "lost");
  if (what === "lost") {
    // The stream cannot tell why it ended: an expired session must lead to the login, also after the server was away.
    api.get("/v1/session").catch((error) => error.status === 401 && showLogin("Your session ended. Please log in again."));
  }
}

// Reads everything; the stream goes on from before that, so that nothing is missed.
async function begin() {
  const cursor = await state.load();
  stream.open(cursor);
  state.tell("again");
}

// --- logging in --------------------------------------------------------------------

function showLogin(text) {
  stream.close();
  state.clear();
  localStorage.removeItem(KNOWN);
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  byId("application").hidden = true;
  byId("account").hidden = true;
  byId("views").hidden = true;
  byId("login").hidden = false;
  showLoginError(text || "");
  byId("name").focus();
}

function showLoginError(text) {
  byId("login-error").textContent = text;
  byId("login-error").hidden = !text;
}

const LOGIN_WORDS = {
  401: "Name or password is wrong. Names and passwords tell capital letters from small ones; who has the role admin can " +
    "set a new password for you.",
  429: "There were too many wrong passwords from your address. Wait a little, then try again.",
  0: "The server does not answer. Is it running?",
};

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = byId("log-in");
  button.disabled = true;
  showLoginError("");
  try {
    const session = await api.post("/v1/session", {name: byId("name").value, password: byId("password").value});
    byId("password").value = "";
    await enter(session);
  } catch (error) {
    showLoginError(LOGIN_WORDS[error.status] || error.message);
    byId("password").select();
  } finally {
    button.disabled = false;
  }
});

byId("logout").addEventListener("click", () => attempt(async () => {
  if (state.diff.length && !await confirmed("Log out?", h("p", {}, `${plural(state.diff.length, "change")} of yours ` +
    "that you did not store would be lost."), "Log out and lose them")) {
    return;
  }
  stream.close();
  await state.discardWorkspace();
  await api.remove("/v1/session");
  showLogin("");
}));

async function enter(session) {
  state.session = session;
  localStorage.setItem(KNOWN, "yes");
  byId("login").hidden = true;
  byId("application").hidden = false;
  byId("account").hidden = false;
  byId("views").hidden = false;
  byId("who").textContent = session.name;
  byId("who").title = `Role: ${session.role}`;
  byId("role").textContent = session.role;
  const mayChange = session.permissions.some((one) => !one.startsWith("view"));
  byId("read-only").hidden = mayChange;
  state.tell("session");
  showConnection("connecting");
  await begin();
  showView();
}

// --- views ---------------------------------------------------------------------------

function showView() {
  const view = VIEWS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "software";
  document.body.dataset.view = view;
  for (const one of VIEWS) {
    byId(`view-${one}`).hidden = one !== view;
    document.querySelector(`nav a[href="#${one}"]`).toggleAttribute("aria-current", one === view);
  }
  if (view === "software") {
    state.tell("workspace"); // lists that were hidden have no height yet
  }
  state.tell("view");
}

// --- the toolbar ------------------------------------------------------------------------

// Permissions for what a workspace holds.
const CHANGING = /^(create|edit(?!Users)|remove|associate|dissociate)/;

const showToolbar = oncePerFrame(() => {
  const n = state.diff.length;
  const may = state.session?.permissions.some((one) => CHANGING.test(one));
  const reason = may ? "" : `your role ${state.session?.role} may not change anything here`;
  allow(byId("store"), reason || (n ? "" : "there is nothing to store"), "Store (Ctrl+S)");
  allow(byId("revert"), reason || (n ? "" : "there is nothing to revert"), "Revert (Alt+Shift+Z)");
  allow(byId("retrieve"), "", "Retrieve what is newest (Alt+Shift+R)");
  byId("unsaved").textContent = n ? plural(n, "unsaved change") : "no unsaved changes";
  byId("unsaved").classList.toggle("some", n > 0);
  const stale = state.workspace && state.workspace.current === false;
  byId("stale").hidden = !stale;
  const by = state.lastRevision?.author ? `${state.lastRevision.author} stored revision ${state.lastRevision.number}` :
    "Somebody stored another revision";
  byId("stale-text").textContent = `${by} since you began. Storing will show what to do; Retrieve drops your changes.`;
});

const showServer = oncePerFrame(() => {
  const {revision, released, defaultAccount, held} = state.server;
  byId("revision").textContent = revision === undefined ? "" : `revision ${revision}` +
    (released && released !== revision ? `, released ${released}` : "") + (held ? `: ${held}` : "");
  byId("default-account").hidden = !defaultAccount || sessionStorage.getItem(WARNED) !== null;
});

for (const type of ["workspace", "session", "server", "revision"]) {
  state.addEventListener(type, showToolbar);
}
state.addEventListener("server", showServer);
state.addEventListener("lost-workspace", () => tell("Your workspace is not on the server any more (it restarted, or it was " +
  "not used for long); what was not stored is lost.", true));

byId("default-account-close").addEventListener("click", () => {
  sessionStorage.setItem(WARNED, "yes");
  byId("default-account").hidden = true;
});
byId("store").addEventListener("click", openStore);
byId("retrieve").addEventListener("click", retrieve);
byId("revert").addEventListener("click", revert);
byId("help").addEventListener("click", openHelp);
window.addEventListener("hashchange", showView);

const SHORTCUTS = {
  "ctrl+s": openStore, "alt+shift+r": retrieve, "alt+shift+z": revert,
};
const LETTERS = {"/": () => focusSearch(), "?": openHelp};
COLUMNS.forEach((kind, i) => {
  LETTERS[i + 1] = () => focusColumn(kind);
});

document.addEventListener("keydown", (event) => {
  if (byId("application").hidden || document.querySelector("dialog[open]")) {
    return;
  }
  const key = `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.altKey ? "alt+" : ""}` +
    `${event.shiftKey && event.key.length === 1 && (event.ctrlKey || event.altKey) ? "shift+" : ""}${event.key.toLowerCase()}`;
  const typing = event.target.closest("input, textarea, select");
  const action = SHORTCUTS[key] || (!typing && !event.ctrlKey && !event.altKey && LETTERS[event.key]);
  if (action) {
    event.preventDefault();
    action();
  }
});

// A file that misses the artifacts must not replace the page.
for (const type of ["dragover", "drop"]) {
  window.addEventListener(type, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
}

window.addEventListener("beforeunload", () => stream.close());
api.onExpired(() => showLogin("Your session ended. Please log in again."));

showColumns();
showRollouts();
showHistory();
showDangling();
showSettings();
showElsewhere();
if (localStorage.getItem(KNOWN)) {
  api.get("/v1/session").then(enter).catch((error) => showLogin(error.status === 401 ? "" : error.message));
} else {
  showLogin("");
}
