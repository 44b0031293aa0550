"""Artifacts are moved and deleted, one by one and many at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from luml_app.client.orbits import AlreadyStored, OrbitHandle
from luml_app.schemas.errors import NotFound


def test_an_artifact_moves_and_goes(orbit: OrbitHandle, make_file: Callable[..., Path]) -> None:
    stored = orbit.upload(make_file(name="soup.tar"))
    assert stored.move("archive").data.collection_id == orbit.collection("archive").id
    assert orbit.artifact(stored.id).data.collection_id == stored.data.collection_id
    assert stored.move("archive") is stored
    stored.delete()
    with pytest.raises(NotFound):
        orbit.artifact(stored.id)


def test_many_are_moved_and_deleted(orbit: OrbitHandle, make_file: Callable[..., Path]) -> None:
    stored = [orbit.upload(make_file(name=f"soup-{number}.tar")) for number in range(3)]
    track = orbit.track("line", "dataset")
    track.add(stored[0])
    assert orbit.move(stored, "archive") == []
    archive = orbit.collection("archive")
    assert {one.collection_id for one in orbit.artifacts()} == {archive.id}
    (refused,) = orbit.delete(orbit.artifacts())
    assert (refused.id, "track" in refused.reason) == (stored[0].id, True)
    assert [one.id for one in orbit.artifacts()] == [stored[0].id]
    assert orbit.delete([]) == []


def test_the_same_bytes_are_stored_with_a_hint(orbit: OrbitHandle, make_file: Callable[..., Path]) -> None:
    file = make_file(name="soup.tar")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = orbit.upload(file)
    with pytest.warns(AlreadyStored, match=f"'soup' in the collection 'datasets'; orbit.artifact\\('{first.id}'\\)"):
        second = orbit.upload(file, "others")
    assert second.id != first.id
