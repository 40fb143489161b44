// elsewhere.js - the link to the application's own page, shown while that one answers.

import * as api from "./api.js";
import {byId} from "./dom.js";
import {state} from "./state.js";

const LOOK_MS = 10000;

async function look() {
  if (document.hidden || !state.session) {
    return;
  }
  let place = null;
  try {
    place = (await api.get("/v1/pages")).dashboard;
  } catch (error) {
    // The server is away, or the session is over: the page says so itself.
  }
  const link = byId("dashboard-link");
  if (place) {
    link.href = place.url || `http://${location.hostname}:${place.port}/dashboard.html`;
  }
  link.hidden = !place;
}

export function showElsewhere() {
  state.addEventListener("session", look);
  document.addEventListener("visibilitychange", look);
  setInterval(look, LOOK_MS);
}
