# ruff: noqa: F401, F811 (fixtures of other modules)
"""The log of a deployment, read as its users do: from Python, from asyncio, from the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from luml_app.client.http import AsyncClient, Client
from luml_app.client.objects import DeploymentHandle
from luml_app.client.orbits import OrbitHandle
from luml_app.schemas.errors import Conflict, LumlError, Unauthenticated, Unavailable
from tests.satellite.contract_server import until
from tests.satellite.models import write_model
from tests.satellite.test_with_platform import Platform, Satellite, orbit, platform, satellite
from tests.serving import in_a_loop

SAYS = "{'y': np.array([float(bool(print('asked for', int(inputs['x'][0]), flush=True)))])}"
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def live(satellite: Satellite, orbit: OrbitHandle, tmp_path: Path) -> DeploymentHandle:
    """A deployment that prints what it is asked for."""
    satellite.start()
    model = orbit.upload(write_model(tmp_path / "says.luml", SAYS, warmup="print('warm', flush=True)"))
    return model.deploy("says").wait(60)


@pytest.fixture
def luml(platform: Platform, tmp_path: Path) -> Iterator[Run]:
    """Starts `luml …` as a person whose key is given."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, key: str = platform.cast.alice.api_key) -> subprocess.Popen[str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith("LUML_")}
        environment = {**known, "LUML_ADDRESS": platform.address, "LUML_API_KEY": key, "HOME": str(tmp_path)}
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "luml_app.cli", *arguments], env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
        return started[-1]

    yield run
    for one in started:
        one.kill()
        one.communicate()


def ask(live: DeploymentHandle, number: int) -> None:
    live.compute({"x": [float(number)]})


def texts(live: DeploymentHandle, **options: Any) -> list[str]:
    return [line.line for line in live.logs(**options)]


def test_lines_are_read_followed_and_chosen(live: DeploymentHandle) -> None:
    ask(live, 1)
    until(lambda: "asked for 1" in texts(live))
    lines = list(live.logs())
    (warm,) = [line for line in lines if line.line == "warm"]
    assert (warm.revision, warm.replica, warm.source) == ("1", 0, "r1.0")
    assert str(warm).endswith("Z r1.0  warm")
    assert {line.source for line in lines} == {"satellite", "r1.0"}
    assert texts(live, tail=1) == ["asked for 1"]
    assert texts(live, since=timedelta(hours=1)) == [line.line for line in lines]
    assert texts(live, since=lines[-1].time) == ["asked for 1"]
    assert "warm" not in texts(live, revision=2)

    followed = live.logs(follow=True, tail=1)
    assert next(followed).line == "asked for 1"
    ask(live, 2)
    assert next(followed).line == "asked for 2"


def test_following_goes_on_after_the_satellite_was_away(live: DeploymentHandle, satellite: Satellite) -> None:
    port = satellite.seen.base_url.rpartition(":")[2]
    satellite.stop()
    satellite.start(SATELLITE_STOP_REPLICAS="0", SATELLITE_PORT=port)
    live.wait(60)
    ask(live, 1)
    followed = live.logs(follow=True, since=timedelta(hours=1))
    seen = [next(followed).line]
    while seen[-1] != "asked for 1":
        seen.append(next(followed).line)
    satellite.stop()
    satellite.start(SATELLITE_PORT=port)
    live.wait(60)
    ask(live, 2)
    more = [next(followed).line]
    while more[-1] != "asked for 2":
        more.append(next(followed).line)
    assert [line for line in seen + more if line.startswith("asked")] == ["asked for 1", "asked for 2"]


def test_following_ends_with_the_deployment(live: DeploymentHandle) -> None:
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.extend(line.line for line in live.logs(follow=True)))
    thread.start()
    until(lambda: "warm" in seen)
    live.delete()
    thread.join(60)
    assert not thread.is_alive()


def test_the_log_in_asyncio(live: DeploymentHandle, platform: Platform) -> None:
    ask(live, 7)

    async def until_asked() -> list[str]:
        seen = []
        async with AsyncClient(platform.address, platform.cast.alice.api_key) as client:
            async for line in client.logs(*live.ids, follow=True):
                seen.append(line.line)
                if line.line == "asked for 7":
                    break
        return seen

    assert "warm" in in_a_loop(until_asked())


