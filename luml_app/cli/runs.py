"""`luml runs …` and `luml sync`: training runs that are kept on this machine."""

from __future__ import annotations

import sys

import click

from luml_app.cli.output import ago, as_json, orbit_option, printable, show_json, show_table


@click.group()
def runs() -> None:
    """List the training runs that are kept on this machine."""


@runs.command("list")
@as_json
def list_runs(as_json: bool) -> None:
    """List the runs on this machine, newest first."""
    from luml_app.tracking.folders import all_runs

    found = sorted((record for _, record in all_runs()), key=lambda one: one.started_at, reverse=True)
    if as_json:
        show_json(found)
        return
    rows = [
        (one.name, one.status, ago(one.started_at), one.orbit, "yes" if one.sent_at else "no", one.id) for one in found
    ]
    show_table(("name", "status", "started", "orbit", "sent", "id"), rows, "No runs are kept on this machine.")


@runs.command("remove")
@click.argument("run_id", required=False)
@click.option("--sent", is_flag=True, help="All runs that have been sent; they stay in their orbits.")
def remove_runs(run_id: str | None, sent: bool) -> None:
    """Remove a run, by its id or the beginning of it, from this machine; refused while it runs."""
    import shutil

    from luml_app.tracking.errors import TrackingError
    from luml_app.tracking.folders import all_runs, folder_of

    if (run_id is None) == (not sent):
        raise click.UsageError("Name a run, or say --sent.")
    chosen = [folder_of(run_id)] if run_id else [folder for folder, record in all_runs() if record.sent_at]
    for folder in chosen:
        with folder.alone() as nobody_logs:
            if nobody_logs:
                shutil.rmtree(folder.path)
            elif run_id:
                raise TrackingError(f"The run {run_id!r} still runs; end it first.")
    click.echo(f"Removed {len(chosen)} from this machine.")


@click.command()
@orbit_option
def sync(orbit: str | None) -> None:
    """Send the runs that wait on this machine: killed ones, and those that could not be sent when they ended.

    Each goes to its own orbit; --orbit is for those that know none. Exit code 1 when one could not be sent.
    """
    from luml_app.client.http import Client
    from luml_app.client.runs import sync as send_all

    sent = failed = 0
    with Client() as client:
        for record, error in send_all(client, orbit):
            sent, failed = sent + (error is None), failed + (error is not None)
            said = f"sent to {record.orbit}" if error is None else f"not sent: {error.message}"
            click.echo(printable(f"{record.name} ({record.status}) {record.id}: {said}"), err=error is not None)
    click.echo(f"{sent} sent, {failed} failed." if sent or failed else "Nothing waits to be sent.")
    if failed:
        sys.exit(1)
