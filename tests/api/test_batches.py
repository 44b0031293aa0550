"""Many artifacts at once, and many people at the same ones."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from luml_app.core import tables as t
from luml_app.schemas.errors import Conflict, LumlError, NotFound
from luml_app.web.house import House
from tests.api.stage import DATASET_MANIFEST, Stage, announced, mark_uploaded
from tests.api.test_deletions import _as, objects, put_bytes, rows

MANY = 20


def in_collection(stage: Stage, collection_id: Any) -> set[Any]:
    page = stage.alice.artifacts.list(*stage.path(), collection_ids=[str(collection_id)], limit=100)
    return {one.id for one in page.items}


def test_an_artifact_moves_with_its_versions_and_deployments(api: Any, stage: Stage) -> None:
    target = api.collections.create(*stage.path(), name="Wood", type="model")
    one = stage.ids["artifact_id"]
    assert api.artifacts.move(*stage.path("collection_id"), one, target_collection_id=target.id).collection_id == (
        target.id
    )
    assert in_collection(stage, target.id) == {one}
    moved = api.artifacts.get(*stage.path(), target.id, one)
    assert [len(used) for used in (moved.tracks, moved.deployments)] == [1, 1]
    with pytest.raises(NotFound):
        api.artifacts.get(*stage.path("collection_id"), one)


def test_an_artifact_does_not_move_where_it_does_not_belong(stage: Stage, house: House) -> None:
    alice, here = stage.alice, stage.path("collection_id")
    data = alice.collections.create(*stage.path(), name="Tables", type="dataset_experiment")
    with pytest.raises(Conflict, match="dataset and experiment"):
        alice.artifacts.move(*here, stage.spare.id, target_collection_id=data.id)
    charlie = house.api(_as(stage.cast.charlie))
    foreign = charlie.collections.create(*stage.cast.elsewhere.path, name="Sweets", type="mixed")
    doomed = alice.collections.create(*stage.path(), name="Doomed", type="mixed")
    alice.collections.force_delete(*stage.path(), doomed.id, confirm="Doomed")
    for elsewhere in (foreign.id, doomed.id, uuid4()):
        with pytest.raises(NotFound, match="no such collection"):
            alice.artifacts.move(*here, stage.spare.id, target_collection_id=elsewhere)


def test_what_can_be_moved_is_moved_and_the_rest_is_explained(api: Any, stage: Stage) -> None:
    models = api.collections.create(*stage.path(), name="Wood", type="model")
    data = api.artifacts.create(
        *stage.path("collection_id"), **announced(manifest=DATASET_MANIFEST, file_name="a.tar")
    ).artifact
    ids = [data.id, stage.spare.id, uuid4()]
    answer = api.artifacts.move_many(*stage.path(), artifact_ids=ids, target_collection_id=models.id)
    assert answer.done == [stage.spare.id]
    assert [(one.id, one.reason) for one in answer.refused] == [
        (data.id, "The collection 'Wood' is for model artifacts."),
        (ids[2], "There is no such artifact in this orbit."),
    ]


def test_what_can_be_deleted_is_deleted_and_the_rest_is_explained(stage: Stage, house: House) -> None:
    alice = stage.alice
    made = [put_bytes(house, stage.cast.here, alice, stage.ids["collection_id"], b"%d" % n).id for n in range(5)]
    charlie = house.api(_as(stage.cast.charlie))
    sweets = charlie.collections.create(*stage.cast.elsewhere.path, name="Sweets", type="model")
    foreign = put_bytes(house, stage.cast.elsewhere, charlie, sweets.id, b"chocolate").id
    answer = alice.artifacts.delete_many(
        *stage.path(), artifact_ids=[*made, stage.ids["artifact_id"], foreign, made[0]]
    )
    assert answer.done == made
    assert [(one.id, one.reason.partition(";")[0]) for one in answer.refused] == [
        (stage.ids["artifact_id"], "The artifact is in a track"),
        (foreign, "There is no such artifact in this orbit."),
    ]
    house.housekeeper.run_due()
    assert (objects(house), rows(house, t.doomed_objects)) == (1, [0])


class TestAllAtOnce:
    @pytest.fixture
    def house(self, build_house: Callable[..., House]) -> House:
        """With a connection for everybody."""
        return build_house(pool_size=MANY)

    def test_delete_move_deploy_and_versions_never_contradict_each_other(self, stage: Stage, house: House) -> None:
        """Whatever wins: what is used exists, and what is gone has its bytes noted, once."""
        alice, here = stage.alice, stage.path("collection_id")
        made = [alice.artifacts.create(*here, **announced(name=str(n))).artifact.id for n in range(12)]
        for one in made:
            mark_uploaded(house.database, one)
        other = alice.collections.create(*stage.path(), name="Wood", type="mixed").id
        place = {"target_collection_id": other}
        acts: list[Callable[[Any], Any]] = [
            lambda one: alice.artifacts.delete(*here, one),
            lambda one: alice.artifacts.delete_many(*stage.path(), artifact_ids=random.sample(made, 4)),
            lambda one: alice.artifacts.move(*here, one, **place),
            lambda one: alice.artifacts.move_many(*stage.path(), artifact_ids=random.sample(made, 4), **place),
            lambda one: alice.track_entries.create(*stage.path("track_id"), artifact_id=one),
            lambda one: alice.deployments.create(
                *stage.path(), satellite_id=stage.ids["satellite_id"], artifact_id=one, name="Race"
            ),
        ]
        start = threading.Barrier(MANY)

        def act(number: int) -> None:
            start.wait()
            for turn in range(6):
                try:
                    acts[(number + turn) % len(acts)](made[(number * 5 + turn) % len(made)])
                except LumlError as error:
                    assert isinstance(error, (Conflict, NotFound)) or error.code == "unavailable"

        with ThreadPoolExecutor(MANY) as pool:
            list(pool.map(act, range(MANY)))
        with house.database.read() as db:
            left = set(db.scalars(select(t.artifacts.c.id).where(t.artifacts.c.id.in_(made))))
            noted = list(db.scalars(select(t.doomed_objects.c.id)))
            used = set(db.scalars(select(t.revisions.c.artifact_id))) | set(
                db.scalars(select(t.track_entries.c.artifact_id))
            )
            told = list(db.scalars(select(t.events.c.object_id).where(t.events.c.action == "artifact.delete")))
        assert sorted(noted) == sorted(set(made) - left)
        assert sorted(told) == sorted(noted)
        assert not used & set(noted)
