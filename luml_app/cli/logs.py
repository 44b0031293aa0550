"""`luml logs`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from luml_app.cli.output import as_json, orbit_option, printable

if TYPE_CHECKING:
    from luml_app.schemas.logs import LogLine

USUAL_LINES = 1000
MOST_LINES = 100_000
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _since(_ctx: click.Context, _option: click.Parameter, value: str | None) -> datetime | timedelta | None:
    """A time (one without a zone is this machine's), or how long ago."""
    if value is None:
        return None
    if ago := re.fullmatch(r"(\d{1,6})([smhd])", value):
        return timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    with suppress(ValueError):
        return datetime.fromisoformat(value)
    raise click.BadParameter(f"{value!r} is neither a time such as 2026-01-31T12:00 nor a duration such as 10m or 2h.")


def _tail(ctx: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """A number of lines; None for all. Without a word of the user's, all since the time that was asked for."""
    if value is None:
        return None if ctx.params.get("since") else USUAL_LINES
    if value == "all":
        return None
    with suppress(ValueError):
        if 0 <= (lines := int(value)) <= MOST_LINES:
            return lines
    raise click.BadParameter(f"{value!r} is neither a number from 0 to {MOST_LINES} nor all.")


@click.command()
@click.argument("deployment")
@orbit_option
@click.option("-f", "--follow", is_flag=True, help="Go on with the lines to come, until Ctrl-C.")
@click.option(
    "--since", callback=_since, is_eager=True, metavar="TIME", help="From a time on, or for so long: 10m, 2h, 7d."
)
@click.option(
    "--tail", callback=_tail, metavar="LINES", help="The last so many lines, or all (1000; with --since all)."
)
@click.option("--revision", type=click.IntRange(1), help="Only this revision, by its number.")
@click.option("--replica", type=click.IntRange(0), help="Only this replica.")
@as_json
def logs(
    deployment: str,
    orbit: str | None,
    follow: bool,
    tail: int | None,
    since: datetime | timedelta | None,
    revision: int | None,
    replica: int | None,
    as_json: bool,
) -> None:
    """Show what DEPLOYMENT, by name or id, has printed, and what its satellite has done with it."""
    from luml_app.client.http import Client

    with Client() as client:
        live = client.orbit(orbit).deployment(deployment)
        lines = live.logs(follow=follow, tail=tail, since=since, revision=revision, replica=replica)
        with suppress(KeyboardInterrupt):
            _show(lines, as_json)


def _show(lines: Iterable[LogLine], as_json: bool) -> None:
    import msgspec

    for line in lines:
        click.echo(msgspec.json.encode(line).decode() if as_json else printable(str(line), keep="\t"))
