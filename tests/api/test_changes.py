"""PATCH touches what was sent and nothing else; absent is not null."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from tests.api.cases import OPERATIONS
from tests.api.stage import SATELLITE_TOKEN, Stage

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
HOST = st.from_regex(r"[a-z]{3,12}\.example\.org", fullmatch=True)
TAGS = st.lists(TEXT, max_size=3)
NULL = st.none()
PATCHES: dict[str, tuple[Any, dict[str, Any]]] = {
    "organizations.update": (t.organizations, {"name": TEXT | NULL, "logo": TEXT | NULL}),
    "orbits.update": (t.orbits, {"name": TEXT | NULL, "bucket_secret_id": NULL}),
    "buckets.update": (
        t.buckets,
        {
            "endpoint": HOST | NULL,
            "region": st.from_regex(r"[a-z]{2}-[a-z]{4,9}-[1-9]", fullmatch=True) | NULL,
            "secure": st.booleans() | NULL,
            "bucket_name": HOST | NULL,
        },
    ),
    "collections.update": (t.collections, {"name": TEXT | NULL, "description": TEXT | NULL, "tags": TAGS | NULL}),
    "artifacts.update": (
        t.artifacts,
        {"name": TEXT | NULL, "description": TEXT | NULL, "tags": TAGS | NULL, "status": NULL},
    ),
    "tracks.update": (
        t.tracks,
        {"name": TEXT | NULL, "description": TEXT | NULL, "tags": TAGS | NULL, "stages": NULL},
    ),
    "satellites.update": (t.satellites, {"name": TEXT | NULL, "description": TEXT | NULL}),
    "deployments.update": (t.deployments, {"name": TEXT | NULL, "description": TEXT | NULL, "tags": TAGS | NULL}),
    "auth.update_me": (t.users, {"full_name": TEXT | NULL, "photo": TEXT | NULL, "password": NULL}),
    "secrets.update": (t.orbit_secrets, {"name": TEXT | NULL, "value": NULL | st.just(""), "tags": TAGS | NULL}),
    "webhooks.update": (
        t.webhooks,
        {
            "actions": st.just(["artifact.*"]) | st.just(["track.move", "deployment.*"]),
            "description": TEXT | NULL,
        },
    ),
    "agent.update_deployment": (
        t.deployments,
        {
            "inference_url": TEXT | NULL,
            "status": st.sampled_from(["active", "failed", "pending"]) | NULL,
            "schemas": st.dictionaries(TEXT, TEXT, max_size=2) | NULL,
            "error_message": st.dictionaries(TEXT, TEXT, max_size=2) | NULL,
            "tags": TAGS | NULL,
        },
    ),
}
ELSEWHERE = {
    "track_entries.update": "test_tracks",
    "agent.update_deployment_status": "test_deployments",
    "members.update": "test_members",
    "orbit_members.update": "test_members",
    "api_keys.update": "test_sessions",
    "webhooks.update": "test_webhooks",
    "rollouts.update": "below: what it changes is in one column",
}
_BY_TABLE = {"organizations": "organization_id", "orbits": "orbit_id", "users": None} | dict.fromkeys(
    ("buckets", "orbit_secrets"), "secret_id"
)


def test_every_patch_is_looked_at() -> None:
    assert {name for name, one in OPERATIONS.items() if one.method == "PATCH"} == PATCHES.keys() | ELSEWHERE.keys()


def row_of(stage: Stage, table: Any, row_id: Any) -> dict[str, Any]:
    with stage.house.database.read() as db:
        return dict(db.execute(select(table).where(table.c.id == row_id)).one()._mapping)


@pytest.mark.parametrize("name", PATCHES)
def test_only_what_was_sent_changes(name: str, stage: Stage) -> None:
    operation, (table, fields) = OPERATIONS[name], PATCHES[name]
    ids = dict(stage.ids)
    if table is t.buckets:
        made = stage.alice.buckets.create(
            ids["organization_id"], endpoint="e.example.org", bucket_name="b", access_key="a", secret_key="s"
        )
        ids["secret_id"] = made.id
    if table is t.webhooks:
        made = stage.alice.webhooks.create(ids["organization_id"], url="https://example.org/hook", actions=["*"])
        ids["webhook_id"] = made.webhook.id
    ids["secret_id"] = ids["orbit_secret_id"] if table is t.orbit_secrets else ids["secret_id"]
    parameter = _BY_TABLE.get(table.name, f"{table.name[:-1]}_id")
    row_id = stage.cast.alice.id if parameter is None else ids[parameter]
    path = {one: ids[one] for one in operation.path_parameters}
    token = SATELLITE_TOKEN if operation.by == "satellite" else stage.cast.alice.api_key

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries({}, optional=fields))
    def check(body: dict[str, Any]) -> None:
        before = row_of(stage, table, row_id)
        raw = msgspec.json.encode(body)
        stage.house.service.call(Request(operation, path, {}, raw, Credentials(token=token)))
        after = row_of(stage, table, row_id)
        expected = {key: value for key, value in body.items() if key in table.c}
        expected = {key: value for key, value in expected.items() if value is not None or table.c[key].nullable}
        if table is t.artifacts and expected.get("name", "") is None:
            expected["name"] = before["file_name"]  # clients rely on a name
        if table is t.orbit_secrets:
            expected.pop("value", None)  # an empty one is what lists show, and changes nothing
        unsteady = {"updated_at", "last_seen_at", "observed_generation"}
        assert {**before, **expected, **dict.fromkeys(unsteady)} == {**after, **dict.fromkeys(unsteady)}
        if before | expected == before and operation.by == "user" and name != "auth.update_me":
            assert after["updated_at"] == before["updated_at"], "nothing has changed"

    check()


SHARES = st.fixed_dictionaries(
    {},
    optional={
        "weight": st.integers(0, 100),
        "mirror": st.booleans(),
        "bounds": NULL | st.just({"error_rate": 0.1, "p95_seconds": None, "min_requests": 20}),
        "steps": st.lists(st.fixed_dictionaries({"weight": st.integers(0, 100), "seconds": st.just(60)}), max_size=2),
    },
)


def test_a_rollout_changes_in_what_was_sent(stage: Stage) -> None:
    here, row_id = stage.path("deployment_id"), stage.ids["deployment_id"]
    stage.satellite.agent.update_deployment(row_id, status="active", generation=1)
    planned = {"steps": [{"weight": 5, "seconds": 600}, {"weight": 50}], "bounds": {"error_rate": 0.2}}
    stage.alice.revisions.create(*here, artifact_id=stage.spare.id, rollout=planned)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(SHARES)
    def check(body: dict[str, Any]) -> None:
        before = row_of(stage, t.deployments, row_id)
        stage.alice.rollouts.update(*here, **body)
        after = row_of(stage, t.deployments, row_id)
        old, new = before.pop("rollout"), after.pop("rollout")
        touched = set(body)
        if body.get("steps"):  # new ones begin with their first
            touched |= {"weight", "mirror", "step"}
            assert (new["steps"], new["weight"], new["step"]) == (body["steps"], body["steps"][0]["weight"], 0)
        elif "weight" in body:  # a share by hand ends them
            touched |= {"steps", "mirror", "step"}
            assert (new["steps"], new["weight"]) == ([], body["weight"])
        assert {name: old[name] for name in old.keys() - touched} == {name: new[name] for name in old.keys() - touched}
        assert new["bounds"] == body.get("bounds", old["bounds"])
        assert new["mirror"] == body.get("mirror", False if "mirror" in touched else old["mirror"])
        unsteady = {"updated_at", "generation"} if old != new else set()
        assert before | dict.fromkeys(unsteady) == after | dict.fromkeys(unsteady)

    check()


def test_a_password_that_is_null_stays(stage: Stage) -> None:
    before = row_of(stage, t.users, stage.cast.alice.id)["password_hash"]
    stage.alice.auth.update_me(password=None)
    assert row_of(stage, t.users, stage.cast.alice.id)["password_hash"] == before


def test_what_a_change_tells(stage: Stage) -> None:
    made = stage.alice.buckets.create(
        stage.cast.here.organization_id, endpoint="e", bucket_name="b", access_key="the open word", secret_key="sesame!"
    )
    stage.alice.buckets.update(stage.cast.here.organization_id, made.id, region="eu", secret_key="abracadabra")
    stage.alice.collections.update(*stage.path("collection_id"), name="Polo", tags=["queen"])
    stage.alice.auth.update_me(password="a new password!")
    stage.alice.api_keys.create_default()
    stage.alice.satellites.rotate_key(*stage.path("satellite_id"))
    with stage.house.database.read() as db:
        told = db.execute(select(t.events).order_by(t.events.c.at.desc(), t.events.c.id.desc()).limit(6)).all()
    rotated, key, user, collection, bucket, created = told
    assert (collection.before, collection.after) == ({"name": "Croquet"}, {"name": "Polo"})
    assert (collection.actor_id, collection.actor_name) == (stage.cast.alice.id, stage.cast.alice.email)
    assert (collection.organization_id, collection.orbit_id) == stage.path()
    assert bucket.after == {"region": "eu", "credentials": "replaced: secret_key"}
    everything = "".join(str(value) for row in told for value in row)
    for secret in ("the open word", "sesame!", "abracadabra", "a new password!", "dfs_", "dfssat_", "argon2"):
        assert secret not in everything
    assert [one.action for one in (rotated, key, user, created)] == [
        "satellite.rotate_key",
        "api_key.create",
        "user.update",
        "bucket.create",
    ]
    assert "sesame!" not in str(row_of(stage, t.buckets, made.id))
