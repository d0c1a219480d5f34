"use strict";

// The token is in the fragment, which browsers send to nobody; it goes to the API in a header.
const token = location.hash.slice(1);
const main = document.querySelector("main");
const find = (selector) => main.querySelector(selector);
const PAUSE_MS = 2000;
let timer;

async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${token}`, Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/link-page${path}`, {
    method, headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store",
  });
  return { ok: answer.ok, status: answer.status, data: await answer.json() };
}

function show(page) {
  main.dataset.status = page.status;
  find(".name").textContent = page.name;
  find(".text").textContent = page.text;
  if (page.qr && find(".code img").src !== page.qr.image) find(".code img").src = page.qr.image;
  if (page.pairing_code) main.dataset.code = ""; else delete main.dataset.code;
  find("output").textContent = page.pairing_code || "";
  const until = new Date(page.expires_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  find(".until").textContent = `This page can be used until ${until}.`;
}

function over(text) {
  main.dataset.status = "over";
  find(".text").textContent = text;
}

async function look() {
  clearTimeout(timer);
  try {
    const { ok, status, data } = await call("GET", "");
    if (ok) {
      show(data);
      if (data.status === "linked") return;
    } else if (status === 422) {
      over("This link has expired or was used. Ask for another one.");
      return;
    }
  } catch {
    // Offline for a moment: the next look will tell.
  }
  timer = setTimeout(look, PAUSE_MS);
}

async function start() {
  try {
    const { ok, status, data } = await call("POST", "/start");
    if (ok) show(data);
    else if (status !== 422 && status !== 409) find(".text").textContent = data.detail;
  } finally {
    await look();
  }
}

async function ask(event) {
  event.preventDefault();
  const button = find("form button");
  button.disabled = true;
  try {
    const { ok, data } = await call("POST", "/pairing-code", { phone: find("#phone").value });
    find(".problem").textContent = ok ? "" : (data.errors?.[0] ?? data).detail;
    if (ok) show(data);
  } catch {
    find(".problem").textContent = "The server could not be reached. Try again.";
  } finally {
    button.disabled = false;
  }
}

find("form").addEventListener("submit", ask);
find(".again").addEventListener("click", start);
document.addEventListener("visibilitychange", () => { if (!document.hidden && main.dataset.status !== "linked") look(); });
if (token) start(); else over("This link is not complete. Ask for another one.");