def test_who_may_read(live: DeploymentHandle, platform: Platform) -> None:
    client, cast = live.orbit.client, platform.cast

    def reads(key: str) -> bool:
        try:
            with Client(platform.address, cast.alice.api_key) as other:
                other.connection = type(other.connection)(**{**vars(other.connection), "api_key": key})
                return bool(list(other.logs(*live.ids, tail=1)))
        except Unauthenticated:
            return False

    def made(*scopes: Any) -> str:
        return client.api_keys.create(name="-".join(scopes), scopes=list(scopes)).key

    allowed = {cast.alice.api_key: True, cast.bob.api_key: True, cast.victor.api_key: True}
    allowed |= {cast.charlie.api_key: False, "dfs_invented": False}
    allowed |= {made("inference"): False, made("logs"): True, made("api"): True}
    assert {key: reads(key) for key in allowed} == allowed
    with (
        Client(platform.address, made("logs", "inference")) as narrow,
        pytest.raises(LumlError, match="inference and logs"),
    ):
        narrow.auth.me()


def test_a_satellite_that_cannot_be_reached(orbit: OrbitHandle, satellite: Satellite, tmp_path: Path) -> None:
    model = orbit.upload(write_model(tmp_path / "m.luml"))
    with pytest.raises(Conflict, match="start it first"):
        model.deploy("early", satellite="box")
    satellite.start()
    live = model.deploy("later").wait(60)
    satellite.stop()
    with pytest.raises(Unavailable, match="SATELLITE_BASE_URL"):
        list(live.logs())


def test_the_command_line(live: DeploymentHandle, luml: Run) -> None:
    ask(live, 1)
    until(lambda: "asked for 1" in texts(live))
    out, err = luml("logs", "says").communicate(timeout=60)
    assert err == ""
    assert out.splitlines()[-1].endswith("r1.0  asked for 1")
    out, _ = luml("logs", "says", "--tail", "1", "--json").communicate(timeout=60)
    assert json.loads(out)["line"] == "asked for 1"
    out, _ = luml("logs", "says", "--since", "1h", "--replica", "3").communicate(timeout=60)
    assert "asked" not in out
    for wrong in (["--tail", "few"], ["--since", "yesterday"]):
        process = luml("logs", "says", *wrong)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, wrong[1] in err) == (2, True)


def test_ctrl_c_ends_the_command_quietly(live: DeploymentHandle, luml: Run) -> None:
    ask(live, 1)
    process = luml("logs", "says", "-f")
    assert process.stdout
    for line in process.stdout:
        if line.endswith("asked for 1\n"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_a_monitored_deployment_shows_its_requests(
    live: DeploymentHandle, luml: Run, satellite: Satellite, platform: Platform
) -> None:
    ask(live, 1)
    assert list(live.requests()) == []
    live.update(parameters={"monitoring": 100}).wait(60)
    ask(live, 2)
    (one,) = until(lambda: list(live.requests()))
    assert (one.path, one.status, one.revision) == ("/compute", 200, "2")
    assert one.asked == {"inputs": {"x": [2.0]}, "dynamic_attributes": {}}
    assert one.answered == {"y": [0.0]}
    assert list(live.requests(since=one.time + timedelta(seconds=1))) == []

    out, err = luml("requests", "says").communicate(timeout=60)
    assert not err
    assert '"x":[2.0]' in out
    out, _ = luml("requests", "says", "--json", "--tail", "1").communicate(timeout=60)
    assert json.loads(out)["answered"] == {"y": [0.0]}

    async def ask_for_them() -> list[int]:
        async with AsyncClient(platform.address, platform.cast.alice.api_key) as client:
            return [one.status async for one in client.requests(*live.ids)]

    assert in_a_loop(ask_for_them()) == [200]
    kept = satellite.data / "requests" / str(live.data.id)
    assert kept.is_dir()
    live.delete()
    until(lambda: not kept.exists())
