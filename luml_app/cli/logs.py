"""`luml logs` and `luml requests`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import as_json, orbit_option, printable

if TYPE_CHECKING:
    from luml_app.schemas.logs import LogLine, RequestRecord

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


def _chosen(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which lines."""
    options = (
        click.argument("deployment"),
        orbit_option,
        click.option("-f", "--follow", is_flag=True, help="Go on with the lines to come, until Ctrl-C."),
        click.option(
            "--since", callback=_since, is_eager=True, metavar="TIME",
            help="From a time on, or for so long: 10m, 2h, 7d.",
        ),
        click.option(
            "--tail", callback=_tail, metavar="LINES", help="The last so many lines, or all (1000; with --since all)."
        ),
        click.option("--revision", type=click.IntRange(1), help="Only this revision, by its number."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_chosen
@click.option("--replica", type=click.IntRange(0), help="Only this replica.")
@as_json
def logs(deployment: str, orbit: str | None, as_json: bool, **chosen: Any) -> None:
    """Show what DEPLOYMENT, by name or id, has printed, and what its satellite has done with it."""
    from luml_app.client.http import Client

    with Client() as client:
        _show(client.orbit(orbit).deployment(deployment).logs(**chosen), as_json)


@click.command()
@_chosen
@as_json
def requests(deployment: str, orbit: str | None, as_json: bool, **chosen: Any) -> None:
    """Show the requests of DEPLOYMENT, by name or id, that its parameter `monitoring` has its satellite record."""
    from luml_app.client.http import Client

    with Client() as client:
        _show(client.orbit(orbit).deployment(deployment).requests(**chosen), as_json)


def _show(lines: Iterable[LogLine | RequestRecord], as_json: bool) -> None:
    import msgspec

    with suppress(KeyboardInterrupt):
        for line in lines:
            click.echo(msgspec.json.encode(line).decode() if as_json else printable(str(line), keep="\t"))
