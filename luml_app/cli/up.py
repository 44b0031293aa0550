"""`luml up` and `luml demo`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--demo", is_flag=True, help="Train, store, deploy and call a small model.")
@click.option("--host", help="The address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), help="The port to listen on (5010); 0 takes a free one.")
@click.option("--home", type=click.Path(path_type=Path), help="Where database, keys and store are kept (LUML_HOME).")
@click.option("--runtime", type=click.Choice(["auto", "docker", "process"]), help="How the satellite runs models.")
def up(demo: bool, host: str | None, port: int | None, home: Path | None, runtime: str | None) -> int:
    """Start everything on this machine: database, server, satellite. Ctrl-C stops it."""
    try:
        from luml_app.core.settings import Settings
        from luml_app.embedded import up as embedded
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed: install the server's parts with `pip install 'luml[all]'`."
        ) from error
    settings = Settings.from_environment(host=host, port=port, home=home, runtime=runtime)
    return embedded.up(settings, demo=demo, say=click.echo)


@click.command()
@click.option("--orbit", help="The orbit to put it in, by name or id.")
def demo(orbit: str | None) -> None:
    """Train, store, deploy and call a small model; what is there already is used again."""
    from luml_app.client.http import Client
    from luml_app.embedded.demo import run_demo

    with Client() as client:
        run_demo(client.orbit(orbit), say=click.echo)
