"""Calls about what orbits hold: collections, artifacts with their uploads, tracks."""

from __future__ import annotations

from typing import Any

from tests.api.cases.playing import CASES, Case, case, plain
from tests.api.stage import Stage, announced

plain("collections.create", {"name": "Flamingos", "type": "model", "tags": ["pink"]})
plain("collections.list", search="cro", types=["model"], sort_by="total_artifacts")
plain("collections.get")
plain("collections.update", {"description": "with hedgehogs"})


@case("collections.delete")
def _(stage: Stage) -> Case:
    return Case(path={"collection_id": stage.alice.collections.create(*stage.path(), name="Empty", type="model").id})


@case("uploads.multipart")
def _(stage: Stage) -> Case:
    size = 300 * 2**20
    body = announced() | {"size": size}
    upload = stage.alice.artifacts.create(*stage.path("collection_id"), **body).upload_details
    place = {"bucket_id": str(upload.bucket_secret_id), "bucket_location": upload.bucket_location}
    return Case({**place, "size": size, "upload_id": "0123456789abcdef0123456789abcdef"})


def _unfinished(stage: Stage) -> Case:
    made = stage.alice.artifacts.create(*stage.path("collection_id"), **announced()).artifact
    return Case(path={"artifact_id": made.id})


CASES["uploads.retry"] = _unfinished
CASES["uploads.abort"] = _unfinished


plain("artifacts.create", announced())
EXPRESSION = (
    'metrics.accuracy > 0.5 and not (tags contains "odd" or params.depth in (1, 2)) and created_at > "2026-01-01"'
)
plain("artifacts.list", search="a", sort_by="accuracy", types=["model"], filter=EXPRESSION, with_total=True)
plain("artifacts.find")
plain("artifacts.by_hash", sha256=announced()["file_hash"])


def _elsewhere(stage: Stage) -> dict[str, Any]:
    return {"target_collection_id": str(stage.alice.collections.create(*stage.path(), name="Wood", type="model").id)}


CASES["artifacts.move"] = lambda stage: Case(_elsewhere(stage))
CASES["artifacts.move_many"] = lambda stage: Case({"artifact_ids": [str(stage.spare.id)], **_elsewhere(stage)})
CASES["artifacts.delete_many"] = lambda stage: Case({"artifact_ids": [str(stage.spare.id)]})
plain("artifacts.get")
plain("search.list", text="mad ha", kinds=["artifact", "deployment"])
plain("artifacts.update", {"description": "sleepy", "tags": [], "metrics": {"f1": 1}, "params": {"depth": None}})
plain("artifacts.download_url")
for name in ("artifacts.delete_url", "artifacts.delete", "artifacts.force_delete"):
    CASES[name] = lambda stage: Case(path={"artifact_id": stage.spare.id})


plain("tracks.create", {"name": "Lobster quadrille", "artifact_type": "model", "stages": ["one", "two"]})
plain("tracks.list", search="tea", sort_by="total_entries")
plain("tracks.get")
plain("tracks.stages")
plain("tracks.delete")


@case("tracks.update")
def _(stage: Stage) -> Case:
    staging, _ = stage.alice.tracks.stages(*stage.path("track_id"))
    stages = [{"name": "new"}, {"id": str(staging.id), "name": "renamed"}]
    return Case({"name": "Mad tea party", "stages": stages})


@case("track_entries.create")
def _(stage: Stage) -> Case:
    _, production = stage.alice.tracks.stages(*stage.path("track_id"))
    return Case({"artifact_id": str(stage.spare.id), "stage_id": str(production.id)})


@case("track_entries.update")
def _(stage: Stage) -> Case:
    _, production = stage.alice.tracks.stages(*stage.path("track_id"))
    where = stage.path("track_id")
    stage.alice.track_entries.create(*where, artifact_id=stage.spare.id, stage_id=production.id)
    return Case({"stage_id": str(production.id)}, {"force": True})


@case("track_entries.by_stage")
def _(stage: Stage) -> Case:
    staging, _ = stage.alice.tracks.stages(*stage.path("track_id"))
    return Case(query={"stage_id": str(staging.id)})


plain("track_entries.list", sort_by="stage")
plain("track_entries.get")
plain("track_entries.delete")
CASES["track_entries.delete_many"] = lambda stage: Case({"entry_ids": [str(stage.ids["entry_id"])]})


def _a_stage(stage: Stage) -> dict[str, Any]:
    return {"stage_id": stage.alice.tracks.stages(*stage.path("track_id"))[0].id}


CASES["track_history.stage"] = lambda stage: Case(path=_a_stage(stage))
CASES["tracks.stage"] = lambda stage: Case(path=_a_stage(stage))
