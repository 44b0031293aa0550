"""Whole places are deleted with all that is in them, and nothing else is touched."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.resources import erasing
from luml_app.schemas.errors import Conflict, Invalid, NotFound
from luml_app.storage.local import LocalStorage
from luml_app.storage.opening import open_bucket
from luml_app.web.house import House
from tests.api.cases import BUCKET
from tests.api.stage import Stage, announced
from tests.cast import Place

PLACES = ("collection", "orbit", "organization")


def store_of(house: House, place: Place) -> LocalStorage:
    with house.database.read() as db:
        bucket = db.execute(select(t.buckets).where(t.buckets.c.id == place.bucket_id)).one()
    storage = open_bucket(bucket, house.keys, house.settings)
    assert isinstance(storage, LocalStorage)
    return storage


def put_bytes(house: House, place: Place, api: Any, collection_id: Any, content: bytes) -> Any:
    """An artifact whose bytes are really there."""
    made = api.artifacts.create(*place.path, collection_id, **announced(content)).artifact
    with store_of(house, place).writer(made.bucket_location) as writer:
        writer.write(content)
        writer.commit()
    return api.artifacts.update(*place.path, collection_id, made.id, status="uploaded")


def objects(house: House) -> int:
    return sum(1 for file in house.settings.store_root.rglob("objects/*/*") if file.is_file())


def rows(house: House, *tables: Any) -> list[int]:
    with house.database.read() as db:
        return [db.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def satellite_is_away(house: House) -> None:
    with house.database.write() as db:
        db.execute(update(t.satellites).values(last_seen_at=func.now() - timedelta(hours=1)))


def force(stage: Stage, kind: str) -> Any:
    here, name = stage.cast.here, {"collection": "Croquet", "orbit": "Garden", "organization": "Wonderland"}[kind]
    path = {"collection": stage.path("collection_id"), "orbit": here.path, "organization": here.path[:1]}[kind]
    return getattr(stage.alice, f"{kind}s").force_delete(*path, confirm=name)


@pytest.fixture
def neighbour(stage: Stage, house: House) -> Any:
    """Charlie's artifact, in the very same built-in store."""
    charlie = house.api(_as(stage.cast.charlie))
    collection = charlie.collections.create(*stage.cast.elsewhere.path, name="Sweets", type="model")
    return put_bytes(house, stage.cast.elsewhere, charlie, collection.id, b"chocolate")


def _as(person: Any) -> Any:
    from luml_app.core.scope import Credentials

    return Credentials(token=person.api_key)


@pytest.mark.parametrize("kind", PLACES)
def test_everything_in_a_place_goes_and_the_neighbours_stay(
    kind: str, stage: Stage, house: House, neighbour: Any
) -> None:
    for number in range(5):
        put_bytes(house, stage.cast.here, stage.alice, stage.ids["collection_id"], b"soup %d" % number)
    assert objects(house) == 6
    satellite_is_away(house)
    begun = force(stage, kind)
    assert (begun.kind, begun.step) == (kind, "queued")
    house.housekeeper.run_due()
    (done,) = stage.alice.deletions.list()
    assert (done.id, done.step, done.remaining, done.problem) == (begun.id, "done", 0, None)
    assert objects(house) == 1
    assert store_of(house, stage.cast.elsewhere).stat(neighbour.bucket_location) is not None
    assert rows(house, t.artifacts, t.doomed_objects, t.deployments, t.track_entries) == [1, 0, 0, 0]
    left = {"collection": (2, 2, 2), "orbit": (2, 1, 1), "organization": (1, 1, 1)}[kind]
    assert rows(house, t.organizations, t.orbits) == list(left[:2])
    assert rows(house, t.collections)[0] == 1


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_disappears_at_once(kind: str, stage: Stage) -> None:
    alice, here = stage.alice, stage.cast.here
    force(stage, kind)
    if kind == "organization":
        assert [one.name for one in alice.organizations.list()] == []
    elif kind == "orbit":
        assert alice.orbits.list(here.organization_id) == []
    else:
        assert alice.collections.list(*here.path).items == []
        assert alice.artifacts.list(*here.path).items == []
        with pytest.raises(NotFound):
            alice.artifacts.find(*here.path, stage.ids["artifact_id"])
        with pytest.raises(NotFound):
            alice.track_entries.create(*stage.path("track_id"), artifact_id=stage.ids["artifact_id"])
    with pytest.raises(NotFound):
        alice.artifacts.create(*stage.path("collection_id"), **announced())
    with pytest.raises(NotFound):
        alice.collections.get(*stage.path("collection_id"))
    with pytest.raises(NotFound):
        force(stage, kind)


def test_only_who_knows_the_name_deletes(stage: Stage) -> None:
    for wrong in ("", "garden", "Wonderland"):
        with pytest.raises(Invalid, match="name of the orbit"):
            stage.alice.orbits.force_delete(*stage.cast.here.path, confirm=wrong)
    assert stage.alice.deletions.list() == []


