"""Search by words, over one orbit and over all of an organization that the caller may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from luml_app.schemas.errors import BadRequest, Invalid, NotFound
from tests.api.stage import Stage, announced, mark_uploaded
from tests.api.test_lists import walk


@pytest.fixture
def orchard(stage: Stage) -> Any:
    """A second orbit of Alice's organization, into which only she may look, with one object of each kind."""
    api, here = stage.alice, stage.cast.here
    orbit = api.orbits.create(here.organization_id, name="Orchard", bucket_secret_id=here.bucket_id)
    where = (here.organization_id, orbit.id)
    collection = api.collections.create(*where, name="Hatter's apples", type="model")
    api.artifacts.create(*where, collection.id, **announced(name="Apple of the HATTER", tags=["ripe"]))
    api.tracks.create(*where, name="hatters", artifact_type="model")
    api.satellites.create(*where, name="The Hatter's cart")
    return orbit


def names_of(api: Any, stage: Stage, **query: Any) -> set[str]:
    return {one.name for one in api.search.list(stage.cast.here.organization_id, **query).items}


def test_the_owner_finds_everything_of_the_organization(api: Any, stage: Stage, orchard: Any) -> None:
    found = api.search.list(stage.cast.here.organization_id, text="hatter").items
    assert {(one.kind, one.name, one.orbit_name) for one in found} == {
        ("artifact", "Hatter", "Garden"),
        ("artifact", "Apple of the HATTER", "Orchard"),
        ("collection", "Hatter's apples", "Orchard"),
        ("track", "hatters", "Orchard"),
        ("satellite", "The Hatter's cart", "Orchard"),
    }
    assert [one.created_at for one in found] == sorted((one.created_at for one in found), reverse=True)
    assert next(one for one in found if one.name == "Hatter").collection_id == stage.ids["collection_id"]


def test_members_find_what_is_in_their_orbits(connect: Callable[..., Any], stage: Stage, orchard: Any) -> None:
    for who in (stage.cast.bob, stage.cast.victor):
        assert names_of(connect(who), stage, text="hatter") == {"Hatter"}
        assert names_of(connect(who), stage, filter='tags contains "ripe"') == set()
    with pytest.raises(NotFound):
        names_of(connect(stage.cast.charlie), stage, text="hatter")
    charlies = connect(stage.cast.charlie).search.list(stage.cast.elsewhere.organization_id, text="hatter")
    assert charlies.items == []


def test_every_word_must_occur(stage: Stage, orchard: Any) -> None:
    assert names_of(stage.alice, stage, text="  the   hatter ") == {"Apple of the HATTER", "The Hatter's cart"}
    assert names_of(stage.alice, stage, text="hatter nobody") == set()
    assert names_of(stage.alice, stage, text="ripe") == {"Apple of the HATTER"}
    assert names_of(stage.alice, stage, text="le", kinds=["artifact", "deployment"]) == {
        "Apple of the HATTER",
        "Oracle",
    }
    with pytest.raises(Invalid, match="21 words"):
        names_of(stage.alice, stage, text="a " * 21)


def test_a_filter_finds_artifacts(stage: Stage, orchard: Any) -> None:
    expression = 'metrics.accuracy > 0.5 and not tags contains "soup"'
    assert names_of(stage.alice, stage, filter=expression) == {"Apple of the HATTER"}
    assert names_of(stage.alice, stage, text="apple", filter="metrics.accuracy > 1") == set()
    with pytest.raises(Invalid, match="There is no attribute"):
        names_of(stage.alice, stage, filter="accuracy > 1")
    with pytest.raises(Invalid, match="kinds"):
        names_of(stage.alice, stage, filter=expression, kinds=["track"])


def test_pages_of_a_search(stage: Stage, orchard: Any) -> None:
    organization_id = stage.cast.here.organization_id
    everything = stage.alice.search.list(organization_id, limit=100)
    assert everything.cursor is None
    assert {one.kind for one in everything.items} == {"artifact", "collection", "track", "deployment", "satellite"}
    assert [one.id for one in walk(stage.alice.search.list, organization_id)] == [one.id for one in everything.items]
    cursor = stage.alice.search.list(organization_id, limit=1).cursor
    with pytest.raises(BadRequest, match="belongs to another"):
        stage.alice.search.list(organization_id, text="x", cursor=cursor)


