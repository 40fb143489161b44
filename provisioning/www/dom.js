// dom.js - elements, icons, numbers and times as text; what all modules of the page share.

export const byId = (id) => document.getElementById(id);

// h("button.btn", {type: "button", onclick: f, "aria-label": "x"}, "text", element, null)
export function h(tag, properties, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) {
    element.className = classes.join(" ");
  }
  for (const [key, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) {
      continue;
    }
    if (key.startsWith("on")) {
      element.addEventListener(key.slice(2), value);
    } else if (key === "value" || key === "checked" || key === "indeterminate") {
      element[key] = value;
    } else if (key === "data") {
      Object.assign(element.dataset, value);
    } else {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Drawn for this page on 16 x 16, one path each.
const ICONS = {
  bundle: "M8 1.5 14 4.5v7l-6 3-6-3v-7zM2 4.5l6 3 6-3M8 7.5v7",
  configuration: "M2 4h6M12 4h2M2 8h2M8 8h6M2 12h7M13 12h1M10 2.5v3M6 6.5v3M11 10.5v3",
  processor: "M4.5 4.5h7v7h-7zM6.5 1.5v3M9.5 1.5v3M6.5 11.5v3M9.5 11.5v3M1.5 6.5h3M1.5 9.5h3M11.5 6.5h3M11.5 9.5h3",
  feature: "M2.5 5h3a1.8 1.8 0 1 1 3.6 0h3v3.2a1.8 1.8 0 1 1 0 3.4V14H2.5z",
  distribution: "M8 1.5 14.5 5 8 8.5 1.5 5zM1.5 8 8 11.5 14.5 8M1.5 11 8 14.5 14.5 11",
  target: "M2 2.5h12v8H2zM5.5 13.5h5M8 10.5v3",
  plus: "M8 3v10M3 8h10",
  edit: "M3 13l.6-3L10.5 3l2.4 2.4L6 12.4zM9.3 4.2l2.5 2.5",
  remove: "M3 4.5h10M6.5 4.5V2.5h3v2M4.5 4.5l.6 9h5.8l.6-9M6.8 7v4M9.2 7v4",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.3 4.3L11.3 8.8M9 11.5 7.5 13a3 3 0 0 1-4.3-4.3L4.7 7.2",
  unlink: "M7 4.5l1.5-1.5a3 3 0 0 1 4.3 4.3L11.3 8.8M9 11.5 7.5 13a3 3 0 0 1-4.3-4.3L4.7 7.2M2.5 2.5l11 11",
  closed: "M6 3.5 10.5 8 6 12.5",
  open: "M3.5 6 8 10.5 12.5 6",
  good: "M2.5 8.5l3.5 4 7.5-9",
  bad: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  waiting: "M8 2a6 6 0 1 0 .01 0M8 4.5V8l2.5 1.5",
  busy: "M13.5 8A5.5 5.5 0 1 1 11.5 3.7M11.7 1v3h-3",
  idle: "M3.5 8h9",
  unknown: "M5.5 6a2.5 2.5 0 1 1 3.6 2.2C8.2 8.7 8 9 8 10M8 12.4v.6",
  warning: "M8 2 14.5 13.5h-13zM8 6.5v3.2M8 11.4v.6",
  fresh: "M8 2v12M2 8h12M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4",
  pause: "M5.5 3v10M10.5 3v10",
  play: "M4.5 2.5 13 8l-8.5 5.5z",
  stop: "M4 4h8v8H4z",
  back: "M6.5 3 2.5 7l4 4M3 7h6.5a4 4 0 0 1 0 7.5H7",
  upload: "M8 11V2.5M4.5 6 8 2.5 11.5 6M2.5 10.5v3h11v-3",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name] || ICONS.unknown);
  svg.append(path);
  return svg;
}

// A small button with an icon; `reason` disables it and says why.
export function iconButton(name, label, onclick, reason) {
  return h("button.icon-button", {type: "button", title: reason ? `${label}: ${reason}` : label, "aria-label": label,
    "aria-disabled": reason ? "true" : null, tabindex: "-1", onclick: (event) => {
      event.stopPropagation();
      if (!reason) {
        onclick(event);
      }
    }}, icon(name));
}

// Disables with a reason that can be read, also by keyboard: disabled elements get no focus.
export function allow(button, reason, title) {
  button.toggleAttribute("disabled", Boolean(reason));
  button.title = reason || title || "";
}

export function formatTime(ms) {
  if (!ms) {
    return "never";
  }
  const date = new Date(ms);
  const today = new Date().toDateString() === date.toDateString();
  return today ? date.toLocaleTimeString(undefined, {hour12: false}) :
    date.toLocaleString(undefined, {hour12: false, dateStyle: "medium", timeStyle: "medium"});
}

export function formatAge(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (!ms) {
    return "never";
  }
  const [n, unit] = seconds < 90 ? [seconds, "s"] : seconds < 5400 ? [Math.round(seconds / 60), "min"] :
    seconds < 172800 ? [Math.round(seconds / 3600), "h"] : [Math.round(seconds / 86400), "days"];
  return `${n} ${unit} ago`;
}

export function formatSize(bytes) {
  const n = Number(bytes);
  if (!Number.isFinite(n)) {
    return "–";
  }
  return n < 1024 ? `${n} bytes` : n < 1048576 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1048576).toFixed(1)} MiB`;
}

export const plural = (n, one, many) => `${n.toLocaleString()} ${n === 1 ? one : many || one + "s"}`;

// Calls f once per frame however often it is asked to: events come in bursts.
export function oncePerFrame(f) {
  let asked = false;
  return () => {
    if (!asked) {
      asked = true;
      // Frames stand still in a tab that is not seen; its state must not.
      const run = () => {
        asked = false;
        f();
      };
      if (document.hidden) {
        setTimeout(run, 100);
      } else {
        requestAnimationFrame(run);
      }
    }
  };
}

// Calls f at once, and then at most each `ms` however often it is asked to; the last time is never left out.
export function atMostEach(ms, f) {
  let next = 0;
  let timer = 0;
  const run = () => {
    timer = 0;
    next = Date.now() + ms;
    f();
  };
  return () => {
    timer = timer || setTimeout(run, Math.max(0, next - Date.now()));
  };
}

// Calls f when nobody has asked for `ms`.
export function settle(ms, f) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(f, ms);
  };
}

// A line that goes away by itself; errors stay until they are closed.
export function tell(text, bad, where) {
  const note = h("div.notice.toast-line" + (bad ? ".error" : ""), {role: bad ? "alert" : "status"}, h("span", {}, text),
    h("button.btn-close", {type: "button", "aria-label": "Close", onclick: () => note.remove()}));
  // An error belongs to what was tried in the dialog; a success outlives it.
  const place = where || (bad && document.querySelector("dialog[open]:last-of-type .notes")) || byId("notes");
  if (!bad) {
    place.querySelectorAll("[role=status]").forEach((old) => old.remove()); // the newest says enough
  }
  place.append(note);
  while (place.children.length > 4) {
    place.firstElementChild.remove();
  }
  if (!bad) {
    setTimeout(() => note.remove(), 6000);
  }
}

const tellError = (error) => tell(error.message || String(error), true);

// Runs an async action of a button: no second click while it runs, its error told.
export async function attempt(action, button) {
  button?.toggleAttribute("disabled", true);
  try {
    return await action();
  } catch (error) {
    tellError(error);
    return undefined;
  } finally {
    button?.toggleAttribute("disabled", false);
  }
}
