"use strict";

const entry = document.getElementById("entry");
const trouble = document.getElementById("trouble");

async function open(key) {
  const answer = await fetch("openapi.json", { headers: { Authorization: `Bearer ${key}` } });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail || `The deployment answered ${answer.status}`);
  // The page may be reached under another name than callers use, and its security policy knows only its own.
  told.servers = [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
  document.title = told.info.title;
  entry.hidden = true;
  const reference = SwaggerUIBundle({
    spec: told,
    dom_id: "#reference",
    deepLinking: true,
    tryItOutEnabled: true,
    onComplete: () => reference.preauthorizeApiKey("key", key),
  });
}

entry.addEventListener("submit", async (event) => {
  event.preventDefault();
  trouble.textContent = "";
  try {
    await open(document.getElementById("key").value.trim());
  } catch (error) {
    trouble.textContent = error.message;
  }
});
