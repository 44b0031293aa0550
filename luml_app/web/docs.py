"""The documentation at ``/docs``: Markdown pages rendered to plain HTML, nothing from other hosts."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from tornado.escape import xhtml_escape
from tornado.routing import URLSpec
from tornado.web import RedirectHandler, RequestHandler, StaticFileHandler

FOLDER = Path(__file__).parents[1] / "docs"
PAGES = (
    "index",
    "concepts",
    "python",
    "cli",
    "search",
    "rest",
    "accounts",
    "buckets",
    "models",
    "satellites",
    "calling",
    "operations",
    "webhooks",
    "formats",
    "reference",
)
_STATIC = Path(__file__).parent / "static"
_PAGE_LINK = re.compile(r"^([a-z-]+)\.md(#.*)?$")
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"


def docs_routes() -> list[URLSpec]:
    """The routes of the documentation; `/docs/api`, the interactive reference, is not among them."""
    return [
        URLSpec(r"/docs", RedirectHandler, {"url": "/docs/", "permanent": False}),
        URLSpec(r"/docs/(docs\.css)", StaticFileHandler, {"path": str(_STATIC)}),
        URLSpec(r"/docs/images/([\w-]+\.png)", StaticFileHandler, {"path": str(FOLDER / "images")}),
        URLSpec(r"/docs/(?!api(?:/|$))(.*)", DocumentationPage),
    ]


class DocumentationPage(RequestHandler):
    """One page. Public: it tells nothing about this installation."""

    def get(self, name: str) -> None:
        """The page; 404, with the list of pages, for a name that is none."""
        name = name.removesuffix("/").removesuffix(".md") or "index"
        if name not in PAGES:
            self.set_status(404)
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-cache")
        self.clear_header("Server")
        self.finish(html(name) if name in PAGES else _MISSING)

    head = get


class UnknownPage(RequestHandler):
    """Answers browsers at addresses where nothing is."""

    def prepare(self) -> None:
        """Say so, and where something is."""
        self.set_status(404)
        self.finish(_NOWHERE)


@dataclass(frozen=True)
class Page:
    """A page ready to be shown; `sections` are the anchors and titles of its second-level headings."""

    title: str
    body: str
    sections: tuple[tuple[str, str], ...]


def html(name: str) -> str:
    """A page of `PAGES` as a whole HTML document."""
    page = load(name)
    return _document(page.title, _navigation(name, page), page.body)


def load(name: str) -> Page:
    """Read and render a page; raises FileNotFoundError for one that does not exist."""
    return render((FOLDER / f"{name}.md").read_text(encoding="utf-8"))


@lru_cache(maxsize=64)
def render(text: str) -> Page:
    """Markdown to HTML, with an anchor on every heading and links between pages as the server has them."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    headings = list(_name_headings(tokens))
    for token in tokens:
        for child in token.children or ():
            _point_link(child)
    return Page(
        title=next((title for level, _, title in headings if level == "h1"), "Documentation"),
        body=markdown.renderer.render(tokens, markdown.options, {}),
        sections=tuple((anchor, title) for level, anchor, title in headings if level == "h2"),
    )


def anchor_of(title: str) -> str:
    """The anchor of a heading, the same that code hosts make of it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def _name_headings(tokens: list[Token]) -> Any:
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            title = "".join(child.content for child in inline.children or ())
            opening.attrSet("id", anchor_of(title))
            yield opening.tag, anchor_of(title), title


def _point_link(token: Token) -> None:
    target = token.attrGet("href") if token.type == "link_open" else None
    if found := _PAGE_LINK.match(str(target)):
        token.attrSet("href", _address(found[1]) + (found[2] or ""))


def _address(name: str) -> str:
    return "/docs/" if name == "index" else f"/docs/{name}"


def _navigation(current: str, page: Page) -> str:
    items = []
    for name in PAGES:
        here = ' aria-current="page"' if name == current else ""
        items.append(f'<li><a href="{_address(name)}"{here}>{xhtml_escape(load(name).title)}</a>')
        if name == current and page.sections:
            links = (f'<li><a href="#{anchor}">{xhtml_escape(title)}</a></li>' for anchor, title in page.sections)
            items.append(f"<ul>{''.join(links)}</ul>")
        items.append("</li>")
    items.append('<li><a href="/docs/api">Try the REST API</a></li>')
    return f"<ul>{''.join(items)}</ul>"


def _document(title: str, navigation: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{xhtml_escape("Documentation" if title == "LUML" else title)} · LUML</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/docs.css">
</head>
<body>
<a class="skip" href="#content">Skip to the text</a>
<header><a href="/docs/">LUML documentation</a><a href="/app">Open LUML</a></header>
<div class="columns">
<nav aria-label="Pages">{navigation}</nav>
<main id="content">{body}</main>
</div>
</body>
</html>
"""


_NOWHERE = _document(
    "Not found", "", '<h1>Not found</h1><p>Nothing is at this address: <a href="/app">Open LUML</a>.</p>'
)
_MISSING = _document("Not found", "", '<h1>Not found</h1><p>There is no such page: <a href="/docs/">all pages</a>.</p>')
