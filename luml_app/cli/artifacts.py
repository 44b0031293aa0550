"""`luml artifacts …`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from luml_app.cli.output import ago, as_json, orbit_option, printable, show_json, show_table, size

_TYPES = click.Choice(["model", "dataset", "experiment"])
_STATUSES = click.Choice(["pending_upload", "uploaded", "pending_deletion", "upload_failed", "deletion_failed"])


@click.group()
def artifacts() -> None:
    """List, show, push, pull and remove artifacts."""


@artifacts.command("list")
@orbit_option
@click.option("--type", "types", multiple=True, type=_TYPES, help="Only these; may be given several times.")
@click.option("--status", multiple=True, type=_STATUSES, help="Only in this status; may be given several times.")
@click.option("--tag", "tags", multiple=True, help="Only with this tag, and with all others that are given.")
@click.option("--search", help="Only those with this text in name, description or tags.")
@click.option(
    "--filter", "expression", help="Only those that fit, as in 'metrics.auc > 0.9 and tags contains \"prod\"'."
)
@click.option("--sort", default="created_at", help="A field or a metric to sort by (created_at).")
@click.option("--ascending", is_flag=True, help="Smallest or oldest first.")
@click.option("--limit", type=click.IntRange(min=0), default=50, help="At most so many (50); 0 for all.")
@as_json
def list_artifacts(
    orbit: str | None, sort: str, ascending: bool, limit: int, as_json: bool, expression: str | None, **filters: Any
) -> None:
    """List the artifacts of an orbit, newest first."""
    from itertools import islice

    from luml_app.client.http import Client

    with Client() as client:
        chosen: dict[str, Any] = {
            name: list(value) if isinstance(value, tuple) else value for name, value in filters.items() if value
        }
        order = "asc" if ascending else "desc"
        chosen |= {"filter": expression, "sort_by": sort, "order": order}
        wanted = client.orbit(orbit).artifacts(**chosen)
        found = list(islice(wanted, limit or None))
    if as_json:
        show_json(found)
        return
    rows = [
        (a.name or a.file_name, a.type, a.collection_name, a.status, size(a.size), ago(a.created_at), a.id)
        for a in found
    ]
    heads = ("name", "type", "collection", "status", "size", "created", "id")
    show_table(heads, rows, "No artifacts. Store one with `luml artifacts push FILE`.")


@artifacts.command()
@click.argument("artifact")
@orbit_option
@as_json
def show(artifact: str, orbit: str | None, as_json: bool) -> None:
    """Show an artifact, by name or id."""
    from luml_app.client.http import Client

    with Client() as client:
        data = client.orbit(orbit).artifact(artifact).data
    if as_json:
        show_json(data)
        return
    facts = {
        "id": data.id,
        "type": data.type,
        "status": data.status,
        "description": data.description,
        "file": f"{data.file_name} ({size(data.size)})",
        "sha256": data.file_hash,
        "created": f"{data.created_at:%Y-%m-%d %H:%M:%S %Z} by {data.created_by_user}",
        "tags": ", ".join(data.tags or []),
        **{f"  {name}": value for name, value in sorted(data.extra_values.items())},
        **{f"  params.{name}": value for name, value in sorted(data.params.items())},
    }
    click.echo(printable(data.name or data.file_name))
    for name, value in facts.items():
        if value not in ("", None):
            click.echo(printable(f"  {name:<12}{value}"))


@artifacts.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@orbit_option
@click.option("--collection", help="The collection, created if missing.")
@click.option("--name", help="The artifact's name (the file's).")
@click.option("--tag", "tags", multiple=True, help="May be given several times.")
@as_json
def push(
    file: Path, orbit: str | None, collection: str | None, name: str | None, tags: tuple[str, ...], as_json: bool
) -> None:
    """Store a model, dataset or experiment file."""
    from luml_app.client.http import Client

    with Client() as client:
        data = client.orbit(orbit).upload(file, collection, name=name, tags=list(tags) or None).data
    if as_json:
        show_json(data)
    else:
        click.echo(printable(f"Stored {data.type} {data.name} as {data.id}."))


@artifacts.command()
@click.argument("artifact")
@click.argument("target", required=False, type=click.Path())
@orbit_option
def pull(artifact: str, target: str | None, orbit: str | None) -> None:
    """Fetch an artifact's file, by name or id, to TARGET (a file or folder; by default this folder)."""
    from luml_app.client.http import Client

    if target and target.endswith("/"):  # a folder, also when it has to be made
        Path(target).mkdir(parents=True, exist_ok=True)
    with Client() as client:
        click.echo(client.orbit(orbit).artifact(artifact).download(target))


@artifacts.command()
@click.argument("artifact")
@orbit_option
@click.option("--force", is_flag=True, help="Whatever its status, such as after a deletion that failed.")
def remove(artifact: str, orbit: str | None, force: bool) -> None:
    """Delete an artifact, by name or id, with its bytes; refused while it is deployed or in a track.

    Of several with the same name none is deleted; name one by its id then.
    """
    from luml_app.client.http import Client

    with Client() as client:
        here = client.orbit(orbit)
        one = _any_artifact(here, artifact)
        delete = client.artifacts.force_delete if force else client.artifacts.delete
        delete(*here.ids, one.collection_id, one.id)
    click.echo(printable(f"Deleted {one.name or one.file_name}."))


def _any_artifact(orbit: Any, name: str) -> Any:
    """The artifact of this name or id, also one that is not uploaded."""
    from uuid import UUID

    from luml_app.client.naming import named

    try:
        return orbit.client.artifacts.find(*orbit.ids, UUID(name))
    except ValueError:
        return named(orbit.artifacts(search=name), name, "artifact", lambda one: (one.name,))