def test_the_name_of_an_orbit_is_free_at_once(stage: Stage) -> None:
    force(stage, "orbit")
    here = stage.cast.here
    assert stage.alice.orbits.create(here.organization_id, name="Garden", bucket_secret_id=here.bucket_id)


def test_a_satellite_that_is_there_is_waited_for(stage: Stage, house: House) -> None:
    stage.satellite.agent.deployments()  # a sign of life
    force(stage, "orbit")
    house.housekeeper.run_due()
    (waiting,) = stage.alice.deletions.list()
    assert (waiting.step, waiting.remaining) == ("undeploying", 1)
    (told,) = stage.satellite.agent.deployments()
    assert told.status == "deletion_pending"
    stage.satellite.agent.delete_deployment(told.id)
    make_due(house)
    house.housekeeper.run_due()
    assert [one.step for one in stage.alice.deletions.list()] == ["done"]


def test_a_satellite_that_does_not_obey_is_not_waited_for_longer(
    stage: Stage, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.satellite.agent.deployments()
    force(stage, "collection")
    monkeypatch.setattr(erasing, "SATELLITE_PATIENCE", timedelta(0))
    house.housekeeper.run_due()
    assert [one.step for one in stage.alice.deletions.list()] == ["done"]


def test_a_bucket_that_is_away_is_waited_for_and_told_of(stage: Stage, house: House) -> None:
    kept = put_bytes(house, stage.cast.here, stage.alice, stage.ids["collection_id"], b"soup")
    folder = next(house.settings.store_root.rglob("objects"))
    folder.rename(folder.with_name("away"))
    folder.write_text("no folder")  # whoever looks for an object now gets an error from the disk
    satellite_is_away(house)
    force(stage, "organization")
    house.housekeeper.run_due()
    (stuck,) = stage.alice.deletions.list()
    assert (stuck.step, stuck.remaining) == ("deleting bytes", 3)
    assert "cannot be deleted" in (stuck.problem or "")
    assert rows(house, t.artifacts, t.organizations) == [0, 2]
    folder.unlink()
    folder.with_name("away").rename(folder)
    make_due(house)
    house.housekeeper.run_due()
    assert store_of(house, stage.cast.elsewhere).stat(kept.bucket_location) is None
    assert [one.step for one in stage.alice.deletions.list()] == ["done"]
    assert rows(house, t.organizations) == [1]


def test_a_bucket_is_not_forgotten_before_its_bytes_unless_they_are_given_up(stage: Stage, house: House) -> None:
    alice, here = stage.alice, stage.cast.here
    bucket = alice.buckets.create(here.organization_id, **BUCKET)
    alice.orbits.update(*here.path, bucket_secret_id=bucket.id)
    made = alice.artifacts.create(*stage.path("collection_id"), **announced()).artifact
    alice.orbits.update(*here.path, bucket_secret_id=here.bucket_id)
    alice.artifacts.delete(*stage.path("collection_id"), made.id)
    with pytest.raises(Conflict, match="leave_bytes"):
        alice.buckets.delete(here.organization_id, bucket.id)
    alice.buckets.delete(here.organization_id, bucket.id, leave_bytes=True)
    assert rows(house, t.doomed_objects) == [0]


def test_a_plain_deletion_of_an_organization_waits_for_its_bytes(stage: Stage, house: House) -> None:
    charlie, elsewhere = house.api(_as(stage.cast.charlie)), stage.cast.elsewhere
    collection = charlie.collections.create(*elsewhere.path, name="Sweets", type="model")
    one = put_bytes(house, elsewhere, charlie, collection.id, b"chocolate")
    charlie.artifacts.delete(*elsewhere.path, collection.id, one.id)
    charlie.orbits.delete(*elsewhere.path)
    charlie.organizations.delete(elsewhere.organization_id)
    assert charlie.organizations.list() == []
    house.housekeeper.run_due()
    assert (objects(house), rows(house, t.organizations)) == (0, [1])


def test_plain_deletions_refuse_as_before(stage: Stage) -> None:
    with pytest.raises(Conflict):
        stage.alice.collections.delete(*stage.path("collection_id"))
    with pytest.raises(Conflict):
        stage.alice.orbits.delete(*stage.cast.here.path)
    with pytest.raises(Conflict):
        stage.alice.organizations.delete(stage.cast.here.organization_id)


def test_every_artifact_leaves_its_trace(stage: Stage, house: House) -> None:
    satellite_is_away(house)
    force(stage, "orbit")
    house.housekeeper.run_due()
    e = t.events
    with house.database.read() as db:
        told = db.execute(select(e).where(e.c.why == "with the orbit 'Garden'").order_by(e.c.at, e.c.id)).all()
    assert sorted(one.action for one in told) == [
        "artifact.delete",
        "artifact.delete",
        "deployment.force_delete",
        "orbit.delete",
        "track.remove",
    ]
    assert {(one.actor_name, one.organization_id) for one in told} == {
        ("alice@example.org", stage.cast.here.organization_id)
    }


def make_due(house: House) -> None:
    with house.database.write() as db:
        db.execute(update(t.jobs).where(t.jobs.c.state == "queued").values(scheduled_at=func.now()))
