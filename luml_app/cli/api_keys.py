"""`luml api-keys`: list, create, delete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from luml_app.cli.output import ago, as_json, show_json, show_table


@click.group(name="api-keys")
def api_keys() -> None:
    """List, create and delete your API keys."""


@api_keys.command(name="list")
@as_json
def list_keys(as_json: bool) -> None:
    """List your API keys; the keys themselves are never shown again."""
    from luml_app.client.http import Client

    with Client() as client:
        found = client.api_keys.list()
    if as_json:
        show_json(found)
        return
    rows = [
        (
            one.name,
            f"…{one.hint}",
            ", ".join(one.scopes),
            one.orbit_id or "every orbit",
            ago(one.last_used_at) if one.last_used_at else "never used",
            f"until {one.expires_at:%Y-%m-%d %H:%M}" if one.expires_at else "no end",
        )
        for one in found
    ]
    show_table(
        ("name", "key", "scopes", "orbit", "last used", "ends"), rows, "No API keys: `luml api-keys create NAME`."
    )


@api_keys.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(["api", "inference", "logs"]), help="What it opens (all)."
)
@click.option("--orbit", help="Open this orbit only, by name or id.")
@click.option("--days", type=click.IntRange(1, 3650), help="Let it expire after so many days.")
@as_json
def create(name: str, scopes: tuple[str, ...], orbit: str | None, days: int | None, as_json: bool) -> None:
    """Make an API key called NAME and print it: this once."""
    from luml_app.client.http import Client

    ends = datetime.now(UTC) + timedelta(days=days) if days else None
    with Client() as client:
        orbit_id = client.orbit(orbit).data.id if orbit else None
        made = client.api_keys.create(
            name=name,
            scopes=list(scopes) or None,  # type: ignore[arg-type]
            orbit_id=orbit_id,
            expires_at=ends,
        )
    if as_json:
        show_json({"name": name, "key": made.key})
    else:
        click.echo(made.key)


@api_keys.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete the API key called NAME (or with this id); it stops working at once."""
    from luml_app.client.http import Client
    from luml_app.schemas.errors import NotFound

    with Client() as client:
        found = next((one for one in client.api_keys.list() if name in {one.name, str(one.id)}), None)
        if found is None:
            raise NotFound(f"You have no API key {name!r}; `luml api-keys list` shows yours.")
        client.api_keys.delete(found.id)
    click.echo(f"Deleted {found.name}.")
