"""`luml gc`."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import click

from luml_app.cli.output import as_json, printable, show_json, show_table, size


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be freed.")
@click.option("--explain", type=click.UUID, metavar="ID", help="Say what keeps this artifact alive; free nothing.")
@click.option("--home", type=click.Path(path_type=Path), help="The installation's folder (LUML_HOME).")
@as_json
def gc(dry_run: bool, explain: UUID | None, home: Path | None, as_json: bool) -> None:
    """Free what nothing needs any more and the server has not freed yet. Nothing younger than a day is touched."""
    from luml_app.core.settings import Settings
    from luml_app.embedded.collecting import explained, freed

    settings = Settings.from_environment(home=home)
    if explain is not None:
        reasons = explained(settings, explain)
        show_json(reasons) if as_json else click.echo(printable("\n".join(reasons)))
        return
    found = freed(settings, dry_run=dry_run)
    if as_json:
        show_json(found)
        return
    rows = [(one.kind, one.count, "" if one.size is None else size(one.size), one.why) for one in found]
    show_table(("what", "number", "bytes", "why"), rows, "")
    click.echo("Nothing was changed." if dry_run else "Freed.")
