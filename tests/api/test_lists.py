"""Pages: every object once, in order, whatever the sort, with equal values and missing ones among them."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import pytest

from luml_app.schemas.errors import BadRequest, Invalid
from tests.api.stage import Stage, announced, mark_uploaded

METRICS: list[Any] = [0.5, 0.5, 0.5, None, "text", True, 0, -1, 10**400, 1e-300, 0.1, [1]]


@pytest.fixture
def many(stage: Stage) -> Stage:
    """Artifacts, collections, tracks and versions with ties and gaps."""
    api, where = stage.alice, stage.path("collection_id")
    for number, value in enumerate(METRICS):
        extra = {} if value is None else {"metric": value}
        name = None if number % 3 == 0 else f"name {number % 4}"
        made = api.artifacts.create(*where, **announced(name=name, size=number % 3 + 1, extra_values=extra))
        mark_uploaded(stage.house.database, made.artifact.id)
        stage.alice.track_entries.create(*stage.path("track_id"), artifact_id=made.artifact.id)
        api.collections.create(*stage.path(), name=f"same {number % 2}", type="model")
        description = None if number % 2 else "same"
        api.tracks.create(*stage.path(), name=f"track {number}", artifact_type="model", description=description)
    return stage


def walk(method: Any, *ids: Any, **query: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        page = method(*ids, cursor=cursor, limit=4, **query)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found
        assert len(page.items) == 4


SORTS = {
    "artifacts": ["created_at", "name", "size", "description", "metric", "accuracy", "no such metric", "updated_at"],
    "collections": ["created_at", "name", "type", "description", "total_artifacts"],
    "tracks": ["name", "description", "total_entries", "created_at"],
    "track_entries": ["artifact_name", "description", "stage", "version", "created_at"],
}


@pytest.mark.parametrize(("resource", "sort"), [(name, sort) for name, sorts in SORTS.items() for sort in sorts])
def test_each_object_comes_once_in_both_orders(resource: str, sort: str, many: Stage) -> None:
    ids = many.path("track_id") if resource == "track_entries" else many.path()
    method = getattr(many.alice, resource).list
    everything = {one.id for one in method(*ids, limit=100).items}
    assert len(everything) > 11
    for order in ("asc", "desc"):
        found = walk(method, *ids, sort_by=sort, order=order)
        assert len(found) == len(everything)
        assert {one.id for one in found} == everything


def test_pages_by_long_descriptions_go_on_from_cursors_that_fit_into_an_address(stage: Stage) -> None:
    api, where = stage.alice, stage.path("collection_id")
    for number in range(9):
        long = "\N{SNOWMAN}\x01" * 490 + str(number % 3)
        artifact = api.artifacts.create(*where, **announced(description=long * 10)).artifact
        mark_uploaded(stage.house.database, artifact.id)
        api.track_entries.create(*stage.path("track_id"), artifact_id=artifact.id)
        api.collections.create(*stage.path(), name="long", type="model", description=long)
        api.tracks.create(*stage.path(), name=f"{number}", artifact_type="model", description=long * 10)
    for resource in SORTS:
        ids = stage.path("track_id") if resource == "track_entries" else stage.path()
        method = getattr(api, resource).list
        everything = {one.id for one in method(*ids, limit=100).items}
        for order in ("asc", "desc"):
            found = walk(method, *ids, sort_by="description", order=order)
            assert Counter(one.id for one in found) == Counter(everything)


def test_numbers_are_sorted_and_what_is_none_comes_last(many: Stage) -> None:
    numbers = [value for value in METRICS if isinstance(value, (int, float)) and not isinstance(value, bool)]
    for order in ("asc", "desc"):
        found = walk(many.alice.artifacts.list, *many.path(), sort_by="metric", order=order)
        values = [float(str(one.extra_values.get("metric"))) for one in found[: len(numbers)]]
        assert values == sorted(map(float, map(str, numbers)), reverse=order == "desc")


def test_a_page_goes_on_where_it_ended_although_others_write(api: Any, stage: Stage) -> None:
    for number in range(4):
        api.collections.create(*stage.path(), name=f"{number}", type="model")
    first = api.collections.list(*stage.path(), limit=2)
    api.collections.create(*stage.path(), name="came later", type="model")
    api.collections.delete(*stage.path(), first.items[-1].id)
    second = api.collections.list(*stage.path(), limit=10, cursor=first.cursor)
    assert [one.name for one in (*first.items, *second.items)] == ["3", "2", "1", "0", "Croquet"]


def test_a_cursor_belongs_to_its_list(api: Any, stage: Stage) -> None:
    for number in range(2):
        api.collections.create(*stage.path(), name=f"{number}", type="model")
    cursor = api.collections.list(*stage.path(), limit=1).cursor
    for other in ({"sort_by": "name"}, {"order": "asc"}, {"search": "x"}, {"types": ["model"]}):
        with pytest.raises(BadRequest, match="belongs to another"):
            api.collections.list(*stage.path(), cursor=cursor, **other)
    with pytest.raises(BadRequest, match="belongs to another"):
        api.tracks.list(*stage.path(), cursor=cursor)


def test_a_cursor_that_was_tampered_with(api: Any, stage: Stage) -> None:
    api.collections.create(*stage.path(), name="one more", type="model")
    cursor = api.collections.list(*stage.path(), limit=1).cursor
    told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for change in ({"value": "not a date"}, {"value": [1]}, {"id": "x"}, {"mark": 1}, {"value": "0\0"}):
        forged = base64.urlsafe_b64encode(json.dumps(told | change).encode()).decode()
        with pytest.raises(BadRequest):
            api.collections.list(*stage.path(), cursor=forged)
    for nonsense in ("x", "%%%", "e30", "ü", "A" * 5000):
        with pytest.raises(BadRequest):
            api.collections.list(*stage.path(), cursor=nonsense)


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 101}, {"limit": "many"}, {"order": "up"}, {"sort_by": "size"}]
)
def test_a_faulty_query_is_named(api: Any, stage: Stage, query: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        api.collections.list(*stage.path(), **query)
    assert caught.value.problems[0].loc == ["query", next(iter(query))]


def test_a_search_takes_wildcards_as_letters(api: Any, stage: Stage) -> None:
    for name in ("50% off", "under_score", "back\\slash", "Ümlaut"):
        api.collections.create(*stage.path(), name=name, type="model")

    def found(text: str) -> list[str]:
        return [one.name for one in api.collections.list(*stage.path(), search=text).items]

    assert found("%") == ["50% off"]
    assert found("_") == ["under_score"]
    assert found("\\") == ["back\\slash"]
    assert found("ümlaut") == ["Ümlaut"]
    assert found("queen") == ["Croquet"]
    assert found("nobody") == []


def test_collections_by_what_they_admit(api: Any, stage: Stage) -> None:
    for kind in ("model", "dataset", "model_dataset", "dataset_experiment"):
        api.collections.create(*stage.path(), name=kind, type=kind)

    def found(*types: str) -> set[str]:
        return {one.type for one in api.collections.list(*stage.path(), types=list(types)).items}

    assert found("model") == {"model", "model_dataset", "mixed"}
    assert found("mixed") == {"model_dataset", "dataset_experiment", "mixed"}
    assert found("experiment") == {"dataset_experiment", "mixed"}
