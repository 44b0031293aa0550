"""`luml organizations`, `orbits`, `collections`, `search` and `artifacts remove`, each in a process of its own."""

from __future__ import annotations

from typing import Any

import pytest

from luml_app.client.http import Client
from tests.api.stage import announced
from tests.cli.test_commands import Luml, config, luml, printed_json, refused

__all__ = ["config", "luml"]


@pytest.fixture
def croquet(client: Client) -> Any:
    """A collection with an artifact, in Alice's orbit."""
    ids = client.orbit("Garden").ids
    made = client.collections.create(*ids, name="Croquet", type="model")
    client.artifacts.create(*ids, made.id, **announced(name="Hedgehog"))
    return made


def test_a_place_goes_when_it_is_empty(luml: Luml, croquet: Any) -> None:
    assert "1 artifact" in refused(luml("collections", "remove", "Croquet"))
    assert "Deleted Hedgehog" in luml("artifacts", "remove", "Hedgehog", "--force").stdout
    assert "Deleted the collection Croquet" in luml("collections", "remove", "Croquet").stdout
    assert "No collections" in luml("collections", "list").stdout


def test_a_place_goes_with_everything(luml: Luml, croquet: Any) -> None:
    assert "confirm" in refused(luml("collections", "remove", "Croquet", "--everything", "--confirm", "Cricket"))
    assert [one["name"] for one in printed_json(luml("collections", "list", "--json"))] == ["Croquet"]
    gone = luml("collections", "remove", "Croquet", "--everything", stdin="Croquet\n")
    assert (gone.returncode, "is being deleted" in gone.stdout) == (0, True)
    assert "Croquet" not in luml("collections", "list").stdout
    assert "Garden" in luml("orbits", "list").stdout
    assert luml("orbits", "remove", "Garden", "--everything", "--confirm", "Garden").returncode == 0
    assert "Garden" not in luml("orbits", "list").stdout
    (one,) = printed_json(luml("organizations", "list", "--json"))
    assert luml("organizations", "remove", one["id"], "--everything", "--confirm", one["name"]).returncode == 0
    assert "in none" in luml("organizations", "list").stdout


def test_everything_is_searched(luml: Luml, croquet: Any) -> None:
    assert "Hedgehog" in luml("search", "hedge").stdout
    found = printed_json(luml("search", "--kind", "collection", "croq", "--json"))
    assert [(one["kind"], one["name"], one["orbit_name"]) for one in found] == [("collection", "Croquet", "Garden")]
    assert "Nothing fits" in luml("search", "--filter", "metrics.accuracy > 0.95").stdout
    wrong = luml("search", "--filter", "metrics.accuracy >")
    assert (wrong.returncode, "At character 19" in wrong.stderr) == (1, True)
