"""Every list with a cursor, with 500 objects, ties and nulls: each object once, in both orders, whatever the filter."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest
from sqlalchemy import insert, text, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.resources.artifact_search import FIELDS
from tests.api.cases import OPERATIONS
from tests.api.stage import MODEL_MANIFEST, Stage

COUNT = 500
START = datetime(2026, 3, 1, tzinfo=UTC)
ELSEWHERE = {
    "track_history.stage": "its pages are in its own tests",
    "events.export": "has no pages that end",
    "events.export_of_orbit": "has no pages that end",
    "webhooks.deliveries": "its pages are walked in tests/jobs/webhooks",
}
"""Operations with a cursor that are not walked here, and why."""

FILTERS: dict[str, list[dict[str, Any]]] = {
    "artifacts.list": [
        {"search": "NAME 1"},
        {"text": "odd name"},
        {"tags": ["odd"]},
        {"types": ["model"], "status": ["uploaded", "upload_failed"]},
        {"filter": "metrics.tied > 1 or metrics.gaps is null"},
        {"filter": 'tags contains "odd" and not metrics.tied = 2'},
        {"filter": "metrics.gaps > 5"},
        {"filter": 'params.word in ("a", "b") and size != 2'},
    ],
    "collections.list": [{"search": "NAME 1"}, {"types": ["model"]}],
    "tracks.list": [{"search": "name 1"}, {"types": ["model"]}],
    "track_entries.list": [],
    "revisions.list": [],
    "search.list": [{"text": "name"}, {"kinds": ["collection", "track"]}, {"filter": "metrics.tied > 1"}],
    "events.list": [{"action": "artifact"}],
    "events.list_in_orbit": [{"action": "artifact"}],
}


def _row(number: int, orbit_id: UUID) -> dict[str, Any]:
    moment = START + timedelta(minutes=number % 7)
    return {
        "id": new_id(),
        "orbit_id": orbit_id,
        "name": f"name {number % 20}",
        "description": None if number % 3 else f"same {number % 2}",
        "tags": ["odd"] if number % 2 else None,
        "created_at": moment,
    }


def _artifact(number: int, stage: Stage) -> dict[str, Any]:
    here, row = stage.cast.here, _row(number, stage.cast.here.orbit_id)
    values = {"tied": number % 4} | ({} if number % 3 else {"gaps": number % 11})
    own = {
        "name": row["name"] if number % 5 else None,
        "description": "an odd one" if number % 4 == 1 else row["description"],
        "collection_id": stage.ids["collection_id"],
        "bucket_secret_id": here.bucket_id,
        "type": "model",
        "file_name": f"m{number % 3}.luml",
        "file_hash": "0" * 64,
        "file_index": {},
        "size": number % 5 + 1,
        "manifest": MODEL_MANIFEST,
        "extra_values": values,
        "params": {"word": "abc"[number % 3]},
        "status": "uploaded" if number % 6 else "upload_failed",
        "bucket_location": str(row["id"]),
        "unique_identifier": row["id"].hex,
        "updated_at": None if number % 2 else row["created_at"],
    }
    return row | own


def _event(number: int, stage: Stage) -> dict[str, Any]:
    here = stage.cast.here
    place = {"organization_id": here.organization_id, "orbit_id": here.orbit_id, "at": START}
    action = "artifact.update" if number % 2 else "track.update"
    return {"id": new_id(), **place, "actor_kind": "user", "action": action, "object_id": new_id()}


def _revision(number: int, stage: Stage) -> dict[str, Any]:
    part = {"deployment_id": stage.ids["deployment_id"], "artifact_id": stage.ids["artifact_id"], "digest": "0" * 64}
    return {"id": new_id(), "number": 100 + number, "created_at": START, **part}


@pytest.fixture
def crowd(stage: Stage) -> Stage:
    """500 objects of each kind, inserted beside the api for speed."""
    orbit_id, track_id = stage.cast.here.orbit_id, stage.ids["track_id"]
    artifacts = [_artifact(number, stage) for number in range(COUNT)]
    rows = [_row(number, orbit_id) for number in range(COUNT)]
    entries = [
        {"id": new_id(), "track_id": track_id, "artifact_id": one["id"], "version": 100 + number, "added_by": new_id()}
        for number, one in enumerate(artifacts)
    ]
    with stage.house.database.write() as db:
        db.execute(insert(t.artifacts), artifacts)
        db.execute(insert(t.collections), [row | {"type": "model", "description": row["name"]} for row in rows])
        tracks = [row | {"id": new_id(), "artifact_type": "model"} for row in rows]
        db.execute(insert(t.tracks), [row | {"name": f"{row['name']} {row['id']}"} for row in tracks])
        db.execute(insert(t.track_entries), [one | {"created_at": START} for one in entries])
        db.execute(insert(t.revisions), [_revision(number, stage) for number in range(COUNT)])
        db.execute(insert(t.events), [_event(number, stage) for number in range(COUNT)])
        db.execute(text(_VALUES))
        db.execute(update(t.artifacts).where(t.artifacts.c.name == "Hatter").values(updated_at=START))
    return stage


_VALUES = """
INSERT INTO artifact_values (artifact_id, name, orbit_id, number)
SELECT a.id, 'metrics.' || one.key, a.orbit_id, CAST(CAST(one.value AS text) AS double precision)
FROM artifacts a CROSS JOIN LATERAL jsonb_each(a.extra_values) one ON CONFLICT DO NOTHING;
INSERT INTO artifact_values (artifact_id, name, orbit_id, text)
SELECT id, 'params.word', orbit_id, params ->> 'word' FROM artifacts WHERE params ? 'word'
"""


def walk(stage: Stage, name: str, **query: Any) -> list[UUID]:
    resource, _, verb = name.partition(".")
    ids = [stage.ids[parameter] for parameter in OPERATIONS[name].path_parameters]
    found: list[UUID] = []
    cursor = None
    while True:
        page = getattr(getattr(stage.alice, resource), verb)(*ids, cursor=cursor, limit=67, **query)
        found += [one.id for one in page.items]
        cursor = page.cursor
        if cursor is None:
            return found
        assert len(page.items) == 67


def sorts_of(name: str) -> list[str]:
    parameter = OPERATIONS[name].query.get("sort_by")
    if name == "artifacts.list":
        return [*FIELDS, "tied", "gaps", "metrics.gaps", "params.word", "nothing"]
    return [*get_args(parameter.annotation)] if parameter is not None else []


def test_every_list_with_a_cursor_is_walked() -> None:
    with_cursor = {name for name, operation in OPERATIONS.items() if "cursor" in operation.query}
    assert with_cursor == FILTERS.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("name", FILTERS)
def test_each_object_once(name: str, crowd: Stage) -> None:
    everything = Counter(walk(crowd, name))
    assert len(everything) >= COUNT
    assert set(everything.values()) == {1}
    sorts = sorts_of(name)
    for sort in sorts:
        for order in ("asc", "desc"):
            assert Counter(walk(crowd, name, sort_by=sort, order=order)) == everything, (sort, order)
    for query in FILTERS[name]:
        expected = set(walk(crowd, name, **query))
        assert 0 < len(expected) < len(everything) or "types" in query or "kinds" in query, query
        for sort in sorts:
            for order in ("asc", "desc"):
                found = walk(crowd, name, **query, sort_by=sort, order=order)
                assert (len(found), set(found)) == (len(expected), expected), (query, sort, order)


def test_the_orders_are_each_others_mirror_but_for_what_is_missing(crowd: Stage) -> None:
    for sort in ("tied", "gaps", "name", "size"):
        up = walk(crowd, "artifacts.list", sort_by=sort, order="asc", filter="metrics.gaps exists and name exists")
        down = walk(crowd, "artifacts.list", sort_by=sort, order="desc", filter="metrics.gaps exists and name exists")
        assert up == down[::-1]
