"""A clock that is an hour wrong, under fifty requests a second: nobody notices, and nothing waits an hour."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chaos.house import SECONDS_TO_BE_RIGHT, Installation, installed
from tests.satellite.contract_server import until
from tests.satellite.engine import missing, need_engine
from tests.satellite.load import load

pytestmark = [pytest.mark.slow, pytest.mark.docker]

BODY = {"inputs": {"x": [1.0, 2.0]}}
HOUR = 3600
SOURCE = Path(__file__).with_name("clock.c")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that puts the clock of a process wrong, for all that it calls."""
    if not (compiler := shutil.which("gcc")):
        missing("gcc is not installed")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def put_wrong(house: Installation, program: str, clock: Path, offset: int) -> None:
    """Start one program again with a clock that is `offset` seconds ahead."""
    one = getattr(house, program)
    one.environment |= {"LD_PRELOAD": str(clock), "LUML_CLOCK_OFFSET": str(offset)}
    getattr(house, f"kill_{program}")()


@pytest.mark.parametrize("offset", [HOUR, -HOUR], ids=["ahead", "behind"])
@pytest.mark.parametrize("program", ["server", "satellite"])
def test_a_clock_that_is_wrong(tmp_path: Path, clock: Path, program: str, offset: int) -> None:
    with installed(tmp_path, "docker", need_engine()) as house:
        models = [house.model(name) for name in ("first", "second")]
        handle = models[0].deploy(name="live").wait(120)
        parted = models[0].deploy(name="parted").wait(120)
        with load(handle.url, house.cast.alice.api_key, BODY) as calls:
            until(lambda: calls.count() > 20, 30, "the first answers")
            put_wrong(house, program, clock, offset)
            until(house.answers, 60, "the server")
            handle.update(models[1]).wait(120)
            # In steps of a second, of which each is an errand of the server.
            parted.update(models[1], steps=[(10, 1), (50, 1), (100, 0)])
            fresh = models[1].deploy(name="fresh").wait(120)
            for one in (handle, parted, fresh):
                until(lambda one=one: house.is_right(one), SECONDS_TO_BE_RIGHT, f"that {one.data.name} is right")
            assert house.client.satellites.get(*house.orbit.ids, house.made.satellite.id).status == "active"
        assert calls.failures == []
        assert all(one.attempts == 1 for one in house.jobs(handle.data.id)[1:])
