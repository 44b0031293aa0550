"""`luml deployments …`: what is served, and how it moves from one revision to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import ago, as_json, orbit_option, printable, show_json, show_table

if TYPE_CHECKING:
    from luml_app.client.objects import DeploymentHandle
    from luml_app.schemas.rollouts import RevisionDifference

why_option = click.option("--why", help="The reason, for the audit log.")
wait_option = click.option("--wait/--no-wait", default=True, help="Wait until it is so.")


@click.group()
def deployments() -> None:
    """List deployments, roll out changes, go back, stop and start."""


@contextmanager
def _found(name: str, orbit: str | None) -> Iterator[DeploymentHandle]:
    from luml_app.client.http import Client

    with Client() as client:
        yield client.orbit(orbit).deployment(name)


def _say(live: DeploymentHandle, as_json: bool) -> None:
    """What became of it, in a line or as JSON."""
    if as_json:
        show_json(live.data)
        return
    serving = live.data.desired if live.data.desired != "running" else live.data.status
    click.echo(printable(f"{live.data.name}: {serving}, {_shares(live)}"))


def _shares(live: DeploymentHandle) -> str:
    targets = live.data.targets
    if len(targets) == 1:
        return f"revision {targets[0].revision.number}"
    parts = (f"revision {one.revision.number} {'copies' if one.mirror else f'{one.weight} %'}" for one in targets)
    return ", ".join(parts)


@deployments.command("list")
@orbit_option
@as_json
def list_deployments(orbit: str | None, as_json: bool) -> None:
    """List the deployments of an orbit, newest first."""
    from luml_app.client.http import Client

    with Client() as client:
        found = client.orbit(orbit).deployments()
    if as_json:
        show_json([one.data for one in found])
        return
    rows = [(one.data.name, _state(one), _shares(one), one.data.artifact_name, one.data.id) for one in found]
    show_table(("name", "state", "serves", "model", "id"), rows, "No deployments. Make one with `luml deploy MODEL`.")


def _state(one: DeploymentHandle) -> str:
    return one.data.desired if one.data.desired == "stopped" else one.data.status


@deployments.command()
@click.argument("name")
@orbit_option
@as_json
def revisions(name: str, orbit: str | None, as_json: bool) -> None:
    """List what a deployment serves and has served, newest first."""
    with _found(name, orbit) as live:
        found = list(live.revisions())
    if as_json:
        show_json(found)
        return
    rows = [
        (one.number, ago(one.created_at), "yes" if one.served_at else "", (one.problem or {}).get("reason", ""), one.id)
        for one in found
    ]
    show_table(("number", "made", "has served", "taken back", "id"), rows, "No revisions.")


def _pairs(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str] | None:
    """NAME=VALUE options as a dict; None when there are none."""
    pairs = [one.partition("=") for one in given]
    if wrong := next((name for name, equals, _ in pairs if not (name and equals)), None):
        raise click.BadParameter(f"{wrong!r} is not NAME=VALUE.")
    return {name: value for name, _, value in pairs} or None


def _steps(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> list[tuple[int, int]]:
    """PERCENT:SECONDS options as pairs."""
    try:
        return [(int(share), int(seconds or 0)) for share, _, seconds in (one.partition(":") for one in given)]
    except ValueError:
        raise click.BadParameter("Give PERCENT:SECONDS, such as 5:600.") from None


@deployments.command()
@click.argument("name")
@orbit_option
@click.option("--model", help="Another model, by name or id.")
@click.option("--env", multiple=True, callback=_pairs, help="NAME=VALUE; replaces all variables. Several times.")
@click.option("--secret", multiple=True, callback=_pairs, help="NAME=SECRET; replaces all secrets. Several times.")
@click.option("--parameter", multiple=True, callback=_pairs, help="NAME=VALUE; replaces all. Several times.")
@click.option("--weight", type=click.IntRange(0, 100), default=100, help="Percent of the requests for it at first.")
@click.option("--mirror", is_flag=True, help="It gets copies of the requests, and its answers are dropped.")
@click.option("--step", "steps", multiple=True, callback=_steps, help="PERCENT:SECONDS, one after the other.")
@click.option("--max-error-rate", type=click.FloatRange(0, 1), help="More failed requests take it back (0.05: 5 %).")
@click.option("--max-p95", type=click.FloatRange(0, min_open=True), help="A longer 95th percentile (s) takes it back.")
@why_option
@wait_option
@as_json
def update(name: str, orbit: str | None, model: str | None, wait: bool, as_json: bool, **given: Any) -> None:
    """Roll out a change of NAME; what is not given stays as it is."""
    from luml_app.schemas.revisions import RolloutBounds

    rate, p95 = given.pop("max_error_rate"), given.pop("max_p95")
    bounds = None if rate is None and p95 is None else RolloutBounds(error_rate=rate, p95_seconds=p95)
    parameters = {key: _plain(value) for key, value in (given.pop("parameter") or {}).items()} or None
    with _found(name, orbit) as live:
        artifact = live.orbit.artifact(model) if model else None
        live.update(artifact, parameters=parameters, secrets=given.pop("secret"), bounds=bounds, **given)
        if wait:
            live.wait()
        _say(live, as_json)


def _plain(value: str) -> bool | int | str:
    """A parameter's value as JSON would have it, else as text."""
    if value in {"true", "false"}:
        return value == "true"
    return int(value) if value.lstrip("-").isdigit() else value


