"""`luml up` with its demo from outside: that it does what it prints, and that what is killed comes back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.embedded.running_up import PARTS, PREDICT, Installation, Up, eventually, predicts, sentence


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="luml-", ignore_cleanup_errors=True) as path:
        yield Path(path).resolve()


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Up]:
    """A running installation with the demo, shared by the tests that leave it running."""
    place = Installation(folder)
    running = place.up("--demo")
    try:
        yield running.stands("Call it yourself")
    finally:
        running.stop()
        place.end_everything()


# What the screen promises


def test_the_link_signs_in_once(demo: Up) -> None:
    link = demo.said("Dashboard")
    with httpx.Client() as browser:
        assert browser.get(link).status_code == 302
        me = browser.get(httpx.URL(link).join("/v1/auth/users/me")).json()
        assert me["email"] == "admin@localhost"
    assert httpx.get(link).status_code == 401


def test_the_password_signs_in(demo: Up) -> None:
    email, _, password = demo.said("Account").partition(", password ")
    place = demo.place
    config = place.home / "after-login.toml"
    login = place.run(
        "login", "--email", email, "--password", password.split()[0], LUML_CONFIG_FILE=str(config),
        LUML_ADDRESS=f"http://127.0.0.1:{place.port}",
    )  # fmt: skip
    assert login.returncode == 0, login.stderr
    assert config.stat().st_mode & 0o777 == 0o600
    assert "admin@localhost" in place.run("whoami", LUML_CONFIG_FILE=str(config)).stdout


def test_nobody_stands_before_it_who_could_say_where_a_guess_comes_from(demo: Up) -> None:
    address = f"http://127.0.0.1:{demo.place.port}/v1/auth/signin"
    guess = {"email": "nobody@example.org", "password": "a guess"}
    spoofed = [{"X-Real-IP": f"203.0.113.{n}", "X-Forwarded-For": f"203.0.113.{n}"} for n in range(11)]
    answers = [httpx.post(address, json=guess, headers=head).status_code for head in spoofed]
    assert answers == [401] * 10 + [429]


def test_the_printed_curl_and_key_work(demo: Up) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    said = subprocess.run(["sh", "-c", f"{demo.said('Try')} -sf"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)[0]["role"] == "owner"
    assert demo.said("API key") in shlex.split(demo.said("Try"))[2]
    assert demo.said("API key") in demo.place.config.read_text()
    assert demo.place.config.stat().st_mode & 0o777 == 0o600


def test_the_demo_predicts_both_outcomes_and_names_pages(demo: Up) -> None:
    rows = demo.printed.partition("will_leave")[2]
    assert "True " in rows and "False " in rows
    with demo.place.client() as client:
        orbit = client.orbit("playground")
        for name in ("churn-demo-data", "churn-demo-run", "churn-demo"):
            assert f"/app/o/{orbit.data.id}/artifacts/{orbit.artifact(name).id}" in demo.printed
        live = orbit.deployment("churn-demo")
        assert f"/app/o/{orbit.data.id}/deployments/{live.data.id}" in demo.printed
        assert orbit.track("churn").entries().__next__().artifact_id == orbit.artifact("churn-demo").id


def test_the_runtime_and_its_reason_are_said(demo: Up) -> None:
    assert demo.said("Satellite") == "local, runtime process"
    with demo.place.client() as client:
        assert client.orbit().satellite().capabilities["deploy"]["runtime_reason"] in demo.printed


def test_predict_of_the_command_line(demo: Up) -> None:
    done = demo.place.run(*PREDICT)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["prediction"]) > 0


def test_the_printed_command_works_where_it_was_printed(demo: Up) -> None:
    line = demo.printed.partition("Call it yourself:")[2].strip().splitlines()[0]
    done = subprocess.run(["sh", "-c", line], env=demo.place.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["prediction"]) > 0


def test_secrets_are_private_and_children_know_no_more_than_they_need(demo: Up) -> None:
    home = demo.place.home
    assert {path.stat().st_mode & 0o077 for path in (home / "keys").iterdir()} == {0}
    assert (home / "config.toml").stat().st_mode & 0o077 == 0
    (satellite,) = demo.place.pids(PARTS["satellite"])
    told = Path(f"/proc/{satellite}/environ")
    if not told.exists():
        pytest.skip("only Linux shows the environment of a process")
    assert "LUML_DATABASE_URL" not in told.read_text()


def test_a_second_one_on_the_same_home_says_so(demo: Up) -> None:
    second = demo.place.run("up")
    assert second.returncode == 1
    assert f"already running on this home (pid {demo.process.pid})" in sentence(second.stderr + second.stdout)


# Killed children come back


def kill_part(demo: Up, part: str) -> None:
    """Kill all processes of a part, and see that others have taken their place."""
    words = PARTS[part]
    gone = demo.place.pids(words)
    assert gone, demo.place.processes()
    for pid in gone:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: demo.place.pids(words) - gone, f"another {part}")


@pytest.mark.parametrize("part", ["server", "database", "model server"])
def test_what_was_killed_comes_back(demo: Up, part: str) -> None:
    kill_part(demo, part)
    eventually(lambda: predicts(demo), "a prediction")
    with demo.place.client() as client:
        assert client.orbit().deployment("churn-demo").wait(30).data.status == "active"


@pytest.mark.slow
@pytest.mark.parametrize("part", ["gateway", "satellite"])
@pytest.mark.parametrize("times", [1, 3])
def test_what_was_killed_comes_back_again_and_again(demo: Up, part: str, times: int) -> None:
    for _ in range(times):
        kill_part(demo, part)
        eventually(lambda: predicts(demo), "a prediction")


def test_callers_wait_while_satellite_and_gateway_are_killed(demo: Up) -> None:
    eventually(lambda: predicts(demo), "a prediction")
    with demo.place.client() as client:
        live = client.orbit().deployment("churn-demo")
        address, key = live.url.removesuffix("/compute"), {"Authorization": f"Bearer {client.connection.api_key}"}
    for part in ("satellite", "gateway"):
        for pid in demo.place.pids(PARTS[part]):
            os.kill(pid, signal.SIGKILL)
    assert httpx.get(f"{address}/v2", headers=key, timeout=60).status_code == 200


# A satellite by itself


def test_a_satellite_of_ones_own(demo: Up, short_path: Path) -> None:
    with demo.place.client() as client:
        orbit = client.orbit()
        made = client.satellites.create(*orbit.ids, name="second")
        environment = {
            **demo.place.environment, "LUML_ADDRESS": client.address, "SATELLITE_TOKEN": made.api_key,
            "SATELLITE_DATA": str(short_path / "satellite"), "SATELLITE_RUNTIME": "process",
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "luml_app.cli", "satellite", "run"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            eventually(lambda: orbit.satellite("second").paired, "the pairing")
        finally:
            process.terminate()
            assert process.wait(30) == 0
            client.satellites.delete(*orbit.ids, made.satellite.id)


def test_a_satellite_without_or_with_a_wrong_key(demo: Up, short_path: Path) -> None:
    run: Callable[..., subprocess.CompletedProcess[str]] = demo.place.run
    address = {"LUML_ADDRESS": f"http://127.0.0.1:{demo.place.port}", "SATELLITE_DATA": str(short_path)}
    without = run("satellite", "run", **address)
    assert without.returncode == 1 and "SATELLITE_TOKEN" in sentence(without.stderr)
    wrong = run("satellite", "run", SATELLITE_TOKEN="dfssat_wrong", **address)
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr and "refuses this satellite's key" in wrong.stderr
