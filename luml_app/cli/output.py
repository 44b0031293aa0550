"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
organization_option = click.option(
    "--organization", help="The organization, by name or id; needed when you are in several."
)
orbit_option = click.option("--orbit", help="The orbit, by name or id; needed when you can enter several.")


def show_json(value: Any) -> None:
    """Print a value as indented JSON."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def show_table(heads: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Print rows in columns; `empty` says what to do when there are none."""
    texts = [["" if cell is None else printable(str(cell), keep="") for cell in row] for row in rows]
    if not texts:
        click.echo(empty)
        return
    widths = [max(len(head), *(len(row[i]) for row in texts)) for i, head in enumerate(heads)]
    for row in ([head.upper() for head in heads], *texts):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def printable(text: str, keep: str = "\n") -> str:
    """The text without characters that command a terminal: names are made by others."""
    return "".join(c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text)


def size(count: int) -> str:
    """Bytes as people read them."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def ago(moment: datetime) -> str:
    """How long ago, in one unit."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"
