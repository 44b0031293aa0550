# ruff: noqa: F401, F811 (fixtures of other modules)
"""What models print: kept by the satellite within bounds, without secrets, and read again from its gateway."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from satellite.daemon import Daemon
from satellite.logs.collector import Collector
from satellite.logs.kept import SEGMENTS, Kept, LogFolder, limit_total, now, numbered, stamp
from satellite.logs.lines import ASSEMBLED, LONGEST, Lines, shown
from satellite.logs.reading import Cursor, Wanted, after, end, tail
from satellite.logs.recording import recorded
from satellite.masking import Masks
from satellite.runtimes.interface import Runtime
from tests.satellite.contract_server import API_KEY, ContractServer, until
from tests.satellite.models import write_model
from tests.satellite.test_runtimes import Spec, opened, runtime, spec, url_when

KEY = {"Authorization": f"Bearer {API_KEY}"}
MIB = 1024 * 1024
StartDaemon = Callable[..., Daemon]


# ---- lines


def test_lines_are_put_together_from_any_pieces() -> None:
    text = "".join(f"line {i} äöü\n" for i in range(200)).encode()
    for size in (1, 2, 7, 64, 10_000):
        lines = Lines()
        found = [line for at in range(0, len(text), size) for line in lines.feed(text[at : at + size])]
        assert b"".join(line + b"\n" for line in found) == text


def test_a_line_without_end_takes_no_more_memory_than_a_long_one() -> None:
    lines = Lines()
    for _ in range(200):
        assert lines.feed(b"x" * 100_000) == []
        assert len(lines.held) == ASSEMBLED
    (line,) = lines.feed(b"y\nnext")
    assert line.startswith(b"xxx")
    assert line.endswith(f"({200 * 100_000 + 1 - ASSEMBLED} bytes more)".encode())
    assert lines.feed(b"\n") == [b"next"]


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        (b"plain\ttext\r\n", "plain\ttext"),
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;a title\x07text", "text"),
        (b" 10%\r 50%\r100%", "100%"),
        (b"\xff\x00\x1b", "\ufffd\ufffd\ufffd"),
        ("snow \u2603".encode(), "snow \u2603"),
        (b"", ""),
    ],
)
def test_lines_can_be_shown_in_a_terminal(printed: bytes, seen: str) -> None:
    assert shown(printed) == seen


def test_secrets_are_masked_in_every_form() -> None:
    masks = Masks()
    masks.learn('pass"word/1')
    masks.learn("-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n")
    masks.learn("ab")
    for said in ('pass"word/1', 'pass\\"word/1', "pass%22word%2F1", "cGFzcyJ3b3JkLzE"):
        assert masks.hide(f"<{said}>") in {"<***>", "<***=>"}, said
    assert masks.hide("MIIEvQIBADANBg") == "***"
    assert masks.hide("about") == "about"  # a value of two letters is in every other word


# ---- files


def kept(line: str, replica: int = 0, revision: str = "1", time: str = "") -> Kept:
    return Kept(time or now(), "stdout", revision, replica, line, f"r{revision}.{replica}", f"p-{line}")


def texts(found: list[tuple[Cursor, Kept]]) -> list[str]:
    return [record.line for _, record in found]


def everything(folder: Path, cursor: Cursor = Cursor()) -> list[str]:  # noqa: B008 (a tuple)
    lines: list[str] = []
    while True:
        found, reached = after(folder, cursor, Wanted())
        if reached == cursor:
            return lines
        lines += texts(found)
        cursor = reached


def test_what_is_kept_is_bounded_and_the_newest(tmp_path: Path) -> None:
    size, folder = 64 * 1024, LogFolder(tmp_path / "d", 64 * 1024)
    for number in range(4000):
        folder.append([kept(f"line {number}")])
        if number % 100 == 0:
            assert sum(path.stat().st_size for _, path in numbered(folder.folder)) <= size * (SEGMENTS + 1) // SEGMENTS
    lines = everything(folder.folder)
    assert lines[-1] == "line 3999"
    assert lines == [f"line {number}" for number in range(4000 - len(lines), 4000)]
    assert len(lines) > 300


def test_the_last_lines_are_found_across_segments(tmp_path: Path) -> None:
    folder = LogFolder(tmp_path / "d", 16 * 1024)
    for number in range(300):
        folder.append([kept(f"line {number}", replica=number % 3)])
    assert len(numbered(folder.folder)) > 2
    assert texts(tail(folder.folder, 30, Wanted())) == [f"line {number}" for number in range(270, 300)]
    assert texts(tail(folder.folder, 2, Wanted(replica=1))) == ["line 295", "line 298"]
    assert tail(folder.folder, 5, Wanted(revision="2")) == []
    assert tail(folder.folder, 0, Wanted()) == []
    assert tail(tmp_path / "nothing", 5, Wanted()) == []


def test_every_line_is_a_place_to_go_on_from(tmp_path: Path) -> None:
    folder = LogFolder(tmp_path / "d", 64 * 1024)
    folder.append([kept(f"line {number}") for number in range(100)])
    found = tail(folder.folder, 100, Wanted())
    for index in (0, 42, 99):
        assert everything(folder.folder, found[index][0]) == [f"line {number}" for number in range(index + 1, 100)]
    assert end(folder.folder) == found[-1][0]


def test_lines_since_a_time(tmp_path: Path) -> None:
    folder, begin = LogFolder(tmp_path / "d", MIB), datetime(2026, 1, 31, tzinfo=UTC)
    folder.append([kept(str(n), time=stamp(begin + timedelta(seconds=n))) for n in range(10)])
    found, _ = after(folder.folder, Cursor(), Wanted(since=stamp(begin + timedelta(seconds=7))))
    assert texts(found) == ["7", "8", "9"]


def test_a_writer_that_was_killed_in_the_middle_of_a_line_spoils_no_other(tmp_path: Path) -> None:
    folder = LogFolder(tmp_path / "d", MIB)
    folder.append([kept("before")])
    with numbered(folder.folder)[0][1].open("ab") as file:
        file.write(b'["2026-01-31T12:00:00.000000Z","std')
    assert everything(folder.folder) == ["before"]
    LogFolder(tmp_path / "d", MIB).append([kept("after")])
    assert everything(folder.folder) == ["before", "after"]


def test_all_deployments_together_are_bounded_by_removing_the_oldest(tmp_path: Path) -> None:
    for name in ("old", "new"):
        LogFolder(tmp_path / name, MIB).append([kept("x" * 1000) for _ in range(100)])
    limit_total(tmp_path, 300_000)
    assert not numbered(tmp_path / "old")
    assert numbered(tmp_path / "new")


# ---- the collector, with every runtime


class NoPlatform:
    """For those who only start and stop replicas."""


@contextmanager
def collecting(runtime: Runtime, root: Path, size: int = MIB) -> Iterator[tuple[Collector, Runtime]]:
    collector = Collector(root, runtime, size, 64 * MIB)
    wrapped, _ = recorded(runtime, NoPlatform(), collector)  # type: ignore[arg-type]
    yield collector, wrapped
    collector.stop()


def lines_of(collector: Collector, deployment_id: str) -> list[str]:
    return everything(collector.root / deployment_id)


def test_everything_a_replica_prints_is_kept_to_its_last_line(runtime: Runtime, spec: Spec, tmp_path: Path) -> None:
    talk = (
        "import threading; [print('line', n, flush=True) for n in range(50)]; threading.Thread(daemon=True, target="
        "lambda: [(print('tick', n, flush=True), time.sleep(0.02)) for n in range(10**6)]).start()"
    )
    replica = spec(warmup=talk)
    with collecting(runtime, tmp_path / "logs") as (collector, recorded_runtime):
        recorded_runtime.ensure_running(replica)
        url_when(runtime, replica.key)
        until(lambda: "tick 20" in lines_of(collector, replica.deployment_id))
        recorded_runtime.ensure_absent(replica.key)
        lines = lines_of(collector, replica.deployment_id)
    assert [line for line in lines if line.startswith("line ")] == [f"line {n}" for n in range(50)]
    ticks = [line for line in lines if line.startswith("tick ")]  # to the moment of its end, and none left out
    assert ticks == [f"tick {n}" for n in range(len(ticks))]
    assert lines[:2] == ["Starting replica 0 of revision r1.", "Started replica 0 of revision r1."]
    assert lines[-1] == "Stopped replica 0 of revision r1."


def test_a_replica_that_ends_at_once_is_kept_though_it_is_removed(runtime: Runtime, spec: Spec, tmp_path: Path) -> None:
    replica = spec(warmup="print('my last words', flush=True); os._exit(3)")
    with collecting(runtime, tmp_path / "logs") as (collector, recorded_runtime):
        recorded_runtime.ensure_running(replica)
        until(lambda: any(one.phase == "exited" for one in runtime.observe()))
        recorded_runtime.ensure_absent(replica.key)
        assert "my last words" in lines_of(collector, replica.deployment_id)


def test_a_new_run_of_the_satellite_goes_on_where_the_last_one_was(
    runtime: Runtime, spec: Spec, tmp_path: Path
) -> None:
    replica = spec("{'y': np.array([float(bool(print('asked', int(inputs['x'][0]), flush=True)))])}")

    def ask(number: int) -> None:
        httpx.post(f"{url}/compute", json={"inputs": {"x": [number]}}, timeout=30).raise_for_status()

    with collecting(runtime, tmp_path / "logs") as (collector, recorded_runtime):
        recorded_runtime.ensure_running(replica)
        url = url_when(runtime, replica.key)
        ask(1)
        until(lambda: "asked 1" in lines_of(collector, replica.deployment_id))
    ask(2)
    with collecting(runtime, tmp_path / "logs") as (collector, _):
        collector.look()
        ask(3)
        until(lambda: "asked 3" in lines_of(collector, replica.deployment_id))
        lines = lines_of(collector, replica.deployment_id)
        assert [line for line in lines if line.startswith("asked")] == ["asked 1", "asked 2", "asked 3"]
        collector.runtime.ensure_absent(replica.key)


def test_a_flood_is_bounded_and_says_so(runtime: Runtime, spec: Spec, tmp_path: Path) -> None:
    flood = "import threading; threading.Thread(target=lambda: [print('x' * 1000) for _ in iter(int, 1)]).start()"
    replica = spec(warmup=flood)
    with collecting(runtime, tmp_path / "logs") as (collector, recorded_runtime):
        recorded_runtime.ensure_running(replica)
        folder = tmp_path / "logs" / replica.deployment_id

        def told() -> bool:
            return any("are not kept" in one for one in lines_of(collector, replica.deployment_id))

        until(told, 60)
        assert sum(path.stat().st_size for _, path in numbered(folder)) <= MIB * 1.3
        recorded_runtime.ensure_absent(replica.key)
        assert lines_of(collector, replica.deployment_id)[-1].startswith("Stopped")


def test_binary_garbage_and_endless_lines_are_kept_as_short_text(runtime: Runtime, spec: Spec, tmp_path: Path) -> None:
    noise = (
        "sys.stdout.buffer.write(bytes(range(256)) * 4 + b'\\n' + b'z' * 300000 + b'\\nclean\\n'); sys.stdout.flush()"
    )
    replica = spec(warmup=noise)
    with collecting(runtime, tmp_path / "logs") as (collector, recorded_runtime):
        recorded_runtime.ensure_running(replica)
        until(lambda: "clean" in lines_of(collector, replica.deployment_id))
        lines = lines_of(collector, replica.deployment_id)
        assert max(len(line) for line in lines) < LONGEST + 100
        assert all(line.isprintable() or "\t" in line for line in lines)
        recorded_runtime.ensure_absent(replica.key)


# ---- the whole satellite


def read(daemon: Daemon, deployment_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = httpx.get(f"{daemon_url(daemon)}/deployments/{deployment_id}/logs", params=query, headers=KEY, timeout=20)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines() if line]


def daemon_url(daemon: Daemon) -> str:
    found = next(one for one in daemon.settings.data.glob("gateway.json"))
    return f"http://127.0.0.1:{json.loads(found.read_text())['port']}"


def said(daemon: Daemon, deployment_id: str, **query: Any) -> list[str]:
    return [line["line"] for line in read(daemon, deployment_id, **query)]


def test_the_log_of_a_deployment_over_two_revisions(
    our_platform: ContractServer, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    platform, daemon = our_platform, start_daemon(our_platform)
    one = platform.add_model(write_model(tmp_path / "one.luml", warmup="print('I am the first')"))
    two = platform.add_model(write_model(tmp_path / "two.luml", warmup="print('I am the second')"))
    name = platform.deploy(one)
    until(lambda: platform.status(name) == "active")
    followed: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: followed.extend(follow(daemon, name)))
    thread.start()
    platform.revise(name, two)
    until(lambda: "Stopped replica 0 of revision 1." in said(daemon, name), 60)

    lines = said(daemon, name)
    assert [one for one in lines if one.startswith("I am")] == ["I am the first", "I am the second"]
    assert "Ready." in lines
    assert "I am the second" not in said(daemon, name, revision=1)
    assert "I am the first" not in said(daemon, name, revision=2)
    assert said(daemon, name, tail=1) == lines[-1:]
    ids = [line["id"] for line in read(daemon, name)]
    assert said(daemon, name, after=ids[3]) == lines[4:]

    platform.undeploy(name)
    thread.join(60)
    assert not thread.is_alive()
    assert [one["line"] for one in followed][: len(lines)] == lines
    gone = httpx.get(f"{daemon_url(daemon)}/deployments/{name}/logs", headers=KEY)
    assert gone.status_code == 404


def follow(daemon: Daemon, deployment_id: str) -> Iterator[dict[str, Any]]:
    url = f"{daemon_url(daemon)}/deployments/{deployment_id}/logs"
    with httpx.stream("GET", url, params={"follow": "1"}, headers=KEY, timeout=30) as answer:
        for line in answer.iter_lines():
            if line:
                yield json.loads(line)


def test_why_a_start_failed_is_in_the_log(
    our_platform: ContractServer, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    platform, daemon = our_platform, start_daemon(our_platform)
    broken = write_model(tmp_path / "broken.luml", warmup="print('loading'); raise ValueError('no weights')")
    name = platform.deploy(platform.add_model(broken))
    until(lambda: platform.status(name) == "failed")
    lines = until(lambda: [one for one in said(daemon, name) if one.startswith("Failed")] and said(daemon, name))
    assert "loading" in lines
    assert any("ValueError: no weights" in line for line in lines)


def test_secrets_do_not_get_into_the_log(
    our_platform: ContractServer, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    platform = our_platform
    secret_id = str(uuid.uuid4())
    platform.secrets[secret_id] = "hunter2hunter2"
    model = write_model(tmp_path / "leaky.luml", warmup="print('the password is', os.environ['PASSWORD'])")
    name = platform.deploy(platform.add_model(model), env_variables_secrets={"PASSWORD": secret_id})
    daemon = start_daemon(platform)
    until(lambda: platform.status(name) == "active")
    until(lambda: "the password is ***" in said(daemon, name))
    for path in (daemon.settings.data / "logs").rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ("tail=many", 422, "tail: 'many' is not a whole number"),
        ("tail=-1", 422, "tail"),
        ("replica=x", 422, "replica"),
        ("since=yesterday", 422, "since: 'yesterday' is not a time"),
        ("since=2026-01-31T12:00:00", 422, "zone"),
        ("after=../../etc", 422, "after: '../../etc' is not the id of a line"),
    ],
)
def test_what_is_not_understood_is_named(
    our_platform: ContractServer, start_daemon: StartDaemon, model: Path, query: str, status: int, detail: str
) -> None:
    daemon = start_daemon(our_platform)
    name = our_platform.deploy(our_platform.add_model(model))
    until(lambda: our_platform.status(name) == "active")
    answer = httpx.get(f"{daemon_url(daemon)}/deployments/{name}/logs?{query}", headers=KEY)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