@deployments.command()
@click.argument("name")
@click.argument("weight", type=click.IntRange(0, 100))
@orbit_option
@why_option
@wait_option
@as_json
def shift(name: str, weight: int, orbit: str | None, why: str | None, wait: bool, as_json: bool) -> None:
    """Give the new revision of NAME's rollout WEIGHT percent of the requests; with 100 it takes over."""
    _do(name, orbit, lambda live: live.shift(weight, why=why), wait, as_json)


@deployments.command()
@click.argument("name")
@orbit_option
@click.option("--to", "number", type=int, help="The revision's number (the one that served before).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@why_option
@wait_option
@as_json
def rollback(
    name: str, orbit: str | None, number: int | None, yes: bool, why: str | None, wait: bool, as_json: bool
) -> None:
    """Go back to an earlier revision of NAME; shows first what that changes."""
    with _found(name, orbit) as live:
        told = live.difference(number)
        if not yes:
            click.echo(_difference(told), err=True)
            click.confirm(f"Go back to revision {told.then.number}?", abort=True, err=True)
        live.rollback(told.then, why=why)
        if wait:
            live.wait()
        _say(live, as_json)


def _difference(told: RevisionDifference) -> str:
    lines = [f"  {name}: {change.now!r} → {change.then!r}" for name, change in told.changes.items()]
    head = f"From revision {told.now.number} to {told.then.number}:"
    return printable("\n".join([head, *(lines or ["  nothing changes"])]))


def _verb(name: str, help_text: str) -> None:
    """A command that is one verb of a deployment."""

    @deployments.command(name, help=help_text)
    @click.argument("name")
    @orbit_option
    @why_option
    @wait_option
    @as_json
    def run(name: str, orbit: str | None, why: str | None, wait: bool, as_json: bool, verb: str = name) -> None:
        _do(name, orbit, lambda live: getattr(live, verb)(why=why), wait, as_json)


_verb("promote", "Let the new revision of NAME's rollout take over.")
_verb("stop", "Stop serving NAME; `start` serves it again.")
_verb("start", "Serve NAME again.")
_verb("restart", "Replace the replicas of NAME; the old ones serve until the new ones are ready.")


def _do(name: str, orbit: str | None, verb: Callable[[DeploymentHandle], Any], wait: bool, as_json: bool) -> None:
    with _found(name, orbit) as live:
        verb(live)
        if wait:
            live.wait()
        _say(live, as_json)


@deployments.command()
@click.argument("name")
@orbit_option
@click.option("--force", is_flag=True, help="Forget it at once, even if its satellite is away.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, orbit: str | None, force: bool, yes: bool) -> None:
    """Take NAME down and forget it."""
    with _found(name, orbit) as live:
        if not yes:
            click.confirm(f"Delete the deployment {live.data.name!r} ({live.data.id})?", abort=True, err=True)
        live.delete(force=force)
        click.echo(printable(f"{live.data.name} is {'forgotten' if force else 'being taken down'}."))
