// api.js - requests to the server, and its live stream.

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const AWAY = "The server does not answer; nothing was changed. The page tries again by itself.";
let expired = () => {};

// Called when the server says that there is no session (any more).
export function onExpired(f) {
  expired = f;
}

async function failure(reply) {
  let code = "failed";
  let message = "";
  try {
    const body = await reply.json();
    code = body.error || code;
    message = body.message || "";
  } catch (error) {
    // No JSON: something between us and the server answered.
  }
  return new ApiError(reply.status, code, message || `The server answered ${reply.status} without a reason.`);
}

export async function request(method, path, body) {
  let reply;
  try {
    reply = await fetch(path, {method, body: body === undefined ? undefined : JSON.stringify(body),
      headers: body === undefined ? {} : {"Content-Type": "application/json"}});
  } catch (error) {
    throw new ApiError(0, "unavailable", AWAY);
  }
  if (!reply.ok) {
    const error = await failure(reply);
    if (reply.status === 401 && path !== "/v1/session") {
      expired();
    }
    throw error;
  }
  return reply.status === 204 ? null : reply.json();
}

export const get = (path) => request("GET", path);
export const post = (path, body = {}) => request("POST", path, body);
export const put = (path, body) => request("PUT", path, body);
export const remove = (path) => request("DELETE", path);

export function query(path, parameters) {
  const used = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return used.length ? `${path}?${new URLSearchParams(used)}` : path;
}

// All pages of a list; `each(items, next)` as they come.
export async function pages(path, parameters, each) {
  let after = "";
  do {
    const page = await get(query(path, {...parameters, limit: 1000, after}));
    each(page.items);
    after = page.next;
  } while (after);
}

// One file; progress(sent, total). XMLHttpRequest, because fetch tells no progress.
export function upload(file, workspace, progress) {
  return new Promise((resolve, reject) => {
    const sender = new XMLHttpRequest();
    sender.open("POST", query("/v1/artifacts", {filename: file.name, workspace}));
    sender.setRequestHeader("Content-Type", "application/octet-stream");
    sender.upload.addEventListener("progress", (event) => progress(event.loaded, event.total));
    sender.addEventListener("load", () => {
      let body = null;
      try {
        body = JSON.parse(sender.responseText);
      } catch (error) {
        // Told below.
      }
      if (sender.status === 200 || sender.status === 201) {
        resolve({object: body, existed: sender.status === 200});
      } else {
        reject(new ApiError(sender.status, body?.error || "failed",
          body?.message || `The server answered ${sender.status} without a reason.`));
      }
    });
    sender.addEventListener("error", () => reject(new ApiError(0, "unavailable",
      "The upload broke off: the server closed the connection. Nothing was stored.")));
    sender.send(file);
  });
}

const EVENTS = ["revision", "target", "target-gone", "version", "rollout", "audit", "workspace", "reset", "cursor"];
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

// The live stream: goes on where it broke off. The browser's own reconnecting has no back-off, so we do it.
export class Stream {
  // take(type, data); state("live" | "connecting" | "lost", seconds until the next try)
  constructor(take, state) {
    this.take = take;
    this.state = state;
    this.wait = FIRST_WAIT_MS;
  }

  open(cursor) {
    this.close();
    this.cursor = cursor;
    this.connect();
  }

  connect() {
    const source = new EventSource(query("/v1/events", {after: this.cursor}));
    this.source = source;
    source.addEventListener("open", () => {
      this.wait = FIRST_WAIT_MS;
      this.state("live");
    });
    for (const type of EVENTS) {
      source.addEventListener(type, (event) => {
        this.cursor = event.lastEventId || this.cursor;
        if (type !== "cursor") { // that says only how far we are: other events are not for this account
          this.take(type, event.data ? JSON.parse(event.data) : null);
        }
      });
    }
    source.addEventListener("error", () => {
      source.close();
      if (this.source === source) {
        const wait = this.wait * (0.75 + Math.random() / 2);
        this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
        this.state("lost", Math.ceil(wait / 1000));
        this.timer = setTimeout(() => this.connect(), wait);
      }
    });
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
}
