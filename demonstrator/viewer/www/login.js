// login.js - opens a session by the password.
"use strict";

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const reply = await fetch("/login", {method: "POST", body: new URLSearchParams(new FormData(event.target))});
    if (reply.ok) {
      window.location = "/dashboard.html";
    } else {
      showError(await reply.text());
    }
  } catch (error) {
    showError("The viewer does not answer.");
  }
});
