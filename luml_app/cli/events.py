"""`luml events …`: the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import click

from luml_app.cli.output import ago, as_json, organization_option, printable, show_json, show_table

if TYPE_CHECKING:
    from luml_app.client.http import Client
    from luml_app.schemas.events import Event


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A time in ISO 8601; without a zone, of this machine's."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time."""
        try:
            return datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-03-01 or 2026-03-01T12:00:00Z.", param, ctx)


_OPTIONS = (
    organization_option,
    click.option("--orbit", help="Only of this orbit, by name or id; orbit admins may read this."),
    click.option("--actor", help="Only what this one did: an e-mail address, or an id."),
    click.option("--action", help="Only this action, or those that begin so: artifact."),
    click.option("--object", "object_id", help="Only what was done to the object with this id."),
    click.option("--since", type=Moment(), help="From then on."),
    click.option("--until", type=Moment(), help="Before then."),
)


def _filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def events() -> None:
    """List, export and follow the audit log."""


@events.command("list")
@_filtered
@click.option("--limit", type=click.IntRange(min=0), default=50, help="At most so many (50); 0 for all.")
@as_json
def list_events(limit: int, as_json: bool, **options: Any) -> None:
    """List who did what, the latest first."""
    from luml_app.client.http import Client

    with Client() as client:
        found = list(islice(_events(client, options)(), limit or None))
    if as_json:
        show_json(found)
        return
    rows = [(ago(e.at), e.action, e.actor_name or e.actor_kind, e.object_id, e.why) for e in found]
    show_table(("when", "action", "who", "object", "why"), rows, "No events.")


@events.command()
@_filtered
@click.option("--output", type=click.File("wb"), default="-", help="A file (standard output).")
def export(output: IO[bytes], **options: Any) -> None:
    """Write events as JSON lines, oldest first."""
    from luml_app.client.http import Client

    with Client() as client:
        for event in _events(client, options)(order="asc"):
            output.write(_line(event))


@events.command("follow")
@_filtered
@click.option("--every", type=click.FloatRange(min=0.1), default=1.0, help="Seconds between two looks (1).")
@as_json
def follow_events(every: float, as_json: bool, **options: Any) -> None:
    """Show events as they happen, until Ctrl-C."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import follow

    options["since"] = None  # it begins now
    with Client() as client:
        for event in follow(_events(client, options), every=every):
            if as_json:
                click.echo(_line(event), nl=False)
            else:
                who = event.actor_name or event.actor_kind
                click.echo(
                    printable(f"{event.at.astimezone():%H:%M:%S}  {event.action}  {who}  {event.object_id or ''}")
                )


def _events(client: Client, options: dict[str, Any]) -> Callable[..., Iterator[Event]]:
    """How to read the events of the organization or orbit that was named, with the filters that were given."""
    wanted = {k: v for k, v in options.items() if k not in {"organization", "orbit"} and v is not None}
    place = client.orbit(options["orbit"]) if options["orbit"] else client.organization(options["organization"])
    return lambda **more: place.events(**{**wanted, **more})


def _line(event: Event) -> bytes:
    import msgspec

    return msgspec.json.encode(event) + b"\n"
