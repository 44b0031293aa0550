"""`luml deploy` and `luml predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from luml_app.cli.output import as_json, orbit_option, show_json


@click.command()
@click.argument("model")
@orbit_option
@click.option("--name", help="The deployment's name (the model's).")
@click.option("--satellite", help="The satellite, by name or id; needed when there are several.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is served.")
@as_json
def deploy(model: str, orbit: str | None, name: str | None, satellite: str | None, wait: bool, as_json: bool) -> None:
    """Deploy MODEL, an artifact by name or id."""
    from luml_app.client.http import Client

    with Client() as client:
        live = client.orbit(orbit).artifact(model).deploy(name, satellite=satellite)
        if wait:
            live.wait()
    if as_json:
        show_json(live.data)
    else:
        click.echo(f"{live.data.name} is {live.data.status}" + (f" at {live.data.inference_url}" if wait else ""))


@click.command()
@click.argument("deployment")
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--example", is_flag=True, help="Send the example that is stored with the model.")
@orbit_option
def predict(deployment: str, file: Path | None, example: bool, orbit: str | None) -> None:
    """Call DEPLOYMENT, by name or id, with FILE: CSV with a header, or JSON of inputs by name ("-": standard input)."""
    from luml_app.client.http import Client

    if (file is None) == (not example):
        raise click.UsageError("Give a FILE of inputs, or --example.")
    with Client() as client:
        live = client.orbit(orbit).deployment(deployment)
        show_json(live.compute(_example(live) if file is None else _inputs(file)))


def _example(live: Any) -> dict[str, Any]:
    from luml_app.client.examples import stored_example

    return stored_example(live.orbit.artifact(live.data.artifact_id))


def _inputs(file: Path) -> dict[str, Any]:
    import csv
    import json

    text = sys.stdin.read() if str(file) == "-" else file.read_text()
    if text.lstrip().startswith("{"):
        try:
            sent = json.loads(text)
        except json.JSONDecodeError as error:
            raise click.UsageError(f"{file} is not JSON: {error}") from error
        return dict(sent.get("inputs", sent))
    rows = list(csv.DictReader(text.splitlines()))
    if not rows:
        raise click.UsageError(f"{file} holds no rows: CSV needs a line of names, then values.")
    return {name: [_value(row[name]) for row in rows] for name in rows[0]}


def _value(text: str | None) -> Any:
    """A CSV cell as JSON: numbers and booleans by their look, nothing for an empty one."""
    if text in (None, ""):
        return None
    if text in ("True", "true", "False", "false"):
        return text in ("True", "true")
    for kind in (int, float):
        try:
            return kind(str(text))
        except ValueError:
            continue
    return text
