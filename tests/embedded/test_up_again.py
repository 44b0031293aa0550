"""The end of `luml up`, however it comes, and the next start."""

from __future__ import annotations

import os
import signal

import pytest

from tests.embedded.running_up import PARTS, Installation, artifact_ids, eventually, predicts


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
