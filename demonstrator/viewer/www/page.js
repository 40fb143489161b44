// page.js - what all pages share: the coloured line on top, numbers and times as text.
"use strict";

const SEGMENTS = ["#e8731a", "#ec8a16", "#efa013", "#f2b711", "#e5c41b", "#bfbf2e", "#98b942", "#70b157", "#48a86d",
  "#2a9d86", "#1e8aa3", "#1a76b5", "#1668b8"];

const segments = document.querySelector(".segments");
for (const colour of SEGMENTS) {
  const segment = document.createElement("i");
  segment.style.background = colour;
  segments.append(segment);
}

const byId = (id) => document.getElementById(id);

function formatNumber(value, digits) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return "–";
  }
  return value.toLocaleString(undefined, {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

function formatTime(ms) {
  return new Date(ms).toLocaleTimeString(undefined, {hour12: false});
}

function showError(text) {
  const element = byId("error");
  element.textContent = text;
  element.hidden = !text;
}
