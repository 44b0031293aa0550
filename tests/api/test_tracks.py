from __future__ import annotations

from typing import Any

import pytest

from luml_app.schemas.errors import Conflict, Invalid, NotFound
from luml_app.schemas.tracks import StageChange
from tests.api.stage import Stage


@pytest.fixture
def track(stage: Stage) -> tuple[Any, ...]:
    return stage.path("track_id")


def test_versions_count_up_and_are_never_given_again(api: Any, stage: Stage, track: tuple[Any, ...]) -> None:
    second = api.track_entries.create(*track, artifact_id=stage.spare.id)
    assert second.version == 2
    api.track_entries.delete(*track, second.id)
    assert api.track_entries.create(*track, artifact_id=stage.spare.id).version == 3
    assert api.tracks.get(*track).next_version == 4
    assert [one.version for one in api.track_entries.list(*track, sort_by="version", order="asc").items] == [1, 3]


def test_an_artifact_is_in_a_track_once(api: Any, stage: Stage, track: tuple[Any, ...]) -> None:
    with pytest.raises(Conflict, match="in this track already"):
        api.track_entries.create(*track, artifact_id=stage.ids["artifact_id"])


def test_only_what_is_uploaded_and_of_the_type_gets_in(api: Any, stage: Stage, track: tuple[Any, ...]) -> None:
    api.artifacts.delete_url(*stage.path("collection_id"), stage.spare.id)
    with pytest.raises(Conflict, match="pending deletion"):
        api.track_entries.create(*track, artifact_id=stage.spare.id)
    data = api.tracks.create(*stage.path(), name="Data", artifact_type="dataset")
    with pytest.raises(Conflict, match="dataset"):
        api.track_entries.create(*stage.path(), data.id, artifact_id=stage.ids["artifact_id"])


def test_a_stage_holds_one_version_and_force_moves_it(api: Any, stage: Stage, track: tuple[Any, ...]) -> None:
    staging, production = api.tracks.stages(*track)
    assert (staging.is_used, production.is_used) == (True, False)
    second = api.track_entries.create(*track, artifact_id=stage.spare.id, stage_id=production.id)
    with pytest.raises(Conflict, match="force"):
        api.track_entries.update(*track, second.id, stage_id=staging.id)
    moved = api.track_entries.update(*track, second.id, stage_id=staging.id, force=True)
    assert (moved.stage_name, moved.artifact_name, moved.version) == ("staging", "Hatter", 2)
    assert api.track_entries.by_stage(*track, stage_id=staging.id).id == second.id
    assert api.track_entries.get(*track, stage.ids["entry_id"]).stage_id is None
    out = api.track_entries.update(*track, second.id, stage_id=None)
    assert (out.stage_id, out.stage_name) == (None, None)
    with pytest.raises(NotFound, match="No version"):
        api.track_entries.by_stage(*track, stage_id=staging.id)


def test_stages_are_renamed_added_dropped_and_ordered(api: Any, stage: Stage, track: tuple[Any, ...]) -> None:
    staging, production = api.tracks.stages(*track)
    wanted = [StageChange(name="canary"), StageChange(name="production", id=staging.id)]
    changed = api.tracks.update(*track, stages=wanted)
    assert [one.name for one in changed.stages] == ["canary", "production"]
    assert changed.stages[1].id == staging.id
    assert changed.stages[1].is_used
    assert production.id not in {one.id for one in changed.stages}
    # Two stages swap their names.
    swapped = [
        StageChange(name="production", id=changed.stages[0].id),
        StageChange(name="canary", id=changed.stages[1].id),
    ]
    assert [one.name for one in api.tracks.update(*track, stages=swapped).stages] == ["production", "canary"]


def test_a_stage_in_use_is_not_dropped(api: Any, stage: Stage, track: tuple[Any, ...]) -> None:
    for stages in ([], [StageChange(name="fresh")]):
        with pytest.raises(Conflict, match="in this stage"):
            api.tracks.update(*track, name="Renamed", stages=stages)
    assert (api.tracks.get(*track).name, len(api.tracks.stages(*track))) == ("Tea party", 2)
    api.track_entries.update(*track, stage.ids["entry_id"], stage_id=None)
    assert api.tracks.update(*track, stages=[]).stages == []


def test_stages_that_contradict_themselves(api: Any, track: tuple[Any, ...]) -> None:
    staging, _ = api.tracks.stages(*track)
    for stages in (
        [StageChange(name="a"), StageChange(name="a")],
        [StageChange(name="a", id=staging.id), StageChange(name="b", id=staging.id)],
    ):
        with pytest.raises(Invalid, match="twice"):
            api.tracks.update(*track, stages=stages)
    with pytest.raises(Invalid, match="twice"):
        api.tracks.create(*track[:2], name="Twins", artifact_type="model", stages=["dee", "dee"])


def test_names_are_unique_in_an_orbit(api: Any, stage: Stage) -> None:
    with pytest.raises(Conflict, match="this name"):
        api.tracks.create(*stage.path(), name="Tea party", artifact_type="model")


def test_deleting_a_track_frees_its_artifacts(api: Any, stage: Stage, track: tuple[Any, ...]) -> None:
    api.tracks.delete(*track)
    assert api.artifacts.get(*stage.path("collection_id"), stage.ids["artifact_id"]).tracks == []


def test_an_entry_is_moved_where_it_is_already(api: Any, stage: Stage, track: tuple[Any, ...]) -> None:
    entry = (*track, stage.ids["entry_id"])
    before = api.track_entries.get(*entry)
    assert api.track_entries.update(*entry, stage_id=before.stage_id).updated_at is None
    assert api.track_entries.update(*entry).updated_at is None
