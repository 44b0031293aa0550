"""Servers that are really killed while they delete: the next one goes on, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.storage.keys import object_path
from luml_app.web.house import House
from tests.api.stage import MODEL_MANIFEST, Stage
from tests.api.test_deletions import _as, objects, put_bytes, rows, satellite_is_away, store_of
from tests.cast import MASTER_KEY, Place
from tests.serving import until

CROWD = 900


class Servers:
    """`luml serve` in processes of their own, one after another."""

    def __init__(self, house: House, log: Path) -> None:
        self._environment = {
            **os.environ,
            "LUML_HOME": str(house.settings.home),
            "LUML_DATABASE_URL": str(house.settings.database_url),
            "LUML_SECRET_KEYS": MASTER_KEY,
            "LUML_PORT": "0",
        }
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            argv = [sys.executable, "-m", "luml_app.cli", "serve", "--role", "api"]
            self.process = subprocess.Popen(argv, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None


@pytest.fixture
def servers(house: House, tmp_path: Path) -> Iterator[Servers]:
    running = Servers(house, tmp_path / "servers.log")
    yield running
    running.kill()


def crowd(house: House, place: Place, collection_id: Any) -> None:
    """Many artifacts with a file each. What is in the files does not matter to who deletes them."""
    plain = {
        "collection_id": collection_id,
        "orbit_id": place.orbit_id,
        "bucket_secret_id": place.bucket_id,
        "type": "model",
        "file_name": "a.luml",
        "file_hash": "0" * 64,
        "file_index": {},
        "size": 1,
        "manifest": MODEL_MANIFEST,
        "extra_values": {},
        "status": "uploaded",
    }
    ids = [new_id() for _ in range(CROWD)]
    made = [
        {**plain, "id": one, "unique_identifier": one.hex, "bucket_location": f"{place.orbit_id}/{one}.luml"}
        for one in ids
    ]
    with house.database.write() as db:
        db.execute(insert(t.artifacts), made)
    for one in made:
        path = object_path(house.settings.store_root / "luml" / "objects", one["bucket_location"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def leases_run_out(house: House) -> None:
    """As they do a minute after their holder died; and pauses end."""
    with house.database.write() as db:
        past = func.now() - timedelta(seconds=1)
        db.execute(update(t.jobs).where(t.jobs.c.state == "leased").values(lease_expires_at=past))
        db.execute(update(t.jobs).where(t.jobs.c.state == "queued").values(scheduled_at=past))


def test_a_deletion_survives_every_crash(stage: Stage, house: House, servers: Servers) -> None:
    charlie, elsewhere = house.api(_as(stage.cast.charlie)), stage.cast.elsewhere
    sweets = charlie.collections.create(*elsewhere.path, name="Sweets", type="model")
    kept = [put_bytes(house, elsewhere, charlie, sweets.id, b"chocolate %d" % number) for number in range(5)]
    crowd(house, stage.cast.here, stage.ids["collection_id"])
    satellite_is_away(house)
    stage.alice.organizations.force_delete(stage.cast.here.organization_id, confirm="Wonderland")

    points: list[Callable[[], bool]] = [
        lambda: rows(house, t.artifacts)[0] < CROWD,
        lambda: objects(house) < CROWD * 2 // 3,
        lambda: objects(house) < CROWD // 3,
    ]
    for reached in points:
        leases_run_out(house)
        servers.start()
        until(reached, "the deletion goes on", seconds=120)
        servers.kill()
    assert rows(house, t.organizations) == [2], "killed before it was done"
    leases_run_out(house)
    servers.start()
    until(lambda: [one.step for one in stage.alice.deletions.list()] == ["done"], "the deletion ends", seconds=120)
    servers.kill()

    assert rows(house, t.organizations, t.artifacts, t.doomed_objects) == [1, len(kept), 0]
    assert objects(house) == len(kept)
    storage = store_of(house, elsewhere)
    assert [storage.stat(one.bucket_location) is not None for one in kept] == [True] * len(kept)
    deleted = select(func.count()).where(t.events.c.action == "artifact.delete")
    with house.database.read() as db:
        assert db.scalar(deleted) == CROWD + 2, "each artifact is told of once"


def test_bytes_follow_their_row_whenever_the_server_dies(stage: Stage, house: House, servers: Servers) -> None:
    made = [put_bytes(house, stage.cast.here, stage.alice, stage.ids["collection_id"], b"%d" % n) for n in range(3)]
    folder = next(house.settings.store_root.rglob("objects"))
    folder.rename(folder.with_name("away"))
    folder.write_text("no folder")  # the bucket is away
    servers.start()
    for one in made:
        stage.alice.artifacts.delete(*stage.path("collection_id"), one.id)
    tried = select(func.count()).where(t.doomed_objects.c.problem.is_not(None))
    with house.database.read() as db:
        until(lambda: db.scalar(tried), "it has been tried", seconds=60)
    servers.kill()
    folder.unlink()
    folder.with_name("away").rename(folder)
    assert (objects(house), rows(house, t.doomed_objects)) == (3, [3])
    leases_run_out(house)
    servers.start()
    until(lambda: rows(house, t.doomed_objects) == [0], "the bytes go", seconds=60)
    assert objects(house) == 0
