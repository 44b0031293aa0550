"""`luml service-accounts …`: users for programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import ago, as_json, organization_option, printable, show_json, show_table

if TYPE_CHECKING:
    from luml_app.client.http import Client


@click.group("service-accounts")
def service_accounts() -> None:
    """Make users for programs, and their API keys."""


@service_accounts.command("list")
@organization_option
@as_json
def list_accounts(organization: str | None, as_json: bool) -> None:
    """List the service accounts of an organization."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        found = client.service_accounts.list(find_organization(client, organization).id)
    if as_json:
        show_json(found)
        return
    rows = [(one.name, one.email, ago(one.created_at), one.id) for one in found]
    show_table(("name", "e-mail", "created", "id"), rows, "None. Make one with `luml service-accounts add NAME`.")


@service_accounts.command()
@click.argument("name")
@organization_option
@as_json
def add(name: str, organization: str | None, as_json: bool) -> None:
    """Make a service account; `luml members add` lets it into orbits."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        made = client.service_accounts.create(find_organization(client, organization).id, name=name)
    if as_json:
        show_json(made)
    else:
        click.echo(printable(f"Made {made.name}, known as {made.email}."))


@service_accounts.command()
@click.argument("account")
@click.argument("name")
@organization_option
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(["api", "inference", "logs"]), help="Only for this."
)
@click.option("--orbit", help="Only for this orbit, by name or id.")
@click.option("--days", type=click.IntRange(min=1), help="Only for so many days.")
def key(
    account: str, name: str, organization: str | None, scopes: tuple[str, ...], orbit: str | None, days: int | None
) -> None:
    """Make an API key called NAME for ACCOUNT (by name, e-mail or id), and print it, this once."""
    from luml_app.client.http import Client

    with Client() as client:
        made = client.service_accounts.create_key(
            *_find(client, organization, account),
            name=name,
            scopes=list(scopes) or None,  # type: ignore[arg-type]  # click has checked them
            orbit_id=client.orbit(orbit).data.id if orbit else None,
            expires_at=datetime.now(UTC) + timedelta(days=days) if days else None,
        )
    click.echo(made.key)


@service_accounts.command()
@click.argument("account")
@organization_option
def remove(account: str, organization: str | None) -> None:
    """Delete ACCOUNT, by name, e-mail or id, with its API keys; what it has made stays."""
    from luml_app.client.http import Client

    with Client() as client:
        client.service_accounts.delete(*_find(client, organization, account))
    click.echo(printable(f"Deleted {account}."))


def _find(client: Client, organization: str | None, account: str) -> tuple[Any, Any]:
    from luml_app.client.naming import named
    from luml_app.client.organizations import find_organization

    here = find_organization(client, organization).id
    found = named(
        client.service_accounts.list(here), account, "service account", lambda one: (one.name, one.email, one.id)
    )
    return here, found.id
