"""What goes wrong outside of our processes, while an earlier revision serves fifty requests a second: nobody who calls
notices, the deployment says what is wrong and what to do, and when it is mended all becomes right by itself.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from luml_app.client.objects import ArtifactHandle, DeploymentHandle
from satellite import reasons
from satellite.reasons import Reason
from tests.chaos.house import SECONDS_TO_BE_RIGHT, Installation, Port, installed
from tests.client.proxy import Fault, Proxy
from tests.satellite.contract_server import until
from tests.satellite.engine import missing, need_engine
from tests.satellite.load import Load, load

pytestmark = [pytest.mark.slow, pytest.mark.docker]

BODY = {"inputs": {"x": [1.0, 2.0]}}
TRIPLE = "{'y': inputs['x'] * 3}"
LARGE = {"variant_artifacts/weights": "w" * (256 * 2**20)}
# As long as a signed address is good, in seconds.
SHORT = 2


class Place:
    """A house with a deployment that serves its first revision; the bytes of models come by way of `line`."""

    def __init__(self, house: Installation, line: Proxy, name: str) -> None:
        self.house, self.line = house, line
        # A fresh one for each: its bytes are no others' that are cached.
        self.first = house.model(name)
        self.live: DeploymentHandle = self.first.deploy(name=name).wait(120)

    def told(self, handle: DeploymentHandle, reason: Reason) -> None:
        """Wait until the deployment says that this is wrong, and what to do."""

        def message() -> dict[str, Any]:
            row = self.house.row(handle.data.id)
            return (row and row.error_message) or {}

        try:
            until(lambda: message().get("reason") == reason.text, 60, f"that it is told: {reason.text}")
        except AssertionError as error:
            pytest.fail(f"{error}, but {message()}; {self.house.state(handle)}")
        assert message()["next_step"] == reason.next_step

    def right(self, *handles: DeploymentHandle) -> None:
        """Wait until everything is as it is wanted."""
        for handle in handles:
            try:
                until(partial(self.house.is_right, handle), SECONDS_TO_BE_RIGHT, "that all is right again")
            except AssertionError as error:
                pytest.fail(f"{error}: {self.house.state(handle)}, {self.house.row(handle.data.id).error_message}")

    @contextmanager
    def called(self) -> Iterator[Load]:
        """Callers of the first revision, of whom none may notice anything."""
        with load(self.live.url, self.house.cast.alice.api_key, BODY) as calls:
            until(lambda: calls.count() > 20, 30, "the first answers")
            yield calls
            before = calls.count()
            until(lambda: calls.count() > before + 50, 30, "further answers")
        assert calls.failures == []

    def triple(self, name: str, **facts: Any) -> ArtifactHandle:
        model: ArtifactHandle = self.house.model(name, expression=TRIPLE, **facts)
        return model

    def cached(self, model: ArtifactHandle) -> Path:
        """Where the satellite keeps the bytes of a model."""
        return self.house.data / "models" / f"{model.data.file_hash}.luml"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk for the satellite alone, with room for an environment and little more."""
    if os.geteuid() != 0:
        missing("only root may mount a disk that is small enough to be full")
    disk = tmp_path / "satellite"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def open_place(folder: Path, **settings: Any) -> Iterator[tuple[Installation, Proxy]]:
    """A house with a line to it."""
    ports = Port(), Port()
    line = Proxy(ports[0].number)
    with installed(folder, "docker", need_engine(), ports=ports, LUML_PUBLIC_URL=line.address, **settings) as house:
        yield house, line
    line.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Proxy]]:
    with open_place(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture
def place(house: tuple[Installation, Proxy], request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(*house, request.node.name)
    yield made
    made.live.orbit.client.deployments.delete(*made.live.ids)


@pytest.fixture
def place_with_small_disk(small_disk: Path) -> Iterator[Place]:
    with open_place(small_disk.parent) as made:
        yield Place(*made, "first")


@pytest.fixture
def place_with_short_addresses(tmp_path: Path) -> Iterator[Place]:
    with open_place(tmp_path, LUML_SIGNED_URL_SECONDS=SHORT) as made:
        yield Place(*made, "first")


def fill(disk: Path) -> Path:
    """A file that takes the last byte of a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as sink, pytest.raises(OSError, match="No space left"):
        while True:
            sink.write(bytes(2**20))
    return ballast


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_a_full_disk(small_disk: Path, place_with_small_disk: Place) -> None:
    place = place_with_small_disk
    with place.called():
        second = place.triple("after a full disk")
        ballast = fill(small_disk)
        place.live.update(second)
        fresh = place.first.deploy(name="fresh")
        place.told(place.live, reasons.DISK_FULL)
        place.told(fresh, reasons.DISK_FULL)
        ballast.unlink()
        place.right(place.live, fresh)
    assert place.live.reload().compute({"x": [1.0]}) == {"y": [3.0]}


@pytest.mark.parametrize("where", ["archive", "folder"])
def test_a_corrupted_cache(place: Place, where: str) -> None:
    second = place.triple(f"corrupted {where}")
    place.live.update(second).wait(120)
    place.live.rollback().wait(120)
    place.right(place.live)
    archive = place.cached(second)
    flip(archive if where == "archive" else archive.with_suffix("") / "variant_artifacts" / "__pyfunc__.py", at=40)
    with place.called():
        place.live.update(second).wait(120)
        place.right(place.live)
    assert place.live.reload().compute({"x": [1.0]}) == {"y": [3.0]}


def test_a_bucket_that_breaks_off_and_is_away(place: Place) -> None:
    second = place.triple("broken off", members={"variant_artifacts/weights": "w" * 2**22})
    with place.called():
        # In the middle of a download, and then at the first byte of each further one, until it is back.
        place.line.plan(*(Fault("GET /store", after=cut) for cut in (2**21, *[0] * 200)))
        place.live.update(second)
        place.told(place.live, reasons.BUCKET_AWAY)
        place.line.faults.clear()
        place.right(place.live)
    assert place.live.reload().compute({"x": [1.0]}) == {"y": [3.0]}


def test_a_server_killed_in_the_middle_of_a_download(place: Place) -> None:
    second = place.triple("large", members=LARGE)
    with place.called():
        place.live.update(second)
        half = place.cached(second).with_suffix(".part")
        until(lambda: half.exists() and half.stat().st_size > 0, 30, "the beginning of the download")
        place.house.kill_server()
        place.right(place.live)
    assert not half.exists()
    assert place.live.reload().compute({"x": [1.0]}) == {"y": [3.0]}


def test_an_address_that_has_expired(place_with_short_addresses: Place) -> None:
    place = place_with_short_addresses
    second = place.triple("after an expired address")
    with place.called():
        place.line.plan(Fault("GET /store", held=SHORT + 1))
        place.live.update(second)
        place.told(place.live, reasons.BUCKET_REFUSED)
        place.right(place.live)
    assert place.live.reload().compute({"x": [1.0]}) == {"y": [3.0]}


def test_other_bytes_in_the_bucket(place: Place) -> None:
    """One bit is another one on its way; the next download is good."""
    second = place.triple("other bytes")
    with place.called():
        place.line.plan(Fault("GET /store", after=5000, flip=True))
        place.live.update(second)
        place.told(place.live, reasons.DIGEST_MISMATCH)
        place.right(place.live)
    assert place.live.reload().compute({"x": [1.0]}) == {"y": [3.0]}