def test_what_was_deleted_by_force_is_not_found(stage: Stage) -> None:
    assert names_of(stage.alice, stage, text="oracle") == {"Oracle"}
    stage.alice.deployments.force_delete(*stage.path("deployment_id"))
    assert names_of(stage.alice, stage, text="oracle") == set()


def test_artifacts_by_text_tags_type_and_status(api: Any, stage: Stage) -> None:
    where = stage.path("collection_id")
    soup = api.artifacts.create(*where, **announced(name="Green soup", description="Hot", tags=["a", "b"])).artifact
    api.artifacts.create(*where, **announced(name="50% Soup_", tags=["a", "B"]))
    mark_uploaded(stage.house.database, soup.id)

    def found(**query: Any) -> set[str]:
        page = api.artifacts.list(*stage.path(), with_total=True, **query)
        assert page.total == len(page.items)
        return {one.name for one in page.items}

    assert found(text="soup green") == {"Green soup"}
    assert found(search="soup green") == set()
    assert found(search="n SOUP") == {"Green soup"}
    assert found(search="% s") == {"50% Soup_"}
    assert found(search="p_") == {"50% Soup_"}
    assert found(search="hot") == {"Green soup"}
    assert found(tags=["a"]) == {"Green soup", "50% Soup_"}
    assert found(tags=["a", "b"]) == {"Green soup"}
    assert found(status=["pending_upload"]) == {"50% Soup_"}
    assert found(type="dataset") == set()
    assert found(type="model", types=["dataset"], text="green") == set()
    assert found(search="nothing of that kind") == set()
    with pytest.raises(Invalid, match="21 tags"):
        found(tags=["a"] * 21)


def test_the_total_is_of_all_pages(stage: Stage) -> None:
    page = stage.alice.artifacts.list(*stage.path(), limit=1, with_total=True)
    assert (page.total, len(page.items)) == (2, 1)
    assert stage.alice.artifacts.list(*stage.path(), limit=1, with_total=True, cursor=page.cursor).total == 2
    assert stage.alice.artifacts.list(*stage.path(), limit=1).total is None


def test_metrics_and_parameters_are_merged_and_found(api: Any, stage: Stage) -> None:
    where = stage.path("collection_id", "artifact_id")
    changed = api.artifacts.update(*where, metrics={"f1": 0.5, "accuracy": None}, params={"depth": 3, "opt": "adam"})
    assert changed.extra_values == {"f1": 0.5}
    assert changed.params == {"depth": 3, "opt": "adam"}
    changed = api.artifacts.update(*where, metrics={"f1": 0.7}, params={"opt": None, "deep": True})
    assert (changed.extra_values, changed.params) == ({"f1": 0.7}, {"depth": 3, "deep": True})

    def found(expression: str) -> set[str]:
        return {one.name for one in api.artifacts.list(*stage.path(), filter=expression).items}

    assert found("metrics.f1 = 0.7") == {"Dormouse"}
    assert found("metrics.f1 = 0.5 or params.opt exists") == set()
    assert found("params.deep = true and params.depth = 3") == {"Dormouse"}
    assert found("metrics.accuracy is null") == {"Dormouse"}
    assert api.artifacts.update(*where, metrics={}).extra_values == {"f1": 0.7}


@pytest.mark.parametrize(
    "body",
    [
        {"metrics": {"a": "high"}},
        {"metrics": {"": 1}},
        {"metrics": {"x" * 201: 1}},
        {"params": {"a": [1]}},
        {"metrics": {str(number): 1 for number in range(5001)}},
    ],
)
def test_values_that_cannot_be(api: Any, stage: Stage, body: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        api.artifacts.update(*stage.path("collection_id", "artifact_id"), **body)
    assert caught.value.problems[0].loc[:2] == ["body", next(iter(body))]


def test_two_who_add_metrics_at_once_lose_nothing(stage: Stage) -> None:
    from concurrent.futures import ThreadPoolExecutor

    where = stage.path("collection_id", "artifact_id")
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda n: stage.alice.artifacts.update(*where, metrics={f"m{n}": n}), range(20)))
    assert stage.alice.artifacts.get(*where).extra_values == {"accuracy": 0.9, **{f"m{n}": n for n in range(20)}}
    for number in range(20):
        page = stage.alice.artifacts.list(*stage.path(), filter=f"metrics.m{number} = {number}")
        assert len(page.items) == 1
