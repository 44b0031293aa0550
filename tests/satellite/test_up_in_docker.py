"""`luml up --runtime docker --demo` on a real engine: from nothing to a prediction in a container, and to nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.running_up import Installation
from tests.satellite.contract_server import until
from tests.satellite.engine import BASE_IMAGE, missing, need_engine, open_engine

# The model's environment is downloaded and built in a container, and where the image is not there yet, that, too.
SECONDS = 600.0


@pytest.fixture
def place() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="luml-", ignore_cleanup_errors=True) as folder:
        place = Installation(Path(folder).resolve(), DOCKER_HOST=need_engine(), SATELLITE_BASE_IMAGE=BASE_IMAGE)
        yield place
        place.end_everything()


def containers_of(engine: Any, place: Installation) -> list[Any]:
    """Everything that the satellite of this installation has started, builders included."""
    instance = (place.home / "satellite" / "instance").read_text()
    return list(engine.containers.list(all=True, filters={"label": f"ai.luml.satellite={instance}"}))


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_demo_runs_in_a_container_and_leaves_none(place: Installation) -> None:
    with open_engine() as engine:
        running = place.up("--runtime", "docker", "--demo")
        until(lambda: "Call it yourself" in running.printed or running.process.poll() is not None, SECONDS)
        if "could not be built" in running.printed:
            missing(f"no package index can be reached from a container:\n{running.printed[-1500:]}")

        assert running.said("Satellite") == "local, runtime docker"
        assert "answers and the model image is there)" in running.printed
        rows = running.printed.partition("will_leave")[2]
        assert "True " in rows and "False " in rows
        (replica,) = containers_of(engine, place)
        assert replica.status == "running"
        assert place.pids("model_server") == set()

        assert running.stop() == 0
        assert containers_of(engine, place) == []
        assert place.processes() == {}
