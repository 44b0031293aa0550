"""Uploaded bytes that vanish are noticed, once for each walk through all artifacts."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from luml_app.core import tables as t
from luml_app.resources import verifying
from luml_app.web.house import House
from tests.api.stage import Stage
from tests.api.test_deletions import put_bytes, store_of


def walk(house: House) -> dict[str, Any]:
    """One step of the walk; its report."""
    house.housekeeper.plan()
    with house.database.write() as db:
        db.execute(delete(t.jobs).where(t.jobs.c.state == "queued", t.jobs.c.type != verifying.KIND))
        db.execute(update(t.jobs).where(t.jobs.c.state == "queued").values(scheduled_at=func.now()))
    assert house.housekeeper.run_due() == 1
    done = select(t.jobs.c.result).where(t.jobs.c.type == verifying.KIND, t.jobs.c.state == "succeeded")
    with house.database.read() as db:
        report: dict[str, Any] = db.scalars(done.order_by(t.jobs.c.finished_at.desc())).first()["result"]
    return report


def test_every_artifact_is_looked_at_in_turn(stage: Stage, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "_AT_ONCE", 2)
    here, collection_id = stage.cast.here, stage.ids["collection_id"]
    made = [put_bytes(house, here, stage.alice, collection_id, b"soup %d" % number) for number in range(3)]
    storage = store_of(house, here)
    storage.delete(made[0].bucket_location)
    with storage.writer(made[1].bucket_location) as writer:
        writer.write(b"other")
        writer.commit()
    pretended, real, rest = (walk(house) for _ in range(3))
    assert set(pretended["damaged"].values()) == {"The bucket has no such object."}, "two that the stage pretends of"
    assert real["damaged"] == {
        str(made[0].id): "The bucket has no such object.",
        str(made[1].id): "The bucket holds 5 bytes instead of 6.",
    }
    assert (rest["looked_at"], rest["damaged"], rest["after"]) == (1, {}, None)
    assert walk(house)["damaged"] == pretended["damaged"], "from the beginning again"
    e = t.events
    told = select(e.c.why).where(e.c.action == "artifact.damaged", e.c.object_id == made[1].id)
    with house.database.read() as db:
        assert db.scalars(told).all() == ["The bucket holds 5 bytes instead of 6."]


def test_a_bucket_that_is_away_says_nothing_about_its_objects(stage: Stage, house: House) -> None:
    put_bytes(house, stage.cast.here, stage.alice, stage.ids["collection_id"], b"soup")
    folder = next(house.settings.store_root.rglob("objects"))
    folder.rename(folder.with_name("away"))
    folder.write_text("no folder")
    report = walk(house)
    assert (report["damaged"], report["unknown"]) == ({}, 3)
