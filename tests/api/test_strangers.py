"""Who may not: every operation is called by everybody who must not get through, and nothing may change by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.schemas.errors import Forbidden, LumlError, NotFound, Unauthenticated
from luml_app.web.house import House
from tests.api.cases import OPERATIONS, request_of
from tests.api.stage import CAPABILITIES, INFERENCE_KEY, SATELLITE_TOKEN, Stage, announced, mark_uploaded

GUARDED = [name for name, one in OPERATIONS.items() if one.by != "anyone"]
OF_USERS = [name for name in GUARDED if OPERATIONS[name].by == "user"]
OF_SATELLITES = [name for name in GUARDED if OPERATIONS[name].by == "satellite"]
IN_PLACES = [name for name in OF_USERS if "organization_id" in OPERATIONS[name].path_parameters]
WRITES = [name for name in IN_PLACES if not OPERATIONS[name].reads]
UNSTEADY = {"last_used_at", "last_seen_at"}


def contents(house: House) -> dict[str, Any]:
    """A digest of every table, but for the columns that say when somebody was here."""
    with house.database.read() as db:
        return {
            table.name: db.scalar(
                select(
                    func.md5(func.coalesce(func.string_agg(text("one::text"), text("',' ORDER BY one::text")), ""))
                ).select_from(select(*(c for c in table.c if c.name not in UNSTEADY)).subquery("one"))
            )
            for table in t.metadata.sorted_tables
        }


@pytest.fixture
def refused(stage: Stage) -> Callable[[Request], type[LumlError]]:
    """Calls, wants a refusal and sees that nothing has changed; gives the kind of refusal."""

    def call(request: Request) -> type[LumlError]:
        before = contents(stage.house)
        with pytest.raises(LumlError) as caught:
            stage.house.service.call(request)
        assert contents(stage.house) == before
        return caught.type

    return call


def as_(token: str | None) -> Credentials:
    return Credentials(token=token)


@pytest.mark.parametrize("name", GUARDED)
def test_without_the_right_key_nobody_gets_in(
    name: str, stage: Stage, refused: Callable[[Request], type[LumlError]]
) -> None:
    request = request_of(stage, OPERATIONS[name])
    wrong_kind = SATELLITE_TOKEN if OPERATIONS[name].by == "user" else stage.cast.alice.api_key
    for token, error in (
        (None, Unauthenticated),
        ("dfs_unknown", Unauthenticated if OPERATIONS[name].by == "user" else Forbidden),
        ("dfssat_unknown", Unauthenticated if OPERATIONS[name].by == "satellite" else Forbidden),
        (INFERENCE_KEY, Forbidden),
        (wrong_kind, Forbidden),
    ):
        request.credentials = as_(token)
        assert refused(request) is error, token


@pytest.mark.parametrize("name", IN_PLACES)
def test_a_stranger_finds_nothing(name: str, stage: Stage, refused: Callable[[Request], type[LumlError]]) -> None:
    elsewhere = {"organization_id": stage.cast.elsewhere.organization_id, "orbit_id": stage.cast.elsewhere.orbit_id}
    request = request_of(stage, OPERATIONS[name], as_(stage.cast.charlie.api_key))
    path = request.path
    assert refused(request) is NotFound
    foreign = [names for names in (["organization_id"], ["organization_id", "orbit_id"]) if set(names) < path.keys()]
    for names in foreign:
        request.path = path | {name: elsewhere[name] for name in names}
        assert refused(request) is NotFound, f"with his own {names}"
    request.path = {**path, OPERATIONS[name].path_parameters[-1]: uuid4()}
    request.credentials = as_(stage.cast.alice.api_key)
    assert refused(request) is NotFound, "an id that does not exist"


@pytest.mark.parametrize("name", IN_PLACES)
def test_a_stranger_cannot_tell_what_exists(name: str, stage: Stage) -> None:
    request = request_of(stage, OPERATIONS[name], as_(stage.cast.charlie.api_key))

    def said() -> str:
        with pytest.raises(NotFound) as caught:
            stage.house.service.call(request)
        return str(caught.value)

    real = said()
    for parameter in OPERATIONS[name].path_parameters:
        request.path = {**request.path, parameter: uuid4()}
        assert said() == real


@pytest.mark.parametrize("name", [*WRITES, "uploads.multipart"])
def test_a_viewer_changes_nothing(name: str, stage: Stage, refused: Callable[[Request], type[LumlError]]) -> None:
    request = request_of(stage, OPERATIONS[name], as_(stage.cast.victor.api_key))
    if name in {"orbits.delete", "organizations.delete", "buckets.update"}:  # their cases play in places of their own
        request.path |= {key: stage.ids[key] for key in request.path}
    assert refused(request) is Forbidden


@pytest.mark.parametrize("name", [name for name in OF_SATELLITES if OPERATIONS[name].path_parameters])
def test_another_satellite_finds_nothing(
    name: str, stage: Stage, refused: Callable[[Request], type[LumlError]]
) -> None:
    request = request_of(stage, OPERATIONS[name])
    for place, owner in ((stage.cast.here, stage.cast.alice), (stage.cast.elsewhere, stage.cast.charlie)):
        api = stage.house.api(as_(owner.api_key))
        request.credentials = as_(api.satellites.create(*place.path, name="Other").api_key)
        assert refused(request) is NotFound


@pytest.mark.parametrize("name", IN_PLACES)
def test_an_operation_in_a_place_needs_a_permission(name: str) -> None:
    assert OPERATIONS[name].needs is not None


def test_ones_own_keys_are_ones_own(stage: Stage) -> None:
    charlie = stage.house.api(as_(stage.cast.charlie.api_key))
    with pytest.raises(NotFound):
        charlie.api_keys.delete(stage.ids["key_id"])
    assert [one.name for one in charlie.api_keys.list()] == ["of the tests"]


class TestForeignIdsInBodies:
    """Charlie, at home, refers to what is Alice's."""

    @pytest.fixture
    def charlie(self, stage: Stage) -> Any:
        return stage.house.api(as_(stage.cast.charlie.api_key))

    @pytest.fixture
    def home(self, stage: Stage) -> tuple[Any, Any]:
        return stage.cast.elsewhere.path

    @pytest.fixture
    def mine(self, charlie: Any, home: Any, stage: Stage) -> Any:
        """Charlie's own model, uploaded, in a collection of his."""
        collection = charlie.collections.create(*home, name="Sweets", type="model")
        artifact = charlie.artifacts.create(*home, collection.id, **announced()).artifact
        mark_uploaded(stage.house.database, artifact.id)
        return artifact

    def test_buckets_and_people_of_an_orbit(self, charlie: Any, home: Any, stage: Stage) -> None:
        with pytest.raises(NotFound, match="bucket"):
            charlie.orbits.create(home[0], name="Spy", bucket_secret_id=stage.cast.here.bucket_id)
        with pytest.raises(NotFound, match="bucket"):
            charlie.orbits.update(*home, bucket_secret_id=stage.cast.here.bucket_id)
        members = [{"user_id": str(stage.cast.alice.id), "role": "admin"}]
        with pytest.raises(NotFound, match="not a member"):
            charlie.orbits.create(home[0], name="Spy", bucket_secret_id=stage.cast.elsewhere.bucket_id, members=members)
        assert len(charlie.orbits.list(home[0])) == 1

    def test_versions_and_stages(self, charlie: Any, home: Any, mine: Any, stage: Stage) -> None:
        track = charlie.tracks.create(*home, name="Line", artifact_type="model", stages=["live"])
        foreign = stage.alice.tracks.stages(*stage.path("track_id"))[0].id
        for body in (
            {"artifact_id": stage.ids["artifact_id"]},
            {"artifact_id": mine.id, "stage_id": foreign},
        ):
            with pytest.raises(NotFound):
                charlie.track_entries.create(*home, track.id, **body)
        entry = charlie.track_entries.create(*home, track.id, artifact_id=mine.id)
        assert entry.version == 1
        for force in (False, True):
            with pytest.raises(NotFound):
                charlie.track_entries.update(*home, track.id, entry.id, stage_id=foreign, force=force)
        with pytest.raises(NotFound):
            charlie.track_entries.delete_many(*home, track.id, entry_ids=[entry.id, stage.ids["entry_id"]])
        with pytest.raises(NotFound):
            charlie.track_entries.by_stage(*home, track.id, stage_id=foreign)
        with pytest.raises(NotFound):
            charlie.tracks.update(*home, track.id, stages=[{"id": str(foreign), "name": "taken"}])
        assert [one.version for one in charlie.track_entries.list(*home, track.id).items] == [1]
        assert stage.alice.track_entries.get(*stage.path("track_id", "entry_id")).stage_id == foreign

    def test_parts_of_a_deployment(self, charlie: Any, home: Any, mine: Any, stage: Stage) -> None:
        made = charlie.satellites.create(*home, name="Elevator")
        stage.house.api(as_(made.api_key)).agent.pair(base_url="http://x", capabilities=CAPABILITIES)
        for satellite, artifact in (
            (made.satellite.id, stage.ids["artifact_id"]),
            (stage.ids["satellite_id"], mine.id),
        ):
            with pytest.raises(NotFound):
                charlie.deployments.create(*home, satellite_id=satellite, artifact_id=artifact, name="Spy")
        with pytest.raises(NotFound, match="secret"):
            charlie.deployments.create(
                *home,
                satellite_id=made.satellite.id,
                artifact_id=mine.id,
                name="Spy",
                env_variables_secrets={"A": str(uuid4())},
            )
        for where in ("env_variables_secrets", "dynamic_attributes_secrets"):
            with pytest.raises(NotFound, match="secret"):
                charlie.deployments.create(
                    *home,
                    satellite_id=made.satellite.id,
                    artifact_id=mine.id,
                    name="Spy",
                    **{where: {"A": str(stage.ids["orbit_secret_id"])}},
                )
        assert charlie.deployments.list(*home) == []

    def test_parts_of_what_is_deployed_already(self, charlie: Any, home: Any, mine: Any, stage: Stage) -> None:
        made = charlie.satellites.create(*home, name="Elevator")
        stage.house.api(as_(made.api_key)).agent.pair(base_url="http://x", capabilities=CAPABILITIES)
        one = charlie.deployments.create(*home, satellite_id=made.satellite.id, artifact_id=mine.id, name="Own")
        alices = stage.alice.deployments.get(*stage.path("deployment_id"))
        secret = {"A": str(stage.ids["orbit_secret_id"])}
        stage_id = stage.alice.tracks.stages(*stage.path("track_id"))[0].id
        where = {"satellite_id": made.satellite.id, "name": "Spy"}
        for act, arguments, body in (
            (charlie.revisions.create, (one.id,), {"artifact_id": alices.artifact_id}),
            (charlie.revisions.create, (one.id,), {"env_variables_secrets": secret}),
            (charlie.revisions.difference, (one.id, alices.revision.id), {}),
            (charlie.rollouts.rollback, (one.id,), {"revision_id": alices.revision.id}),
            (charlie.deployments.update, (one.id,), {"dynamic_attributes_secrets": secret}),
            (charlie.deployments.update, (one.id,), {"follow_stage_id": stage_id}),
            (charlie.deployments.create, (), {"follow_stage_id": stage_id, **where}),
        ):
            with pytest.raises(NotFound):
                act(*home, *arguments, **body)
        assert charlie.deployments.list(*home) == [one]

    def test_parts_of_an_upload(self, charlie: Any, stage: Stage) -> None:
        upload = stage.alice.artifacts.create(*stage.path("collection_id"), **announced()).upload_details
        with pytest.raises(NotFound):
            charlie.uploads.multipart(
                bucket_id=upload.bucket_secret_id, bucket_location=upload.bucket_location, size=7, upload_id="1" * 32
            )

    def test_artifacts_and_collections_of_batches(self, charlie: Any, home: Any, mine: Any, stage: Stage) -> None:
        alices = [stage.spare.id]
        with pytest.raises(NotFound):
            charlie.artifacts.move_many(*home, artifact_ids=[mine.id], target_collection_id=stage.ids["collection_id"])
        for batch in (
            charlie.artifacts.delete_many(*home, artifact_ids=alices),
            charlie.artifacts.move_many(*home, artifact_ids=alices, target_collection_id=mine.collection_id),
        ):
            assert batch.done == [] and [one.id for one in batch.refused] == alices
        assert stage.spare.status == "uploaded" and stage.spare.collection_id == stage.ids["collection_id"]

    def test_orbits_of_keys_webhooks_and_events(self, charlie: Any, home: Any, stage: Stage) -> None:
        garden = stage.cast.here.orbit_id
        program = charlie.service_accounts.create(home[0], name="Spy")
        for act in (
            lambda: charlie.api_keys.create(name="spy", orbit_id=garden),
            lambda: charlie.service_accounts.create_key(home[0], program.id, name="spy", orbit_id=garden),
            lambda: charlie.webhooks.create(home[0], url="https://example.org/", actions=["*"], orbit_id=garden),
        ):
            with pytest.raises(NotFound):
                act()
        assert charlie.events.list(home[0], orbit=garden).items == []
        assert charlie.events.list(home[0], object_id=stage.ids["deployment_id"]).items == []

    def test_filters_of_lists(self, charlie: Any, home: Any, stage: Stage) -> None:
        page = charlie.artifacts.list(*home, collection_ids=[str(stage.ids["collection_id"])])
        assert page.items == []
