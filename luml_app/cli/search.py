"""`luml search`: over all orbits of an organization that one may enter."""

from __future__ import annotations

import click

from luml_app.cli.output import ago, as_json, organization_option, show_json, show_table

_KINDS = click.Choice(["artifact", "collection", "track", "deployment", "satellite"])


@click.command()
@click.argument("text", required=False)
@organization_option
@click.option("--kind", "kinds", multiple=True, type=_KINDS, help="Only these; may be given several times.")
@click.option("--filter", "expression", help="Only artifacts that fit, as in 'metrics.auc > 0.9'.")
@click.option("--limit", type=click.IntRange(min=0), default=50, help="At most so many (50); 0 for all.")
@as_json
def search(
    text: str | None,
    organization: str | None,
    kinds: tuple[str, ...],
    expression: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Find what has all words of TEXT in name, description or tags, in all orbits that you may enter."""
    from itertools import islice

    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization
    from luml_app.client.paging import pages

    with Client() as client:
        here = find_organization(client, organization).id
        wanted = {"text": text, "kinds": list(kinds) or None, "filter": expression, "limit": min(limit or 100, 100)}
        found = list(islice(pages(lambda cursor: client.search.list(here, cursor=cursor, **wanted)), limit or None))  # type: ignore[arg-type]  # click has checked the kinds
    if as_json:
        show_json(found)
        return
    rows = [(one.kind, one.name, one.orbit_name, one.type, one.status, ago(one.created_at), one.id) for one in found]
    show_table(("kind", "name", "orbit", "type", "status", "created", "id"), rows, "Nothing fits.")
