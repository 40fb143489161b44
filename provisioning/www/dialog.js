// dialog.js - dialogs on the browser's own element: it keeps the focus inside, and gives it back.

import {attempt, h} from "./dom.js";

// buttons: [{text, action, look, id, reason}]; an action that returns false keeps the dialog open, an error too.
// Returns {element, close}. Escape and the cross close it; onclose is called in any case.
export function openDialog({title, body, buttons = [], size = "", id, onclose}) {
  const heading = h("h2", {id: `dialog-title-${document.querySelectorAll("dialog").length}`}, title);
  const cross = h("button.btn-close", {type: "button", "aria-label": "Close", onclick: () => close()});
  const feet = buttons.map((one) => h(`button.btn.btn-${one.look || "outline-secondary"}`, {
    type: one.submit ? "submit" : "button", id: one.id, disabled: Boolean(one.reason), title: one.reason || null,
    onclick: one.submit ? null : (event) => act(one, event.currentTarget)}, one.text));
  const form = h("form", {method: "dialog", onsubmit: (event) => {
    event.preventDefault();
    const submit = buttons.findIndex((one) => one.submit);
    if (submit >= 0) {
      act(buttons[submit], feet[submit]);
    }
  }}, h("div.dialog-head", {}, heading, cross), h("div.notes"), h("div.dialog-body", {}, body),
  feet.length > 0 && h("div.dialog-foot", {}, feet));
  const element = h(`dialog${size ? "." + size : ""}`, {"aria-labelledby": heading.id, id}, form);

  async function act(one, button) {
    const result = await attempt(async () => {
      const answer = await one.action?.();
      return answer === undefined ? true : answer;
    }, button);
    if (result) {
      close();
    }
  }

  function close() {
    element.close();
  }

  element.addEventListener("close", () => {
    element.remove();
    onclose?.();
  });
  document.body.append(element);
  element.showModal();
  (form.querySelector("[autofocus], [role=tab][aria-selected=true]") || feet.find((one) => one.type === "submit") || cross).focus();
  return {element, close, heading};
}

export const cancel = {text: "Cancel"};

// "Really?": resolves with true when the person says so.
export function confirmed(title, body, word, look = "danger") {
  return new Promise((resolve) => {
    let answer = false;
    openDialog({title, body, id: "confirm", onclose: () => resolve(answer), buttons: [cancel, {text: word, look,
      submit: true, id: "confirmed", action: () => {
        answer = true;
      }}]});
  });
}

// Tabs within a dialog: [{title, build(panel)}]; a panel is built when it is first seen.
export function tabs(list) {
  const bar = h("div.tabs", {role: "tablist"});
  const place = h("div.tab-panels");
  const base = `tab-${Math.random().toString(36).slice(2, 8)}`;
  const parts = list.map((one, i) => {
    const panel = h("div", {role: "tabpanel", id: `${base}-panel-${i}`, "aria-labelledby": `${base}-${i}`, hidden: true});
    const button = h("button", {type: "button", role: "tab", id: `${base}-${i}`, "aria-controls": panel.id,
      onclick: () => show(i)}, one.title);
    bar.append(button);
    place.append(panel);
    return {panel, button, built: false};
  });
  function show(i) {
    parts.forEach((part, n) => {
      part.panel.hidden = n !== i;
      part.button.setAttribute("aria-selected", n === i);
      part.button.tabIndex = n === i ? 0 : -1;
    });
    if (!parts[i].built) {
      parts[i].built = true;
      list[i].build(parts[i].panel);
    }
  }
  bar.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (step) {
      event.preventDefault();
      const to = (parts.findIndex((part) => !part.panel.hidden) + step + parts.length) % parts.length;
      show(to);
      parts[to].button.focus();
    }
  });
  show(0);
  return h("div", {}, bar, place);
}
