"""What is freed, what is not, and why."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.jobs.chores import Errand
from luml_app.resources.collecting import collect, explain, survey
from luml_app.resources.sweeping import STALE
from luml_app.schemas.errors import NotFound
from luml_app.web.house import House
from tests.api.stage import Stage
from tests.api.test_deletions import objects, put_bytes, store_of
from tests.api.test_uploads import begin_in_parts, days_pass


@pytest.fixture
def errand(house: House) -> Errand:
    return Errand({}, house.database, house.keys, house.settings)


def put_object(house: House, stage: Stage, key: str) -> None:
    with store_of(house, stage.cast.here).writer(key) as writer:
        writer.write(b"soup")
        writer.commit()


def files_age(house: House) -> None:
    past = time.time() - STALE.total_seconds() - 3600
    for file in (Path(place) / name for place, _, names in os.walk(house.settings.store_root) for name in names):
        os.utime(file, (past, past))


def counts(found: list[Any]) -> dict[str, int]:
    return {one.kind: one.count for one in found}


def test_only_old_objects_that_nobody_refers_to_are_freed(stage: Stage, house: House, errand: Errand) -> None:
    here = stage.cast.here
    kept = put_bytes(house, here, stage.alice, stage.ids["collection_id"], b"kept")
    orphan, probe = f"{here.orbit_id}/{uuid4()}.luml", f"probe/{uuid4()}"
    strange, foreign = "a/file/of/somebody", f"{uuid4()}/{uuid4()}.luml"
    for key in (orphan, probe, strange, foreign):
        put_object(house, stage, key)
    assert counts(survey(errand))["orphan objects"] == 0, "too young"
    files_age(house)
    young = f"{here.orbit_id}/{uuid4()}.luml"
    put_object(house, stage, young)
    found = survey(errand)
    assert counts(found)["orphan objects"] == 2
    assert set(found[0].examples) == {orphan, probe}
    assert objects(house) == 6, "a survey changes nothing"
    collect(errand)
    storage = store_of(house, here)
    left = {key for key in (orphan, probe, strange, foreign, young, kept.bucket_location) if storage.stat(key)}
    assert left == {strange, foreign, young, kept.bucket_location}
    assert counts(survey(errand))["orphan objects"] == 0


def test_bytes_of_an_orbit_that_was_deleted_are_still_known(stage: Stage, house: House, errand: Errand) -> None:
    charlie, there = house.api(_charlie(stage)), stage.cast.elsewhere
    put_object(house, stage, f"{there.orbit_id}/{uuid4()}.luml")
    charlie.orbits.delete(*there.path)
    files_age(house)
    assert counts(collect(errand))["orphan objects"] == 1
    assert objects(house) == 0


def test_the_rest_is_freed_too(stage: Stage, house: House, errand: Errand) -> None:
    begin_in_parts(stage, house)
    days_pass(house)
    stage.alice.deployments.force_delete(*stage.path("deployment_id"))
    long_ago = func.now() - timedelta(days=40)
    job = {"id": new_id(), "type": "old", "payload": {}, "dedupe_key": "old", "state": "succeeded"}
    with house.database.write() as db:
        db.execute(update(t.deployments).values(updated_at=long_ago))
        db.execute(insert(t.jobs).values(**job, finished_at=long_ago))
    before = counts(survey(errand))
    assert {name: before[name] for name in ("unfinished uploads", "ended jobs", "tombstones")} == {
        "unfinished uploads": 1,
        "ended jobs": 1,
        "tombstones": 1,
    }
    collect(errand)
    after = counts(survey(errand))
    assert {name: after[name] for name in ("unfinished uploads", "ended jobs", "tombstones")} == {
        "unfinished uploads": 0,
        "ended jobs": 0,
        "tombstones": 0,
    }


def test_what_keeps_an_artifact_alive(stage: Stage, house: House) -> None:
    with house.database.read() as db:
        reasons = explain(db, stage.ids["artifact_id"])
        assert reasons == [
            "The track 'Tea party' does: it is version 1, in the stage 'staging'.",
            "The deployment 'Oracle' does, by its revision 1.",
            "Its own row does: the artifact is uploaded.",
        ]
        assert explain(db, stage.spare.id) == ["Its own row does: the artifact is uploaded."]
    spare = stage.spare.id
    stage.alice.artifacts.delete(*stage.path("collection_id"), spare)
    with house.database.read() as db:
        (reason,) = explain(db, spare)
        assert reason.startswith("Nothing does: its bytes are to be deleted since")
        with pytest.raises(NotFound):
            explain(db, uuid4())


def _charlie(stage: Stage) -> Any:
    from tests.api.test_deletions import _as

    return _as(stage.cast.charlie)
