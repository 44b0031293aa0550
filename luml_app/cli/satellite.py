"""`luml satellite …`."""

from __future__ import annotations

import click


@click.group()
def satellite() -> None:
    """Run a satellite."""


@satellite.command()
def run() -> int:
    """Run a satellite on this machine until Ctrl-C.

    LUML_ADDRESS names the server, SATELLITE_TOKEN holds the key that was shown when the satellite was created;
    SATELLITE_RUNTIME (auto, docker, process), SATELLITE_DATA, SATELLITE_PORT and others are in the documentation.
    """
    try:
        from satellite.__main__ import main
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed: install the satellite with `pip install 'luml[satellite]'`."
        ) from error
    return main()
