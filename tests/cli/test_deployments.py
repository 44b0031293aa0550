"""`luml deploy --track` and `luml deployments …`, typed as a person does, with a real satellite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from luml_app.client.orbits import OrbitHandle
from tests.cli.test_commands import Luml, config, luml, printed_json, refused
from tests.satellite.models import write_model

__all__ = ["config", "luml"]


def said(done: Any) -> str:
    assert done.returncode == 0, done.stderr
    text: str = done.stdout
    return text.strip()


def test_a_deployment_from_its_first_revision_to_its_end(
    luml: Luml, orbit: OrbitHandle, start_satellite: Callable[..., Any], tmp_path: Path
) -> None:
    assert "luml deploy MODEL" in said(luml("deployments", "list"))
    start_satellite()
    first = orbit.upload(write_model(tmp_path / "first.luml"), name="first")
    orbit.upload(write_model(tmp_path / "second.luml", warmup="print(2)"), name="second")
    orbit.track("oracle").promote(first, "production")
    assert "either a MODEL, or a --track" in refused(luml("deploy"), code=2)
    assert "'nowhere'" in refused(luml("deploy", "--track", "nowhere"))
    said(luml("deploy", "--track", "oracle", "--follow", "--name", "oracle"))

    assert "is not NAME=VALUE" in refused(luml("deployments", "update", "oracle", "--env", "MOOD"), code=2)
    assert "PERCENT:SECONDS" in refused(luml("deployments", "update", "oracle", "--step", "a:b"), code=2)
    canary = luml("deployments", "update", "oracle", "--model", "second", "--env", "MOOD=glad", "--weight", "5")
    assert said(canary) == "oracle: active, revision 1 95 %, revision 2 5 %"
    assert "revision 1 75 %, revision 2 25 %" in said(luml("deployments", "shift", "oracle", "25"))
    assert said(luml("deployments", "promote", "oracle")).startswith("oracle: active")
    assert "No rollout" in refused(luml("deployments", "shift", "oracle", "50"))
    (listed,) = printed_json(luml("deployments", "list", "--json"))
    assert (listed["revision"]["number"], listed["env_variables"]) == (2, {"MOOD": "glad"})

    asked = luml("deployments", "rollback", "oracle", stdin="n\n")
    assert "env_variables.MOOD: 'glad' → None" in asked.stderr
    assert asked.returncode == 130
    assert "revision 1" in said(luml("deployments", "rollback", "oracle", "--yes", "--why", "it smells"))
    assert "Taken back by hand" in said(luml("deployments", "revisions", "oracle"))

    assert said(luml("deployments", "stop", "oracle")) == "oracle: stopped, revision 1"
    assert said(luml("deployments", "start", "oracle")) == "oracle: active, revision 1"
    assert said(luml("deployments", "restart", "oracle")) == "oracle: active, revision 1"
    assert said(luml("deployments", "delete", "oracle", "--yes")) == "oracle is being taken down."
