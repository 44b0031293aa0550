"""`luml up` from outside: what it prints, that it works, that it ends, and that it comes back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from luml_app.client.settings import save_connection
from luml_app.core.settings import Settings
from luml_app.embedded.home import HomeError
from luml_app.embedded.up import up
from tests.embedded.conftest import as_somebody_else
from tests.embedded.running_up import Installation, Up, artifact_ids, eventually
from tests.postgres import Cluster

PREDICT = ("predict", "churn-demo", "--example")
PARTS = {
    "server": r"luml_app\.cli serve",
    "database": "pginstall18/bin/postgres",
    "satellite": r"-m satellite$",
    "gateway": r"-m satellite\.gateway",
    "model server": "model_server",
}


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


@pytest.fixture
def place(short_path: Path) -> Iterator[Installation]:
    """A fresh place for an installation."""
    place = Installation(short_path)
    try:
        yield place
    finally:
        place.end_everything()


def sentence(output: str) -> str:
    """What was said, which must be one line of ours and no traceback."""
    lines = [line for line in output.splitlines() if not line.startswith("Starting LUML")]
    assert len(lines) == 1, output
    return lines[0]


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


def predicts(demo: Up) -> bool:
    return demo.place.run(*PREDICT).returncode == 0


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


# The end, and the next start


def test_ends_completely_when_the_satellite_was_killed_just_before(place: Installation) -> None:
    """Its gateway and models outlive it, so that they go on serving; here nobody else would ever end them."""
    running = place.up().stands()
    assert place.pids(PARTS["gateway"])
    (satellite,) = place.pids(PARTS["satellite"])
    os.kill(satellite, signal.SIGSTOP)  # until its killing, so that it can end nobody itself
    running.process.send_signal(signal.SIGTERM)
    os.kill(satellite, signal.SIGKILL)
    assert running.end() == 0
    assert place.processes() == {}


@pytest.mark.slow
def test_everything_was_killed_at_once(place: Installation) -> None:
    running = place.up("--demo").stands("Call it yourself")
    for pid in (running.process.pid, *place.pids(f"{PARTS['satellite']}|{PARTS['server']}|{PARTS['database']}")):
        os.kill(pid, signal.SIGKILL)
    running.end()
    again = place.up().stands()
    eventually(lambda: predicts(again), "a prediction")
    assert again.stop() == 0
    assert place.processes() == {}


def test_runs_again_with_what_is_there(place: Installation) -> None:
    first = place.up("--demo").stands("Call it yourself")
    with place.client() as client:
        before = artifact_ids(client)
    assert first.stop() == 0
    assert first.lines[-1] == "Stopped.\n"
    assert place.processes() == {}

    second = place.up("--demo").stands("Call it yourself")
    assert "password" not in second.printed
    assert second.said("API key") == first.said("API key")
    with place.client() as client:
        assert artifact_ids(client) == before
        assert len(client.orbit().deployments()) == 1
    assert predicts(second)

    second.stop(signal.SIGKILL)
    third = place.up().stands()
    eventually(lambda: predicts(third), "a prediction")
    assert third.stop(signal.SIGINT) == 0
    assert place.processes() == {}


def test_stops_while_it_starts(place: Installation) -> None:
    running = place.up()
    eventually(lambda: place.pids(PARTS["database"]) or running.process.poll() is not None, "the first child")
    assert running.stop() in {0, 1, 130}
    assert place.processes() == {}
    assert "Traceback" not in running.printed
    again = place.up().stands()
    assert again.stop() == 0


# What cannot work is said in one sentence, and leaves nothing


def test_a_busy_port(place: Installation) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        done = place.run("up", "--port", str(place.port))
    assert done.returncode == 1
    assert f"Port {place.port}" in sentence(done.stdout + done.stderr)
    assert not place.home.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LUML_PORT", "99999"),
        ("LUML_PORT", "x"),
        ("LUML_RUNTIME", "magic"),
        ("LUML_ADMIN_EMAIL", "nobody"),
        ("LUML_ADMIN_PASSWORD", "short"),
        ("LUML_HOST", "no.such.host.invalid"),
    ],
)
def test_a_wrong_setting(place: Installation, variable: str, value: str) -> None:
    done = place.run("up", **{variable: value})
    assert done.returncode == 1
    said = sentence(done.stdout + done.stderr)
    assert variable in said or value in said
    assert not place.home.exists()


def test_a_config_file_that_cannot_be_read(place: Installation) -> None:
    place.config.write_text("address = ")
    done = place.run("up")
    assert done.returncode == 1
    assert str(place.config) in sentence(done.stdout + done.stderr)
    assert not place.home.exists()


def test_a_read_only_home(read_only: Path) -> None:
    place = Installation(read_only)
    done = place.run("up")
    assert done.returncode == 1
    assert "LUML_HOME" in sentence(done.stdout + done.stderr)


def test_a_home_of_somebody_else(place: Installation) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, who alone can become somebody else")
    place.home.mkdir(mode=0o755)
    place.home.parent.chmod(0o755)
    settings = Settings(home=place.home, config_file=place.config, port=place.port)

    def start() -> None:
        with pytest.raises(HomeError, match="LUML_HOME"):
            up(settings, demo=False, say=print)

    as_somebody_else(start)
    assert list(place.home.iterdir()) == []


def test_a_database_that_is_newer(place: Installation, cluster: Cluster, migrated: str) -> None:
    with cluster.database(migrated) as url:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
        done = place.run("up", LUML_DATABASE_URL=url)
        assert done.returncode == 1
        assert "newer than this LUML" in sentence(done.stdout + done.stderr)
    assert place.processes() == {}


def test_a_database_that_is_not_there(place: Installation) -> None:
    done = place.run("up", LUML_DATABASE_URL=f"postgresql://nobody:hidden@127.0.0.1:{place.port}/nothing")
    assert done.returncode == 1
    said = sentence(done.stdout + done.stderr)
    assert "LUML_DATABASE_URL" in said and "hidden" not in said


# Other people's parts


def test_a_database_of_ones_own(place: Installation, cluster: Cluster) -> None:
    with cluster.database() as url:
        chosen = {"LUML_ADMIN_EMAIL": "Alice@example.org", "LUML_ADMIN_PASSWORD": "chosen by alice"}
        running = place.up(LUML_DATABASE_URL=url, **chosen).stands()
        assert running.said("Account") == "alice@example.org"
        assert not (place.home / "postgres").exists()
        answer = httpx.post(
            f"http://127.0.0.1:{place.port}/v1/auth/signin",
            json={"email": "alice@example.org", "password": "chosen by alice"},
        )
        assert answer.status_code == 200, answer.text
        for pid in place.processes():
            told = Path(f"/proc/{pid}/environ")
            assert not told.exists() or "chosen by alice" not in told.read_text()
        assert running.stop() == 0
    assert place.processes() == {}


def test_the_config_file_of_another_server_is_kept(place: Installation) -> None:
    save_connection("https://luml.example.org", "dfs_of_the_other_server", place.config)
    before = place.config.read_text()
    first = place.up().stands()
    assert place.config.read_text() == before
    own = place.home / "config.toml"
    assert f"LUML_CONFIG_FILE={own}" in first.printed
    assert "admin@localhost" in place.run("whoami", LUML_CONFIG_FILE=str(own)).stdout
    assert first.stop() == 0
    second = place.up().stands()
    assert second.said("API key") == first.said("API key")
    assert second.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "::1"])
def test_other_addresses_to_listen_on(place: Installation, host: str) -> None:
    if ":" in host:
        try:
            socket.create_server((host, 0), family=socket.AF_INET6).close()
        except OSError as error:
            pytest.skip(f"IPv6 does not apply to this machine: {error}")
    running = place.up("--host", host).stands()
    assert httpx.get(running.said("Dashboard")).status_code == 302
    assert "admin@localhost" in place.run("whoami").stdout
    assert running.stop() == 0


def test_works_with_the_network_cable_out(place: Installation) -> None:
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if os.geteuid() != 0 or unshare is None or ip is None:
        pytest.skip("needs root, unshare and ip to pull the cable")
    if subprocess.run([unshare, "-n", ip, "link", "set", "lo", "up"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow network namespaces")
    inside = [unshare, "-n", "sh", "-c", f'{ip} link set lo up && exec "$@"', "sh"]
    running = place.up("--demo", before=inside).stands("Call it yourself")
    assert running.stop() == 0
    assert place.processes() == {}


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
