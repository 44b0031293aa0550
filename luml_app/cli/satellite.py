"""`luml satellite …`."""

from __future__ import annotations

import click

from luml_app.cli.output import as_json


@click.group()
def satellite() -> None:
    """Run a satellite on this machine, and look after it.

    Settings come from the environment: LUML_ADDRESS names the server, SATELLITE_TOKEN holds the key that was shown when
    the satellite was created, SATELLITE_DATA the folder by which the other commands find a running one. All others are
    in the documentation.
    """


@satellite.command()
def run() -> int:
    """Run a satellite until Ctrl-C."""
    return _perform("run")


@satellite.command()
@click.option("--off", is_flag=True, help="Begin new work again.")
@click.option("--wait", default=600.0, show_default=True, help="Seconds to wait for the work in hand.")
def drain(off: bool, wait: float) -> int:
    """Have the running satellite begin nothing new; what it serves, it goes on serving."""
    return _perform("drain", *(["--off"] if off else []), "--wait", str(wait))


@satellite.command()
@click.option("--wait", default=120.0, show_default=True, help="Seconds to wait until it has stopped.")
def stop(wait: float) -> int:
    """Stop the running satellite, and wait until it has."""
    return _perform("stop", "--wait", str(wait))


@satellite.command()
@as_json
def status(as_json: bool) -> int:
    """What runs here; exit code 3 when nothing does."""
    return _perform("status", *(["--json"] if as_json else []))


@satellite.command()
@as_json
def doctor(as_json: bool) -> int:
    """Look at everything that a satellite needs, and say what to mend; exit code 1 when it cannot work so."""
    return _perform("doctor", *(["--json"] if as_json else []))


def _perform(*words: str) -> int:
    """A verb of `python -m satellite`. Raises ClickException when the satellite is not installed."""
    try:
        from satellite.__main__ import main
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed: install the satellite with `pip install 'luml[satellite]'`."
        ) from error
    return main(list(words))
