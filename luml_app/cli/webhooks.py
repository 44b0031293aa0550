"""`luml webhooks …`: events sent to addresses of your choice."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import ago, as_json, organization_option, printable, show_json, show_table

if TYPE_CHECKING:
    from uuid import UUID

    from luml_app.client.http import Client
    from luml_app.schemas.webhooks import Delivery

_PATIENCE = 30.0


@click.group()
def webhooks() -> None:
    """Send events to addresses of your choice."""


@webhooks.command("list")
@organization_option
@as_json
def list_webhooks(organization: str | None, as_json: bool) -> None:
    """List the webhooks of an organization."""
    from luml_app.client.http import Client

    with Client() as client:
        found = client.webhooks.list(client.organization(organization).id)
    if as_json:
        show_json(found)
        return
    rows = [(w.url, " ".join(w.actions), _state(w), w.id) for w in found]
    show_table(("address", "actions", "state", "id"), rows, "No webhooks. Add one with `luml webhooks add URL`.")


@webhooks.command()
@click.argument("url")
@organization_option
@click.option(
    "--action", "actions", multiple=True, help="A pattern such as track.move or artifact.*; several may be given."
)
@click.option("--orbit", help="Only events of this orbit, by name or id.")
@click.option("--description", help="What it is for.")
@as_json
def add(
    url: str,
    organization: str | None,
    actions: tuple[str, ...],
    orbit: str | None,
    description: str | None,
    as_json: bool,
) -> None:
    """Send events to URL; prints the secret with which receivers check the signature, once."""
    from luml_app.client.http import Client

    with Client() as client:
        place = client.orbit(orbit) if orbit else None
        organization_id = place.organization_id if place else client.organization(organization).id
        made = client.webhooks.create(
            organization_id,
            url=url,
            actions=list(actions) or ["*"],
            orbit_id=place.data.id if place else None,
            description=description,
        )
    if as_json:
        show_json(made)
    else:
        click.echo(f"Webhook {made.webhook.id}. Its secret, which is not shown again:\n{made.secret}")


@webhooks.command()
@click.argument("webhook")
@organization_option
def remove(webhook: str, organization: str | None) -> None:
    """Remove WEBHOOK, by id or address."""
    from luml_app.client.http import Client

    with Client() as client:
        client.webhooks.delete(*_ids(client, organization, webhook))
    click.echo(printable(f"Removed {webhook}."))


@webhooks.command()
@click.argument("webhook")
@organization_option
def rotate(webhook: str, organization: str | None) -> None:
    """Make a new secret for WEBHOOK; for a day messages are signed with the old one, too."""
    from luml_app.client.http import Client

    with Client() as client:
        click.echo(client.webhooks.rotate_secret(*_ids(client, organization, webhook)).secret)


@webhooks.command()
@click.argument("webhook")
@organization_option
@as_json
def test(webhook: str, organization: str | None, as_json: bool) -> None:
    """Send a test message to WEBHOOK and show what came of it; exit code 1 if it was not taken."""
    from luml_app.client.http import Client

    with Client() as client:
        ids = _ids(client, organization, webhook)
        _show_outcome(client, ids, client.webhooks.test(*ids), as_json)


@webhooks.command()
@click.argument("webhook")
@organization_option
@click.option("--state", type=click.Choice(["pending", "delivered", "failed"]), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 100), default=50, help="At most so many (50).")
@as_json
def deliveries(webhook: str, organization: str | None, state: Any, limit: int, as_json: bool) -> None:
    """List the latest messages to WEBHOOK and what came of them."""
    from luml_app.client.http import Client

    with Client() as client:
        found = client.webhooks.deliveries(*_ids(client, organization, webhook), state=state, limit=limit).items
    if as_json:
        show_json(found)
        return
    rows = [(ago(d.created_at), d.action, d.state, len(d.attempts), _outcome(d), d.id) for d in found]
    show_table(("when", "action", "state", "attempts", "last answer", "id"), rows, "No messages in the last month.")


@webhooks.command()
@click.argument("webhook")
@click.argument("delivery")
@organization_option
@as_json
def redeliver(webhook: str, delivery: str, organization: str | None, as_json: bool) -> None:
    """Send the message DELIVERY (an id) to WEBHOOK again and show what came of it."""
    from luml_app.client.http import Client

    with Client() as client:
        ids = _ids(client, organization, webhook)
        _show_outcome(client, ids, client.webhooks.redeliver(*ids, delivery), as_json)


def _ids(client: Client, organization: str | None, webhook: str) -> tuple[UUID, UUID]:
    place = client.organization(organization)
    return place.id, place.webhook(webhook).id


def _show_outcome(client: Client, ids: tuple[UUID, UUID], asked: Delivery, as_json: bool) -> None:
    """Wait for the next attempt, show it, and end with 1 if the receiver has not taken the message."""
    before, deadline = asked.attempts[-1:], time.monotonic() + _PATIENCE
    while (found := client.webhooks.delivery(*ids, asked.id)).attempts[-1:] == before and time.monotonic() < deadline:
        time.sleep(0.2)
    if as_json:
        show_json(found)
    else:
        click.echo(printable(f"{found.action} is {found.state}: {_outcome(found) or 'no attempt yet'}"))
    if found.state != "delivered":
        sys.exit(1)


def _outcome(delivery: Delivery) -> str:
    if not delivery.attempts:
        return ""
    last = delivery.attempts[-1]
    return last.error or f"{last.status} in {last.milliseconds} ms"


def _state(webhook: Any) -> str:
    if not webhook.enabled:
        return f"off ({webhook.disabled_because})" if webhook.disabled_because else "off"
    return f"failing since {webhook.failing_since:%Y-%m-%d %H:%M}" if webhook.failing_since else "on"
