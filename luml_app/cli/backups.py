"""`luml backup` and `luml restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from luml_app.cli.output import size

if TYPE_CHECKING:
    from luml_app.embedded.backups import Report

_HOME = click.option("--home", type=click.Path(path_type=Path), help="The installation's folder (LUML_HOME).")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--with-keys", is_flag=True, help="Put the secret keys in, too: the file then opens everything.")
@_HOME
def backup(file: Path, with_keys: bool, home: Path | None) -> None:
    """Write database and built-in store into one FILE, also while LUML runs.

    What is in S3 and Azure buckets is not in it. Without --with-keys the file cannot be restored without the keys that
    are in use now: keep them in another place.
    """
    from luml_app.core.settings import Settings
    from luml_app.embedded.backups import back_up

    done = back_up(Settings.from_environment(home=home), file, with_keys=with_keys)
    click.echo(f"Wrote {file} with {_told(done)}. What is in S3 and Azure buckets is not in it.")
    if not with_keys:
        click.echo("The secret keys are not in it either; without them it cannot be restored.")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace what is in the installation.")
@_HOME
def restore(file: Path, force: bool, home: Path | None) -> None:
    """Bring a backup into an empty installation that does not run; the whole FILE is checked before."""
    from luml_app.core.settings import Settings
    from luml_app.embedded.backups import restore as bring_back

    done = bring_back(Settings.from_environment(home=home), file, replace=force)
    click.echo(f"Restored {_told(done)}. Everybody signs in again; API keys go on working.")


def _told(done: Report) -> str:
    missing = f", {done.missing} were missing" if done.missing else ""
    return f"the database and {done.objects} objects ({size(done.size)}{missing})"
