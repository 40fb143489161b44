// settings.js - the auto operator, limits, and accounts.

import * as api from "./api.js";
import {cancel, confirmed, openDialog} from "./dialog.js";
import {attempt, byId, h, tell} from "./dom.js";
import {state} from "./state.js";

const FIELDS = [
  ["register", "Register by itself", "LDAP filter over what a target reports, as (target.component=*). Empty: nobody."],
  ["approve", "Approve by itself, always", "Targets that match are approved whenever something differs."],
  ["autoApprove", "Switch on “approves by itself”", "Targets that match get it when they are registered."],
  ["versionsKept", "Versions kept", "Of each target; 0: all."],
  ["forgetSeconds", "Forget after, s", "Ephemeral agents that were silent for so long are forgotten."],
];
const NUMBERS = ["versionsKept", "forgetSeconds"];
const ROLES = ["admin", "release-manager", "distribution-manager", "target-manager", "target-operator",
  "external-distribution-manager", "viewer"];

async function loadSettings() {
  const hidden = state.denied("viewTarget");
  if (hidden) {
    byId("settings").replaceChildren(h("p.muted", {}, `Not shown: ${hidden}.`));
    return;
  }
  const settings = await api.get("/v1/settings");
  const denied = state.denied("editUsers");
  const inputs = {};
  const form = h("form", {id: "settings-form", onsubmit: (event) => {
    event.preventDefault();
    attempt(async () => {
      const value = {};
      for (const [key] of FIELDS) {
        value[key] = NUMBERS.includes(key) ? Number(inputs[key].value) : inputs[key].value.trim() || null;
      }
      await api.put("/v1/settings", value);
      tell("The settings count from now on.");
    }, form.querySelector("button"));
  }}, h("fieldset", {disabled: Boolean(denied)}, FIELDS.map(([key, label, help]) => {
    inputs[key] = h("input.form-control", {id: `setting-${key}`, value: settings[key] ?? "", "aria-describedby":
      `setting-${key}-help`, type: NUMBERS.includes(key) ? "number" : "text", min: 0, spellcheck: "false"});
    return h("div.field", {}, h("label.form-label", {for: `setting-${key}`}, label), inputs[key],
      h("div.form-text", {id: `setting-${key}-help`}, help));
  }), h("button.btn.btn-primary.btn-sm", {type: "submit", title: denied || null}, "Set")),
  denied && h("p.muted", {}, `To look at only: ${denied}.`));
  byId("settings").replaceChildren(form);
}

// --- accounts ------------------------------------------------------------------------

function openAccount(account) {
  const name = h("input.form-control", {id: "account-name", value: account?.name || "", disabled: Boolean(account),
    required: true, maxlength: 64, autocomplete: "off"});
  const password = h("input.form-control", {id: "account-password", type: "password", autocomplete: "new-password",
    required: !account, maxlength: 1024});
  const role = h("select.form-select", {id: "account-role"}, ROLES.map((one) => h("option", {value: one}, one)));
  role.value = account?.role || "viewer";
  openDialog({title: account ? `Account ${account.name}` : "New account", id: "account-dialog", body: [
    h("label.form-label", {for: "account-name"}, "Name"), name, h("label.form-label", {for: "account-password"},
      account ? "New password (empty: as it is)" : "Password"), password, h("label.form-label", {for: "account-role"},
      "Role"), role],
  buttons: [cancel, {text: "Set", look: "primary", submit: true, action: async () => {
    await api.put(`/v1/accounts/${encodeURIComponent(name.value.trim())}`, password.value ?
      {password: password.value, role: role.value} : {role: role.value});
    tell(`Account ${name.value.trim()} is ${role.value}.`);
    await loadAccounts();
    state.askServer();
  }}]});
}

async function removeAccount(account) {
  if (await confirmed("Delete account?", h("p", {}, `${account.name} cannot log in any more.`), "Delete")) {
    await api.remove(`/v1/accounts/${encodeURIComponent(account.name)}`);
    tell(`Account ${account.name} is deleted.`);
    await loadAccounts();
  }
}

async function loadAccounts() {
  const denied = state.denied("editUsers");
  byId("create-account").hidden = Boolean(denied);
  if (denied) {
    byId("accounts").replaceChildren(h("p.muted", {}, `Not shown: ${denied}.`));
    return;
  }
  const {items} = await api.get("/v1/accounts");
  byId("accounts").replaceChildren(h("table.table.table-sm", {}, h("thead", {}, h("tr", {}, h("th", {scope: "col"}, "Name"),
    h("th", {scope: "col"}, "Role"), h("th"))), h("tbody", {}, items.map((one) => h("tr", {}, h("td", {}, one.name),
    h("td", {}, one.role), h("td.actions", {}, h("button.btn.btn-sm.btn-outline-secondary", {type: "button",
      onclick: () => openAccount(one)}, "Change"), h("button.btn.btn-sm.btn-outline-danger", {type: "button",
      onclick: () => attempt(() => removeAccount(one))}, "Delete")))))));
}

export function showSettings() {
  state.addEventListener("view", () => {
    if (document.body.dataset.view === "settings" && state.session) {
      attempt(loadSettings);
      attempt(loadAccounts);
    }
  });
  byId("create-account").addEventListener("click", () => openAccount(null));
}
