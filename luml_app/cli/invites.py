"""`luml invites …`: invitations to an organization, sent and received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import as_json, organization_option, printable, show_json, show_table

if TYPE_CHECKING:
    from luml_app.client.http import Client
    from luml_app.schemas.organizations import OrganizationInvite


@click.group()
def invites() -> None:
    """Invite people, and answer invitations."""


@invites.command("list")
@organization_option
@click.option("--mine", is_flag=True, help="Those to yourself.")
@as_json
def list_invites(organization: str | None, mine: bool, as_json: bool) -> None:
    """List the invitations that wait for an answer."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        here = None if mine else find_organization(client, organization).id
        found = client.invites.list(here) if here else client.invitations.list()
    if as_json:
        show_json(found)
        return
    rows = [(_organization(one), one.email, one.role, f"{one.expires_at:%Y-%m-%d}") for one in found]
    show_table(("organization", "e-mail", "role", "until"), rows, "No invitations.")


@invites.command()
@click.argument("email")
@click.option("--role", type=click.Choice(["owner", "admin", "member"]), default="member", help="As what (member).")
@organization_option
@as_json
def add(email: str, role: str, organization: str | None, as_json: bool) -> None:
    """Invite EMAIL, with or without an account, into the organization."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        here = find_organization(client, organization).id
        invite = client.invites.create(here, email=email, role=role)  # type: ignore[arg-type]  # click has checked it
    if as_json:
        show_json(invite)
    else:
        click.echo(printable(f"Invited {invite.email} as {invite.role}, until {invite.expires_at:%Y-%m-%d}."))


@invites.command()
@click.argument("email")
@organization_option
def resend(email: str, organization: str | None) -> None:
    """Send the invitation of EMAIL again; it is good for the full time once more."""
    from luml_app.client.http import Client

    with Client() as client:
        invite = client.invites.resend(*_find(client, organization, email))
    click.echo(printable(f"Invited {invite.email} again, until {invite.expires_at:%Y-%m-%d}."))


@invites.command()
@click.argument("email")
@organization_option
def remove(email: str, organization: str | None) -> None:
    """Take the invitation of EMAIL back."""
    from luml_app.client.http import Client

    with Client() as client:
        client.invites.delete(*_find(client, organization, email))
    click.echo(printable(f"Took the invitation of {email} back."))


@invites.command()
@click.argument("organization", required=False)
def accept(organization: str | None) -> None:
    """Accept the invitation of ORGANIZATION (by name or id), or the only one there is."""
    from luml_app.client.http import Client

    with Client() as client:
        invite = _to_me(client.invitations.list(), organization)
        client.invitations.accept(invite.id)
    click.echo(printable(f"You are {invite.role} of {_organization(invite)} now."))


@invites.command()
@click.argument("organization", required=False)
def reject(organization: str | None) -> None:
    """Reject the invitation of ORGANIZATION (by name or id), or the only one there is."""
    from luml_app.client.http import Client

    with Client() as client:
        invite = _to_me(client.invitations.list(), organization)
        client.invitations.reject(invite.id)
    click.echo(printable(f"You have rejected the invitation of {_organization(invite)}."))


def _find(client: Client, organization: str | None, email: str) -> tuple[Any, Any]:
    from luml_app.client.naming import named
    from luml_app.client.organizations import find_organization

    here = find_organization(client, organization).id
    return here, named(client.invites.list(here), email, "invitation of", lambda one: (one.email, one.id)).id


def _to_me(found: Sequence[OrganizationInvite], organization: str | None) -> OrganizationInvite:
    from luml_app.client.naming import named
    from luml_app.schemas.errors import NotFound

    if organization is None and len(found) == 1:
        return found[0]
    if organization is None and found:
        raise click.UsageError(f"Say which one; you are invited by {', '.join(map(_organization, found))}.")
    if organization is None:
        raise NotFound("There is no invitation for you.")
    return named(found, organization, "invitation of", lambda one: (_organization(one), one.organization_id, one.id))


def _organization(invite: OrganizationInvite) -> str:
    return invite.organization.name if invite.organization else str(invite.organization_id)
