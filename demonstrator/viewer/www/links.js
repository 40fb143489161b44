// links.js - links to the provisioning page, shown while that one answers.
"use strict";

const LINKS_MS = 10000;

async function showLinks() {
  let place = null;
  try {
    const reply = await fetch("/links");
    place = reply.ok ? (await reply.json()).provisioning : null;
  } catch (error) {
    // The viewer is away, or wants a login first: then there is no link.
  }
  for (const link of document.querySelectorAll("a[data-to=provisioning]")) {
    if (place) {
      link.href = place.url || `http://${location.hostname}:${place.port}/`;
    }
    (link.closest("[data-whole]") || link).hidden = !place;
  }
}

showLinks();
setInterval(() => document.hidden || showLinks(), LINKS_MS);
document.addEventListener("visibilitychange", () => document.hidden || showLinks());
