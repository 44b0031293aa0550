"""`luml organizations …`, `luml orbits …` and `luml collections …`: list them, and delete them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import ago, as_json, orbit_option, organization_option, printable, show_json, show_table

if TYPE_CHECKING:
    from luml_app.client.http import Client
    from luml_app.schemas.deletions import Deletion

_everything = click.option("--everything", is_flag=True, help="With all that is in it, and its bytes.")
_confirm = click.option("--confirm", metavar="NAME", help="The name once more, for scripts; otherwise it is asked for.")


@click.group()
def organizations() -> None:
    """List and delete organizations."""


@organizations.command("list")
@as_json
def list_organizations(as_json: bool) -> None:
    """List the organizations that you are in."""
    from luml_app.client.http import Client

    with Client() as client:
        found = client.organizations.list()
    if as_json:
        show_json(found)
        return
    show_table(("name", "role", "id"), [(one.name, one.role, one.id) for one in found], "You are in none.")


@organizations.command("remove")
@click.argument("name")
@_everything
@_confirm
def remove_organization(name: str, everything: bool, confirm: str | None) -> None:
    """Delete the organization NAME (or id); refused while orbits are in it, but for --everything."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        one = find_organization(client, name)
        _remove("organization", one.name, everything, confirm, client.organizations, (one.id,))


@click.group()
def orbits() -> None:
    """List and delete orbits."""


@orbits.command("list")
@organization_option
@as_json
def list_orbits(organization: str | None, as_json: bool) -> None:
    """List the orbits of an organization that you may enter."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        found = client.orbits.list(find_organization(client, organization).id)
    if as_json:
        show_json(found)
        return
    rows = [(one.name, one.total_members, one.total_artifacts, ago(one.created_at), one.id) for one in found]
    show_table(("name", "members", "artifacts", "created", "id"), rows, "No orbits.")


@orbits.command("remove")
@click.argument("name")
@_everything
@_confirm
def remove_orbit(name: str, everything: bool, confirm: str | None) -> None:
    """Delete the orbit NAME (or id); refused while anything is in it, but for --everything."""
    from luml_app.client.http import Client

    with Client() as client:
        one = client.orbit(name)
        _remove("orbit", one.data.name, everything, confirm, client.orbits, one.ids)


@click.group()
def collections() -> None:
    """List and delete collections."""


@collections.command("list")
@orbit_option
@as_json
def list_collections(orbit: str | None, as_json: bool) -> None:
    """List the collections of an orbit."""
    from luml_app.client.http import Client

    with Client() as client:
        found = _collections(client, client.orbit(orbit).ids)
    if as_json:
        show_json(found)
        return
    rows = [(one.name, one.type, one.total_artifacts, ago(one.created_at), one.id) for one in found]
    show_table(("name", "type", "artifacts", "created", "id"), rows, "No collections.")


@collections.command("remove")
@click.argument("name")
@orbit_option
@_everything
@_confirm
def remove_collection(name: str, orbit: str | None, everything: bool, confirm: str | None) -> None:
    """Delete the collection NAME (or id); refused while artifacts are in it, but for --everything."""
    from luml_app.client.http import Client
    from luml_app.client.naming import named

    with Client() as client:
        ids = client.orbit(orbit).ids
        one = named(_collections(client, ids), name, "collection", lambda one: (one.name, str(one.id)))
        _remove("collection", one.name, everything, confirm, client.collections, (*ids, one.id))


def _collections(client: Client, ids: tuple[Any, ...]) -> list[Any]:
    from luml_app.client.paging import pages

    return list(pages(lambda cursor: client.collections.list(*ids, cursor=cursor, limit=100)))


def _remove(kind: str, name: str, everything: bool, confirm: str | None, operations: Any, ids: tuple[Any, ...]) -> None:
    if not everything:
        operations.delete(*ids)
        click.echo(printable(f"Deleted the {kind} {name}."))
        return
    if confirm is None:
        asked = printable(f"This deletes {name!r} with all that is in it, for good. Type the name of the {kind}")
        confirm = str(click.prompt(asked))
    begin: Callable[..., Deletion] = operations.force_delete
    begin(*ids, confirm=confirm)
    click.echo(printable(f"The {kind} {name} is gone; what was in it is being deleted."))
