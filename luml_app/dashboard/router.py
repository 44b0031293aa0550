"""The browser's address line: what is shown follows it, and it follows what is shown."""

from __future__ import annotations

import param
from panel.custom import JSComponent


class Router(JSComponent):
    """Turns clicks on links of the dashboard, Back and Forward into changes of `url`, and such changes into history.

    Panel's own `Location` does not hear the Back button. Path and query are one param: two would make two entries
    of history for one step.
    """

    url = param.String(default="/app", doc="Path and query of the address line.")
    heading = param.String(default="", doc="The title of the browser's tab.")
    leave = param.String(default="", doc="Set to an address outside the dashboard to go there.")

    _esm = """
export function render({ model, view }) {
  const here = () => location.pathname + location.search
  const mine = (a) => a.origin === location.origin && (a.pathname === "/app" || a.pathname.startsWith("/app/"))
  model.on("url", () => { if (model.url !== here()) { history.pushState({}, "", model.url); scrollTo(0, 0) } })
  model.on("heading", () => { document.title = model.heading })
  model.on("leave", () => { if (model.leave) location.assign(model.leave) })
  const back = () => { model.url = here() }
  const click = (e) => {
    if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    const a = e.composedPath().find((n) => n.tagName === "A" && n.href)
    if (!a || (a.target && a.target !== "_self") || !mine(a)) return
    e.preventDefault()
    if (a.pathname + a.search !== here()) { model.url = a.pathname + a.search }
  }
  const ticks = ["checkbox", "radio", "button", "submit"]
  const typing = (e) => e.composedPath().some((n) =>
    ["TEXTAREA", "SELECT"].includes(n.tagName) || (n.tagName === "INPUT" && !ticks.includes(n.type)))
  const search = (node) => node.querySelector("[data-search]") ||
    [...node.querySelectorAll("*")].reduce((found, n) => found || (n.shadowRoot && search(n.shadowRoot)), null)
  const key = (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || typing(e)) return
    const field = search(document.body)
    if (field) { e.preventDefault(); field.focus() }
  }
  // The server has gone, or restarted: this session is over. The address says everything, so a reload brings it back.
  const lost = () => {
    const bar = document.createElement("div")
    bar.setAttribute("role", "alert")
    bar.textContent = "The connection to the server is lost. This page comes back by itself when the server does."
    bar.style.cssText = "position:fixed;inset:0 0 auto 0;z-index:9999;padding:10px;text-align:center;" +
      "background:#875000;color:#fff;font:13px Roboto,system-ui,sans-serif"
    document.body.append(bar)
    const look = async () => {
      try { if ((await fetch("/healthz", { cache: "no-store" })).ok) return location.reload() } catch { /* not yet */ }
      setTimeout(look, 2000)
    }
    setTimeout(look, 1000)
  }
  view.model.document.on_event("connection_lost", lost)
  window.addEventListener("popstate", back)
  document.addEventListener("click", click, true)
  document.addEventListener("keydown", key)
  model.on("remove", () => {
    window.removeEventListener("popstate", back)
    document.removeEventListener("click", click, true); document.removeEventListener("keydown", key)
  })
  return document.createElement("span")
}
"""
