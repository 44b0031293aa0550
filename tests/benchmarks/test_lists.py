"""What lists and creates cost with 100,000 artifacts in the orbit, beside what they cost with 1,000."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.stage import announced
from tests.benchmarks.crowd import ONE_COLLECTION
from tests.benchmarks.measuring import Platform, compare

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FLAT = 1.5

QUERIES: dict[str, dict[str, Any]] = {
    "the newest 50": {},
    "by name": {"sort_by": "name", "order": "asc"},
    "by a metric": {"sort_by": "auc"},
    "a filter, by a metric": {
        "sort_by": "auc",
        "filter": 'metrics.auc > 0.5 and tags contains "prod" and created_at > "2025-06-01"',
    },
    "a common piece of text": {"search": "churn"},
    "a common tag": {"tags": ["prod"]},
    "parameters": {"filter": 'params.optimizer = "adam" and params.depth in (1, 2, 3)'},
}


def on_both(few: Platform, many: Platform, call: Callable[[Platform], Any]) -> dict[str, Callable[[], Any]]:
    return {"1,000": lambda: call(few), "100,000": lambda: call(many)}


@pytest.mark.parametrize("what", QUERIES)
def test_a_page_costs_the_same(what: str, few: Platform, many: Platform) -> None:
    def page(platform: Platform) -> None:
        found = platform.get(f"{platform.orbit}/artifacts", **QUERIES[what])
        assert len(found["items"]) == 50

    assert compare(what, (few, many), page) <= FLAT


def test_what_is_rare_is_found_without_reading_all(few: Platform, many: Platform) -> None:
    """One in a thousand rows or fewer: beside reading a page that is full at once."""

    def rare(platform: Platform) -> None:
        found = platform.get(f"{platform.orbit}/artifacts", search="churn-707")
        assert 1 <= len(found["items"]) <= 50

    assert compare("a rare piece of text", (few, many), rare) <= 2 * FLAT


def test_what_occurs_in_a_collection_costs_the_same(few: Platform, many: Platform) -> None:
    def read(platform: Platform) -> None:
        found = platform.get(f"{platform.orbit}/collections/{ONE_COLLECTION}")
        assert found["artifacts_extra_values"] == ["auc", "epochs", "loss"]

    assert compare("a collection", (few, many), read) <= FLAT


def test_a_create_costs_the_same(few: Platform, many: Platform) -> None:
    def create(platform: Platform) -> None:
        body = announced(extra_values={"auc": 0.5, "loss": 1, "epochs": 3}, params={"depth": 3})
        platform.post(f"{platform.orbit}/collections/{ONE_COLLECTION}/artifacts", body)

    assert compare("create", (few, many), create) <= FLAT
