"""The one page of the dashboard: its frame, and the screen that the address asks for."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

import panel as pn
from panel_material_ui.template.base import Page

from luml_app.dashboard import chrome, screens
from luml_app.dashboard.addresses import HOME, ROOT, Address, read
from luml_app.dashboard.router import Router
from luml_app.dashboard.workspace import Place, Workspace
from luml_app.schemas.errors import LumlError, Unauthenticated
from luml_widgets import blocks as b
from luml_widgets import theme
from luml_widgets.board import Board
from luml_widgets.part import Part, in_background

log = logging.getLogger(__name__)

# The theme is the browser's own affair: it is read before the first paint, so that nothing flashes. Relative
# addresses of resources count from the root, however deep the page's own address is. Panel's own loader, a grey veil
# over everything, would hide the frame that is there at once; what is left of it is a line on top, and its errors.
_LOADER = """#loader { position: fixed; inset: 0 0 auto 0; display: none; justify-content: center; z-index: 9999;
  pointer-events: none }
.spinner { width: 30vw; height: 2px; margin-right: auto; background: ACCENT; animation: luml-wait 1.2s infinite }
@keyframes luml-wait { from { transform: translateX(-30vw) } to { transform: translateX(100vw) } }
#loader-error { display: none; margin: 12px; padding: 10px 16px; border-radius: 8px; background: BAD; color: #fff;
  font: 13px Roboto, system-ui, sans-serif }""".replace("ACCENT", theme.LIGHT.accent).replace("BAD", theme.LIGHT.bad)
TEMPLATE = """{% extends "base.html" %}{% block preamble %}<base href="/">
<script>
document.documentElement.dataset.lumlShell = ""
try { document.documentElement.dataset.theme = localStorage.getItem("luml-theme") || "" } catch {}
if (!document.documentElement.dataset.theme)
  document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"
</script>
<style>
html, body { background: LIGHT } html[data-theme=dark], html[data-theme=dark] body { background: DARK }
</style>{{ super() }}{% endblock %}{% block loader_css %}LOADER{% endblock %}"""
for _name, _text in {"LIGHT": theme.LIGHT.ground, "DARK": theme.DARK.ground, "LOADER": _LOADER}.items():
    TEMPLATE = TEMPLATE.replace(_name, _text)


class Shell:
    """One person's page. It shows a frame at once; what needs the registry comes from a thread."""

    def __init__(self, api: Any, url: str) -> None:
        self.api = api
        self.workspace = Workspace(api)
        self.board: Board[Any] | None = None
        self.router = Router(url=url)  # type: ignore[no-untyped-call]
        self._top = Part(layout="shell-top")
        self._sections = Part(layout="shell-nav")
        self._body = Part(layout="page")
        self._ticket = 0
        self.page = self._page()
        self.router.param.watch(lambda event: in_background(lambda: self.go(event.new)), "url")

    def _page(self) -> Page:
        self._body.draw([b.skeleton()])
        self._top.draw(chrome.top(self.workspace, None, HOME))
        self._sections.draw(chrome.sections(None, HOME))
        page = Page(  # type: ignore[no-untyped-call]
            title="",
            busy_indicator=None,
            meta_title="LUML",
            header=[self._top],
            sidebar=[self._sections],
            main=[self.router, self._body],
            sidebar_width=200,
            sidebar_resizable=False,
            theme_toggle=False,
            theme_config=theme.mui_theme(),
            template=TEMPLATE,
        )
        _forget_busy(page)
        return page

    def begin(self) -> None:
        """Fill the frame, once the browser has it."""
        self.go(self.router.url)

    def go(self, url: str) -> None:
        """Show the screen of an address. Of two that are asked for at once, the last one stays."""
        self._ticket += 1
        ticket, address = self._ticket, read(url)
        try:
            if not self.workspace.places:
                self.workspace.load()
            place = self.workspace.find(address.orbit_id)
        except LumlError as error:
            self._failed(error)
            return
        with self._body.lock:
            if ticket == self._ticket:
                self._frame(place, address)
                self._show(place, address)

    def _frame(self, place: Place | None, address: Address) -> None:
        self._top.draw(chrome.top(self.workspace, place, address))
        self._sections.draw(chrome.sections(place, address))
        self.router.heading = f"{screens.heading_of(address)} · LUML"

    def _show(self, place: Place | None, address: Address) -> None:
        if self.board is not None:
            self.board.end()
        self.board = screens.board_of(self.api, place, address) if place else None
        if self.board is None:
            self._body.draw(screens.without_board(place, address))
            return
        self.board.store.param.watch(self._heard, ["error", "loaded"])
        self.board.take(self._body)

    def _heard(self, event: Any) -> None:
        if isinstance(event.new, Unauthenticated):
            self._failed(event.new)
        elif event.name == "loaded" and self.board is not None and self.board.title:
            self.router.heading = f"{self.board.title} · LUML"

    def _failed(self, error: LumlError) -> None:
        if isinstance(error, Unauthenticated):
            self.router.leave = f"/login?next={quote(self.router.url, safe='')}"
            return
        with self._body.lock:
            self._body.on_act = self._act
            self._body.draw([b.notice("This could not be loaded.", error.message, act=b.action("Try again", "retry"))])

    def _act(self, name: str, _value: Any) -> None:
        if name == "retry":
            self.go(self.router.url)


def _forget_busy(page: Page) -> None:
    """Cut the page off from Panel's process-wide `state.busy`.

    `Page.busy` refers to it by a watcher that is never removed: it would keep every document that was ever opened,
    and write into each of them, from any thread, whenever any session is busy.
    """
    state = pn.state
    for watcher in list(state._param__private.watchers.get("busy", {}).get("value", [])):
        if getattr(getattr(watcher.fn, "__self__", None), "self", None) is page:
            state.param.unwatch(watcher)


def shell(api: Any, url: str) -> Shell:
    """A new page for a person, at an address. Call inside a Panel session."""
    pn.extension()
    made = Shell(api, url if url.startswith(ROOT) else ROOT)
    pn.state.onload(made.begin, threaded=True)
    return made
