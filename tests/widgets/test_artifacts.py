"""The table of artifacts: search, sort, pages and selection, over the api in process and over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from luml_widgets import ArtifactTable, CollectionPage
from tests.cast import Place
from tests.widgets.stage import put_dataset, put_model


@pytest.fixture
def filled(alices: Any, here: Place, collection: UUID) -> list[str]:
    """Seven models, of which one lacks the metric, and a dataset; their ids, oldest first."""
    ids = []
    for i in range(7):
        metrics = {"accuracy": i / 10, "loss": 1.5} if i else {"loss": 0}
        ids.append(str(put_model(alices, here, collection, f"model-{i}", metrics=metrics, tags=["weekly"]).id))
    return [*ids, str(put_dataset(alices, here, collection, "billing").id)]


def shown(table: ArtifactTable) -> list[str]:
    """The names of the rows on the screen."""
    return [row["label"] for row in block(table, "table")["rows"]]


def block(board: Any, kind: str) -> dict[str, Any]:
    """The first block of a kind on the screen."""
    found: dict[str, Any] = next(one for one in board.screen() if one["kind"] == kind)
    return found


def opened(seen: Any, here: Place, **more: Any) -> ArtifactTable:
    table = ArtifactTable(seen, *here.path, **more)
    table.store.limit = 5
    table.store.load()
    assert table.store.error is None
    return table


def test_pages_forth_and_back(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here)
    first = shown(table)
    assert first[0] == "billing" and len(first) == 5
    table.act("page", 1)
    assert len(shown(table)) == 3 and not set(shown(table)) & set(first)
    table.act("page", 1)  # there is no third one
    assert len(shown(table)) == 3
    table.act("page", -1)
    assert shown(table) == first


def test_sorts_by_a_metric_and_turns_round(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here, types=["model"])
    table.act("sort", "accuracy")
    assert shown(table)[:2] == ["model-6", "model-5"]
    assert block(table, "table")["sort"] == ("accuracy", "desc")
    table.act("sort", "accuracy")
    assert shown(table)[:2] == ["model-1", "model-2"]


def test_a_metric_that_is_missing_is_not_zero(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here)
    table.act("search", "model-0")
    columns = [column["key"] for column in block(table, "table")["columns"]]
    cells = dict(zip(columns, block(table, "table")["rows"][0]["cells"], strict=True))
    assert cells["loss"]["text"] == "0"
    assert cells["accuracy"] == {"missing": True}


def test_searches_and_says_when_nothing_is_found(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here)
    table.act("search", "MODEL-1")
    assert shown(table) == ["model-1"]
    table.act("search", "no such thing")
    assert block(table, "empty")["title"] == "Nothing matches"
    table.act("search", "")
    assert len(shown(table)) == 5


def test_shows_one_type(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here)
    table.act("types", ["dataset"])
    assert shown(table) == ["billing"]


def test_what_is_ticked_is_selected_across_pages(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here)
    table.act("select", {"ids": [filled[-1]], "on": True})
    table.act("page", 1)
    table.act("select", {"ids": [filled[0]], "on": True})
    assert [one.name for one in table.selected] == ["billing", "model-0"]
    frame = table.selected_frame
    assert list(frame["name"]) == ["billing", "model-0"]
    assert frame["loss"].isna().tolist() == [True, False]
    table.act("select", {"ids": [filled[-1]], "on": False})
    assert table.selection == [filled[0]]


def test_selecting_from_code_ticks_the_row(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here)
    table.selection = [filled[-1], filled[2]]
    assert [row["selected"] for row in block(table, "table")["rows"]].count(True) == 1
    assert [one.name for one in table.selected] == ["billing", "model-2"]  # the second is on a page not seen yet


def test_nothing_selected_is_an_empty_frame_with_columns(seen: Any, here: Place, collection: UUID) -> None:
    assert "name" in opened(seen, here).selected_frame.columns


def test_an_empty_orbit_gives_the_first_step(seen: Any, here: Place) -> None:
    empty = block(opened(seen, here), "empty")
    assert "log_model" in empty["code"]


def test_metric_columns_are_chosen(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here)
    assert "accuracy" in [column["key"] for column in block(table, "table")["columns"]]
    table.act("metric", "accuracy")
    assert "accuracy" not in [column["key"] for column in block(table, "table")["columns"]]


def test_an_error_is_told_with_a_retry(seen: Any, alices: Any, here: Place, collection: UUID) -> None:
    page = CollectionPage(seen, *here.path, collection)
    page.store.load()
    assert page.title == "churn"
    alices.collections.delete(*here.path, collection)
    gone = CollectionPage(seen, *here.path, collection)
    gone.store.load()
    notice = block(gone, "notice")
    assert notice["action"]["act"] == "retry" and notice["text"]


def test_opening_a_row_calls_back(seen: Any, here: Place, filled: list[str]) -> None:
    asked: list[str | None] = []
    table = opened(seen, here, on_open=lambda one: asked.append(one.name))
    table.act("open", filled[-1])
    assert asked == ["billing"]


def test_an_act_that_does_not_exist_is_ignored(seen: Any, here: Place, filled: list[str]) -> None:
    table = opened(seen, here)
    table.act("__init__", None)
    table.act("drop_table", "artifacts")
    assert len(shown(table)) == 5
