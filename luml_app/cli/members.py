"""`luml members …`: who is in an organization or an orbit, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import as_json, organization_option, printable, show_json, show_table

if TYPE_CHECKING:
    from luml_app.client.http import Client

_in_orbit = click.option("--orbit", help="In this orbit (by name or id) instead of the organization.")


@click.group()
def members() -> None:
    """List people, give them roles, remove them."""


@members.command("list")
@organization_option
@_in_orbit
@as_json
def list_members(organization: str | None, orbit: str | None, as_json: bool) -> None:
    """List who is in the organization, or in an orbit."""
    from luml_app.client.http import Client

    with Client() as client:
        found = _Place(client, organization, orbit).list()
    if as_json:
        show_json(found)
        return
    rows = [(one.user.email, one.user.full_name, one.role, f"{one.created_at:%Y-%m-%d}") for one in found]
    show_table(("e-mail", "name", "role", "since"), rows, "Nobody. Let somebody in with `luml members add`.")


@members.command()
@click.argument("person")
@click.option("--orbit", required=True, help="The orbit, by name or id.")
@click.option("--role", type=click.Choice(["admin", "member", "viewer"]), default="member", help="As what (member).")
@as_json
def add(person: str, orbit: str, role: str, as_json: bool) -> None:
    """Let PERSON, a member of the organization by e-mail or user id, into an orbit.

    Somebody new is invited into the organization first: `luml invites add`.
    """
    from luml_app.client.http import Client
    from luml_app.client.naming import named
    from luml_app.client.places import is_name

    with Client() as client:
        ids = client.orbit(orbit).ids
        user_id: Any = person
        if is_name(person):
            known = client.members.list(ids[0])
            user_id = named(known, person, "member", lambda one: (one.user.email,)).user.id
        added = client.orbit_members.create(*ids, user_id=user_id, role=role)  # type: ignore[arg-type]
    _tell(added, as_json, f"{added.user.email} is {added.role} of {orbit}.")


@members.command()
@click.argument("person")
@click.argument("role", type=click.Choice(["owner", "admin", "member", "viewer"]))
@organization_option
@_in_orbit
@as_json
def role(person: str, role: str, organization: str | None, orbit: str | None, as_json: bool) -> None:
    """Give PERSON, by e-mail, another ROLE in the organization, or in an orbit."""
    from luml_app.client.http import Client

    with Client() as client:
        place = _Place(client, organization, orbit)
        changed = place.api.update(*place.ids, place.find(person).id, role=role)
    _tell(changed, as_json, f"{changed.user.email} is {changed.role} now.")


@members.command()
@click.argument("person")
@organization_option
@_in_orbit
def remove(person: str, organization: str | None, orbit: str | None) -> None:
    """Remove PERSON, by e-mail, from the organization and all its orbits, or from one orbit."""
    from luml_app.client.http import Client

    with Client() as client:
        place = _Place(client, organization, orbit)
        place.api.delete(*place.ids, place.find(person).id)
    click.echo(printable(f"Removed {person}."))


@members.command()
@click.argument("person")
@organization_option
def transfer(person: str, organization: str | None) -> None:
    """Make PERSON, by e-mail, the owner of the organization in your place; you become an admin."""
    from luml_app.client.http import Client

    with Client() as client:
        place = _Place(client, organization, None)
        owner = client.organizations.transfer(*place.ids, member_id=place.find(person).id)
    click.echo(printable(f"{owner.user.email} is the owner now, and you are an admin."))


@members.command()
@organization_option
def leave(organization: str | None) -> None:
    """Leave an organization and all its orbits."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        found = find_organization(client, organization)
        client.organizations.leave(found.id)
    click.echo(printable(f"You have left {found.name}."))


class _Place:
    """An organization or an orbit: the calls about its members, and the ids with which they begin."""

    def __init__(self, client: Client, organization: str | None, orbit: str | None) -> None:
        from luml_app.client.organizations import find_organization

        if organization and orbit:
            raise click.UsageError("Give --orbit or --organization, not both.")
        self.api: Any = client.orbit_members if orbit else client.members
        self.ids: tuple[Any, ...] = client.orbit(orbit).ids if orbit else (find_organization(client, organization).id,)

    def list(self) -> Any:
        return self.api.list(*self.ids)

    def find(self, person: str) -> Any:
        from luml_app.client.naming import named

        return named(self.list(), person, "member", lambda one: (one.user.email, one.id, one.user.id))


def _tell(value: Any, as_json: bool, sentence: str) -> None:
    if as_json:
        show_json(value)
    else:
        click.echo(printable(sentence))
