"""`luml deploy` and `luml predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import as_json, orbit_option, printable, show_json

if TYPE_CHECKING:
    from luml_app.client.objects import DeploymentHandle


@click.command()
@click.argument("model", required=False)
@orbit_option
@click.option("--track", help="Instead of MODEL: the track whose --stage is deployed.")
@click.option("--stage", default="production", show_default=True, help="The stage of the track.")
@click.option("--follow", is_flag=True, help="Roll forward whenever another version moves into the stage.")
@click.option("--name", help="The deployment's name (the model's).")
@click.option("--satellite", help="The satellite, by name or id; needed when there are several.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is served.")
@as_json
def deploy(model: str | None, orbit: str | None, wait: bool, as_json: bool, track: str | None, **how: Any) -> None:
    """Deploy MODEL, an artifact by name or id, or what is in a stage of a track."""
    from luml_app.client.http import Client

    if (model is None) == (track is None):
        raise click.UsageError("Name either a MODEL, or a --track (and its --stage).")
    with Client() as client:
        live = client.orbit(orbit).deploy(model, track=track, **how)
        if wait:
            live.wait()
    if as_json:
        show_json(live.data)
    else:
        place = f" at {live.data.inference_url}" if live.data.inference_url else ""
        click.echo(printable(f"{live.data.name} is {live.data.status}{place}"))


@click.command()
@click.argument("deployment")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--example", is_flag=True, help="Send the example that is stored with the model.")
@orbit_option
def predict(deployment: str, file: Path | None, example: bool, orbit: str | None) -> None:
    """Call DEPLOYMENT, by name or id, with FILE: CSV with a header, or JSON of inputs by name ("-": standard input)."""
    from luml_app.client.http import Client

    if (file is None) == (not example):
        raise click.UsageError("Give a FILE of inputs, or --example.")
    with Client() as client:
        live = client.orbit(orbit).deployment(deployment)
        show_json(_answer(live, file))


def _answer(live: DeploymentHandle, file: Path | None) -> dict[str, Any]:
    from luml_app.cli.inputs import from_csv, from_json
    from luml_app.client.examples import stored_example

    if file is None:
        return live.compute(stored_example(live.artifact))
    text = _read(file)
    if text.lstrip().startswith(("{", "[")):
        return live.compute(*from_json(text))
    return live.compute(from_csv(text, live.artifact.data.manifest.get("inputs", [])))


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file} is not text in UTF-8: give CSV or JSON.") from error
