"""Requests that end the process of the model, in the midst of others that must not suffer from it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from satellite.daemon import Daemon
from tests.satellite.contract_server import API_KEY, ContractServer, until
from tests.satellite.models import write_model
from tests.satellite.test_end_to_end import active, compute, replicas_under

DEADLY = 666


class Crowd:
    """Callers who ask one after the other, until they are told to stop."""

    def __init__(self, url: str, callers: int) -> None:
        self.url, self.answers, self.stopping = url, Counter[str](), threading.Event()
        self.threads = [threading.Thread(target=self.call) for _ in range(callers)]

    def call(self) -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {API_KEY}"}, timeout=60) as http:
            while not self.stopping.is_set():
                answer = http.post(self.url, json={"inputs": {"x": [1]}})
                right = answer.status_code == 200 and answer.json() == {"y": [2.0]}
                self.answers["right" if right else answer.text] += 1

    def __enter__(self) -> Crowd:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_request_that_ends_model_servers_ends_two_at_most_and_harms_nobody_else(
    our_platform: ContractServer, tmp_path: Path, start_daemon: Callable[..., Daemon], replicas: int
) -> None:
    start_daemon(our_platform, hold_seconds=60)
    deaths = tmp_path / "deaths"
    die = f"open({str(deaths)!r}, 'a').write('x') and os._exit(3)"
    path = write_model(tmp_path / "m.luml", f"{die} if (inputs['x'] == {DEADLY}).any() else {{'y': inputs['x'] * 2}}")
    deployment_id = our_platform.deploy(our_platform.add_model(path), satellite_parameters={"replicas": replicas})
    url = active(our_platform, deployment_id)
    until(
        lambda: (
            len([one for one in replicas_under(tmp_path / "satellite") if "--port-file" in one.cmdline()]) >= replicas
        )
    )
    with Crowd(url, callers=6) as crowd:
        until(lambda: crowd.answers["right"] > 20)
        for number in (1, 2):
            answer = compute(url, [DEADLY])
            assert (answer.status_code, "ended over this request" in answer.json()["detail"]) == (502, True), (
                answer.text
            )
            assert len(deaths.read_text()) == 2 * number
        seen = crowd.answers["right"]
        until(lambda: crowd.answers["right"] > seen + 20)
    assert set(crowd.answers) == {"right"}, crowd.answers
