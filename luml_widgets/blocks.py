"""What a screen is made of, as plain data. A viewer returns blocks; `Part` draws them in the browser.

A block is a JSON object with a `kind`; a cell is a text or a JSON object (see `figures`). An act is what a person may
do: ``{"act": name, "value": anything}`` comes back to the viewer, which names its handlers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Block = dict[str, Any]
Cell = Any


def head(title: str, *, crumbs: Sequence[Block] = (), note: Cell = None, actions: Sequence[Block] = ()) -> Block:
    """The object's real name as the title, the way that leads to it, one line about it, and what one can do."""
    return {"kind": "head", "title": title, "crumbs": list(crumbs), "note": note, "actions": list(actions)}


def crumb(label: str, href: str | None = None) -> Block:
    """One step of the way."""
    return {"label": label, "href": href}


def action(label: str, act: str, value: Any = None, **more: Any) -> Block:
    """A button. `more`: tone="primary", disabled=True, hint="why"."""
    return {"label": label, "act": act, "value": value, **more}


def link(label: str, href: str, **more: Any) -> Block:
    """A button that leads to an address."""
    return {"label": label, "href": href, **more}


def menu(label: str, items: Sequence[Block], **more: Any) -> Block:
    """A button that opens a list of actions; an item with `checked` is a box to tick."""
    return {"label": label, "items": list(items), **more}


def kpis(items: Sequence[Block]) -> Block:
    """A strip of figures: label, value, and perhaps note, tone and href."""
    return {"kind": "kpis", "items": list(items)}


def kpi(label: str, value: str, note: str | None = None, **more: Any) -> Block:
    """One figure of a strip."""
    return {"label": label, "value": value, "note": note, **more}


def column(key: str, label: str, **more: Any) -> Block:
    """A column. `more`: numeric=True, sort=True, width="30%", hint, main=True for the one that names the row."""
    return {"key": key, "label": label, **more}


def table(name: str, columns: Sequence[Block], rows: Sequence[Block], **more: Any) -> Block:
    """A table. `more`: sort=(key, order), select=True, busy=True, label for screen readers."""
    return {"kind": "table", "name": name, "columns": list(columns), "rows": list(rows), **more}


def row(key: Any, cells: Sequence[Cell], **more: Any) -> Block:
    """A row of a table. `more`: href or act for a click on it, selected=True."""
    return {"id": str(key), "cells": list(cells), **more}


def bar(**parts: Any) -> Block:
    """A line of tools. Parts: search, placeholder, choices, menus, note, pager, actions."""
    return {"kind": "bar", **parts}


def choice(label: str, act: str, value: Any, *, active: bool) -> Block:
    """One of a row of choices that exclude each other."""
    return {"label": label, "act": act, "value": value, "active": active}


def tabs(items: Sequence[Block]) -> Block:
    """Tabs, made of `choice`s."""
    return {"kind": "tabs", "items": list(items)}


def section(title: str, blocks: Sequence[Block], note: str | None = None) -> Block:
    """Blocks under a title."""
    return {"kind": "section", "title": title, "blocks": list(blocks), "note": note}


def columns(*sides: Sequence[Block]) -> Block:
    """Blocks side by side, one below the other on narrow screens; the first side is the wider one."""
    return {"kind": "columns", "sides": [list(side) for side in sides]}


def facts(items: Sequence[tuple[str, Cell]]) -> Block:
    """Names and values."""
    return {"kind": "facts", "items": [{"label": label, "value": value} for label, value in items]}


def cards(items: Sequence[Block]) -> Block:
    """Cards that lead somewhere: title, href, note, status, meta (cells)."""
    return {"kind": "cards", "items": list(items)}


def code(text: str, label: str | None = None) -> Block:
    """Text to be pasted, with a button that copies it."""
    return {"kind": "code", "text": text, "label": label}


def log(lines: Sequence[Block]) -> Block:
    """Lines of a log: id, time, clock, from, stream, text. It stays at its end while nobody scrolls up."""
    return {"kind": "log", "lines": list(lines)}


def prose(text: str) -> Block:
    """A paragraph."""
    return {"kind": "prose", "text": text}


def empty(title: str, text: str, code_text: str | None = None) -> Block:
    """Nothing is here yet: what this is, and the first step, with the code to paste."""
    return {"kind": "empty", "title": title, "text": text, "code": code_text}


def notice(title: str, text: str, *, tone: str = "bad", act: Block | None = None) -> Block:
    """Something to know: what happened, what to do, and the button that does it."""
    return {"kind": "notice", "title": title, "text": text, "tone": tone, "action": act}


def skeleton(rows: int = 8) -> Block:
    """A grey sketch while data are on their way."""
    return {"kind": "skeleton", "rows": rows}


def form(name: str, fields: Sequence[Block], submit: Block, more: Sequence[Block] = ()) -> Block:
    """Fields and a button; what is filled in comes back as the act of `submit`, by name, as texts."""
    return {"kind": "form", "name": name, "fields": list(fields), "submit": submit, "more": list(more)}


def field(name: str, label: str, **more: Any) -> Block:
    """A field. `more`: type text|number|select|boolean|json|password, value, options, hint, error, note."""
    return {"name": name, "label": label, **more}
