"""How many artifacts a collection holds is right, whichever way they came, moved or went."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.web.house import House
from tests.api.stage import Stage, announced


def totals(house: House) -> dict[str, int]:
    """By the collection's name, and that they are what one counts."""
    a, c = t.artifacts, t.collections
    counted = select(func.count()).where(a.c.collection_id == c.c.id).scalar_subquery()
    with house.database.read() as db:
        rows = db.execute(select(c.c.name, c.c.total_artifacts, counted.label("counted"))).all()
    assert all(row.total_artifacts == row.counted for row in rows), rows
    return {row.name: row.total_artifacts for row in rows}


def test_they_follow_every_change(stage: Stage) -> None:
    a, here = t.artifacts, stage.path()
    other = stage.alice.collections.create(*here, name="Other", type="mixed")
    stage.alice.artifacts.create(*here, other.id, **announced(name="Duchess"))
    assert totals(stage.house) == {"Croquet": 2, "Other": 1}
    with stage.house.database.write() as db:
        db.execute(update(a).values(collection_id=other.id))
    assert totals(stage.house) == {"Croquet": 0, "Other": 3}
    assert stage.alice.collections.get(*here, other.id).total_artifacts == 3
    assert stage.alice.orbits.get(*here).total_artifacts == 3
    stage.alice.artifacts.delete(*here, other.id, stage.spare.id)
    assert totals(stage.house) == {"Croquet": 0, "Other": 2}
    with stage.house.database.write() as db:
        db.execute(delete(a).where(a.c.name == "Duchess"))
        db.execute(delete(a).where(a.c.name == "nobody"))
    assert totals(stage.house) == {"Croquet": 0, "Other": 1}


def test_a_cascade_leaves_nothing_behind(stage: Stage) -> None:
    ids = {name: new_id() for name in ("orbit_id", "collection_id")}
    place = stage.cast.here
    with stage.house.database.write() as db:
        orbit = {"organization_id": place.organization_id, "bucket_secret_id": place.bucket_id, "name": "Doomed"}
        db.execute(insert(t.orbits).values(id=ids["orbit_id"], **orbit))
        kept = {"id": ids["collection_id"], "orbit_id": ids["orbit_id"], "name": "Doomed", "type": "mixed"}
        db.execute(insert(t.collections).values(kept))
        old = select(t.artifacts).where(t.artifacts.c.id == stage.spare.id)
        row = dict(db.execute(old).one()._mapping) | ids
        rows = [row | {"id": (one := new_id()), "bucket_location": str(one)} for _ in range(5)]
        db.execute(insert(t.artifacts).values(rows))
    assert totals(stage.house)["Doomed"] == 5
    with stage.house.database.write() as db:
        db.execute(delete(t.orbits).where(t.orbits.c.id == ids["orbit_id"]))
    assert totals(stage.house) == {"Croquet": 2}


def test_twenty_at_once_are_all_counted(stage: Stage) -> None:
    path = stage.path("collection_id")

    def create(number: int) -> Any:
        return stage.alice.artifacts.create(*path, **announced(name=f"Card {number}"))

    with ThreadPoolExecutor(10) as threads:
        made = list(threads.map(create, range(20)))
        assert totals(stage.house) == {"Croquet": 22}
        list(threads.map(lambda one: stage.alice.artifacts.delete(*path, one.artifact.id), made))
    assert totals(stage.house) == {"Croquet": 2}
