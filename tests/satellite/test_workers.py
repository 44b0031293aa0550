"""Models that do what nobody should: the server answers, replaces what has died, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from satellite import model_server
from tests.satellite.contract_server import until
from tests.satellite.models import DOUBLE, write_model
from tests.satellite.served import ServedModel, compute

Start = Callable[..., ServedModel]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[ServedModel] = []

    def served(*arguments: str, **parts: Any) -> ServedModel:
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        started.append(ServedModel(folder, *arguments, **parts))
        return started[-1]

    yield served
    for one in started:
        family = [psutil.Process(one.process.pid), *one.workers()] if one.process.poll() is None else []
        one.stop()
        assert not [process for process in family if process.is_running() and process.status() != "zombie"]


def seven_is(action: str) -> str:
    """A model that does something bad when it is given a 7."""
    return f"({action} if inputs['x'][0] == 7 else None, {DOUBLE})[1]"


def warmed(served: ServedModel) -> ServedModel:
    """After some quick calls the model runs in the event loop."""
    for _ in range(10):
        assert compute(served.client, {"x": [1]}).json() == {"y": [2.0]}
    return served


def ask_badly(served: ServedModel) -> None:
    with pytest.raises(httpx.TransportError):
        compute(served.client, {"x": [7]})


@pytest.mark.parametrize("action", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.abort()"])
@pytest.mark.parametrize("warm", [False, True], ids=["in-a-thread", "in-the-loop"])
def test_a_worker_that_dies_is_replaced_and_requests_meanwhile_are_held(start: Start, action: str, warm: bool) -> None:
    served = start(expression=seven_is(action))
    if warm:
        warmed(served)
    (before,) = served.workers()
    ask_badly(served)
    assert compute(served.client, {"x": [2]}).json() == {"y": [4.0]}
    until(lambda: served.client.get("/healthz").json() == {"status": "ready"}, what="the supervisor's word")
    (after,) = served.workers()
    assert after.pid != before.pid
    assert "worker of the model server has ended" in served.log.read_text()


def test_other_workers_go_on_when_one_dies(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = f"[time.sleep(0.01) for _ in iter(lambda: os.path.exists({str(gate)!r}), True)]"
    served = start("--workers", "2", expression=f"({wait}, {{'y': inputs['x'] * 0 + os.getpid()}})[1]")
    assert len(served.workers()) == 2
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(compute(served.client, {"x": [1]})))
    asking.start()
    busy, idle = until(lambda: by_connections(served))
    idle.kill()
    until(lambda: len(served.workers()) == 2 and idle.pid not in {worker.pid for worker in served.workers()})
    gate.touch()
    asking.join(30)
    assert answers[0].json() == {"y": [float(busy.pid)]}


def by_connections(served: ServedModel) -> tuple[psutil.Process, psutil.Process] | None:
    """The worker that has the connection, and the other."""
    workers = sorted(served.workers(), key=lambda one: -connections_of(one))
    return (workers[0], workers[1]) if connections_of(workers[0]) > connections_of(workers[1]) else None


def connections_of(worker: psutil.Process) -> int:
    return len([one for one in worker.net_connections() if one.status == psutil.CONN_ESTABLISHED])


def test_all_workers_serve_on_one_address(start: Start) -> None:
    served = start("--workers", "2", expression="{'y': inputs['x'] * 0 + os.getpid()}")
    seen: set[float] = set()

    def both() -> bool:
        with httpx.Client(base_url=served.client.base_url) as another:
            seen.update(compute(another, {"x": [1]}).json()["y"])
        return len(seen) == 2

    until(both)
    assert seen == {float(worker.pid) for worker in served.workers()}


def test_it_is_ready_when_all_workers_are(start: Start, tmp_path: Path) -> None:
    """The second worker to load waits for a sign."""
    first, sign = tmp_path / "first", tmp_path / "sign"
    slow = f"[time.sleep(0.01) for _ in iter(lambda: os.path.exists({str(sign)!r}), True)]"
    warmup = f"""
        try:
            os.mkdir({str(first)!r})
        except FileExistsError:
            {slow}"""
    threading.Timer(1.0, sign.touch).start()
    began = time.monotonic()
    served = start("--workers", "2", warmup=warmup)
    assert sign.exists(), f"ready after {time.monotonic() - began} s"
    assert compute(served.client, {"x": [1]}).json() == {"y": [2.0]}


def test_the_end_of_the_supervisor_is_the_end_of_all(start: Start) -> None:
    served = start("--workers", "2")
    workers = served.workers()
    served.process.kill()
    psutil.wait_procs(workers, timeout=10)
    assert not [worker for worker in workers if worker.is_running() and worker.status() != "zombie"]


def test_stopping_lets_requests_finish(start: Start, tmp_path: Path) -> None:
    seen, gate = tmp_path / "seen", tmp_path / "gate"
    wait = f"[time.sleep(0.01) for _ in iter(lambda: os.path.exists({str(gate)!r}), True)]"
    served = start(expression=f"(open({str(seen)!r}, 'w').close(), {wait}, {DOUBLE})[2]")
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(compute(served.client, {"x": [1]})))
    asking.start()
    until(seen.exists)
    served.process.terminate()
    until(lambda: refused(served))
    gate.touch()
    asking.join(20)
    assert answers[0].json() == {"y": [2.0]}
    assert served.process.wait(20) == 0


def refused(served: ServedModel) -> bool:
    """Whether new connections are no longer taken."""
    try:
        httpx.get(f"{served.client.base_url}/healthz", timeout=1)
    except httpx.TransportError:
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_model_that_ends_its_process_while_loading_ends_the_server(tmp_path: Path, workers: str) -> None:
    path = write_model(tmp_path / "m.luml", warmup="os._exit(5)")
    command = [sys.executable, str(Path(model_server.__file__).parent), "--model", str(path), "--workers", workers]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert "A worker of the model server has ended: exit code 5" in done.stderr


def test_calls_that_do_not_end_are_told_and_then_ended(start: Start) -> None:
    forever = "[time.sleep(0.01) for _ in iter(lambda: True, False)]"
    served = start("--request-seconds", "1", expression=seven_is(forever))
    (before,) = served.workers()
    threads = before.num_threads()
    # Each of its threads at most is held, then it is replaced.
    for _ in range(20):
        try:
            answer = compute(served.client, {"x": [7]})
        except httpx.TransportError:
            break
        assert answer.status_code in {503, 504}
        assert served.client.get("/healthz", timeout=2).json() == {"status": "ready"}
        if served.workers()[0].pid != before.pid:
            break
        assert before.num_threads() <= threads + 8
    until(lambda: compute(served.client, {"x": [2]}).json() == {"y": [4.0]})
    assert served.workers()[0].pid != before.pid


def test_a_call_that_never_lets_go_is_ended_and_health_answers_meanwhile(start: Start) -> None:
    holds_the_interpreter = "__import__('re').match('(a+)+$', 'a' * 60 + 'b')"
    served = warmed(start("--request-seconds", "4", expression=seven_is(holds_the_interpreter)))
    (before,) = served.workers()
    asking = threading.Thread(target=lambda: ask_badly(served))
    asking.start()
    until(lambda: httpx.get(f"{served.client.base_url}/healthz", timeout=3).json() == {"status": "silent"})
    with httpx.Client(base_url=served.client.base_url) as another:
        assert compute(another, {"x": [2]}).json() == {"y": [4.0]}
    asking.join(20)
    assert served.workers()[0].pid != before.pid


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("sys.exit(1)", "SystemExit"),
        ("[].pop()", "IndexError"),
        ("(_ for _ in ()).throw(KeyboardInterrupt())", "KeyboardInterrupt"),
        ("np.ones(10**13)", "MemoryError"),
    ],
)
@pytest.mark.parametrize("warm", [False, True], ids=["in-a-thread", "in-the-loop"])
def test_whatever_a_model_raises_is_a_500(start: Start, action: str, words: str, warm: bool) -> None:
    served = start(expression=seven_is(action))
    if warm:
        warmed(served)
    answer = compute(served.client, {"x": [7]})
    assert answer.status_code == 500, answer.text
    assert words in answer.json()["detail"]
    assert compute(served.client, {"x": [2]}).json() == {"y": [4.0]}


@pytest.mark.parametrize("warm", [False, True], ids=["in-a-thread", "in-the-loop"])
@pytest.mark.parametrize(
    "action",
    ["os.fork()", "os.chdir('/')", "__import__('asyncio').run(__import__('asyncio').sleep(0))", "print('x' * 10**7)"],
)
def test_a_model_may_do_odd_things(start: Start, action: str, warm: bool) -> None:
    served = start(expression=seven_is(action))
    if warm:
        warmed(served)
    assert compute(served.client, {"x": [7]}).json() == {"y": [14.0]}
    assert compute(served.client, {"x": [2]}).json() == {"y": [4.0]}
    assert len(served.workers()) == 1


def test_what_is_no_value_is_told(start: Start) -> None:
    served = start(expression="{'y': (n for n in inputs['x'])}")
    answer = compute(served.client, {"x": [1]})
    assert (answer.status_code, "generator" in answer.json()["detail"]) == (500, True)


def test_a_model_that_takes_the_signals_is_stopped_all_the_same(start: Start) -> None:
    action = "__import__('signal').signal(15, __import__('signal').SIG_IGN)"
    served = warmed(start(expression=seven_is(action)))
    compute(served.client, {"x": [7]})
    served.process.terminate()
    assert served.process.wait(30) == 0
