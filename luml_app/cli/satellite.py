"""`luml satellite …`."""

from __future__ import annotations

import click


@click.group()
def satellite() -> None:
    """Run a satellite."""


@satellite.command()
def run() -> int:
    """Run a satellite on this machine, with the settings LUML_ADDRESS, SATELLITE_TOKEN and SATELLITE_…"""
    try:
        from satellite.__main__ import main
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed: install the satellite with `pip install 'luml[satellite]'`."
        ) from error
    return main()
