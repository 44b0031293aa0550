from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select, text, update

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, NotFound
from tests.api.stage import CAPABILITIES, INFERENCE_KEY, SATELLITE_TOKEN, Stage, announced
from tests.serving import RunningServer, until


@pytest.fixture
def where(stage: Stage) -> tuple[Any, ...]:
    return stage.path("deployment_id")


@pytest.fixture
def satellite(connect: Any, transport: str) -> Any:
    """The satellite's api, over each transport in turn."""
    return connect(SATELLITE_TOKEN, transport).agent


def status_in_database(stage: Stage) -> str | None:
    with stage.house.database.read() as db:
        return db.scalar(select(t.deployments.c.status).where(t.deployments.c.id == stage.ids["deployment_id"]))


def test_from_task_to_active_to_gone(stage: Stage, where: tuple[Any, ...], satellite: Any) -> None:
    (task,) = satellite.tasks(status="pending")
    assert (task.type, task.payload) == ("deploy", {"deployment_id": str(where[-1])})
    claimed = satellite.update_task(task.id, status="running", lease_seconds=30)
    assert claimed.lease_token is not None
    assert satellite.tasks(status="pending") == []
    assert [one.id for one in satellite.tasks(status="running")] == [task.id]
    assert satellite.tasks(status="running")[0].lease_token is None

    desired = satellite.deployment(where[-1])
    assert (desired.desired, desired.generation, desired.revision.number) == ("running", 1, 1)
    satellite.update_deployment(where[-1], status="active", inference_url="http://d", schemas={"a": 1}, generation=1)
    satellite.update_task(task.id, status="done", lease_token=claimed.lease_token, result={"ok": True})
    seen = stage.alice.deployments.get(*where)
    assert (seen.status, seen.inference_url, seen.observed_generation) == ("active", "http://d", 1)

    undeploy = stage.alice.deployments.delete(*where)
    assert (undeploy.type, undeploy.status) == ("undeploy", "pending")
    with pytest.raises(Conflict, match="to be deleted"):
        satellite.update_deployment_status(where[-1], status="active")
    assert satellite.deployment(where[-1]).desired == "deleted"
    token = satellite.update_task(undeploy.id, status="running").lease_token
    satellite.delete_deployment(where[-1])
    satellite.update_task(undeploy.id, status="done", lease_token=token)
    with pytest.raises(NotFound):
        stage.alice.deployments.get(*where)
    stage.alice.track_entries.delete(*stage.path("track_id", "entry_id"))
    stage.alice.artifacts.delete(*stage.path("collection_id", "artifact_id"))


def test_a_deletion_is_nobodys_but_peoples(stage: Stage, where: tuple[Any, ...], satellite: Any) -> None:
    with pytest.raises(Conflict, match="Nobody has asked"):
        satellite.delete_deployment(where[-1])
    for status in ("deletion_pending", "deletion_failed"):
        with pytest.raises(Conflict, match="Nobody has asked"):
            satellite.update_deployment_status(where[-1], status=status)
    assert stage.alice.deployments.get(*where).status == "pending"


def test_a_report_about_an_older_generation_is_refused(stage: Stage, where: tuple[Any, ...], satellite: Any) -> None:
    stage.alice.deployments.delete(*where)
    with pytest.raises(Conflict):
        satellite.update_deployment(where[-1], status="deletion_failed", generation=1)
    satellite.update_deployment(where[-1], status="deletion_failed", generation=2)
    assert stage.alice.deployments.get(*where).status == "deletion_failed"
    again = stage.alice.deployments.delete(*where)
    assert stage.alice.deployments.get(*where).status == "deletion_pending"
    assert again.type == "undeploy"


def test_a_deletion_overtakes_a_queued_deploy(stage: Stage, where: tuple[Any, ...], satellite: Any) -> None:
    first = stage.alice.deployments.delete(*where)
    assert [one.type for one in satellite.tasks(status="pending")] == ["undeploy"]
    assert stage.alice.deployments.delete(*where).id == first.id


def test_a_deletion_by_force_leaves_a_tombstone_until_it_is_confirmed(
    stage: Stage, where: tuple[Any, ...], satellite: Any
) -> None:
    stage.alice.deployments.force_delete(*where)
    for gone in (stage.alice.deployments.get, stage.alice.deployments.delete, stage.alice.deployments.force_delete):
        with pytest.raises(NotFound):
            gone(*where)
    assert stage.alice.deployments.list(*stage.path()) == []
    assert stage.alice.artifacts.list(*stage.path(), search="Dormouse").items[0].deployments == []
    (told,) = satellite.deployments()
    assert (told.desired, told.status) == ("deleted", "deletion_pending")
    assert [one.type for one in satellite.tasks(status="pending")] == ["undeploy"]
    satellite.update_deployment_status(where[-1], status="deletion_failed")
    assert status_in_database(stage) == "gone"
    satellite.delete_deployment(where[-1])
    assert status_in_database(stage) is None


def test_a_tombstone_keeps_neither_artifact_nor_satellite(stage: Stage, where: tuple[Any, ...]) -> None:
    satellite, artifact = stage.path("satellite_id"), stage.path("collection_id", "artifact_id")
    with pytest.raises(Conflict, match="deployments"):
        stage.alice.satellites.delete(*satellite)
    stage.alice.deployments.force_delete(*where)
    stage.alice.track_entries.delete(*stage.path("track_id", "entry_id"))
    stage.alice.artifacts.delete_url(*artifact)
    stage.alice.artifacts.delete(*artifact)
    assert stage.satellite.agent.deployments() == []
    stage.alice.satellites.delete(*satellite)
    with pytest.raises(Exception, match="not valid"):
        stage.satellite.agent.deployments()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"paired": False}, "not paired"),
        ({"capabilities": {}}, "does not deploy"),
        ({"capabilities": {"deploy": {"supported_variants": ["pipeline"]}}}, "deploys pipeline, not pyfunc"),
    ],
)
def test_a_satellite_must_be_able(stage: Stage, change: dict[str, Any], said: str) -> None:
    with stage.house.database.write() as db:
        db.execute(update(t.satellites).values(**change))
    parts = {name: stage.ids[name] for name in ("satellite_id", "artifact_id")}
    with pytest.raises(Conflict, match=said):
        stage.alice.deployments.create(*stage.path(), **parts, name="Pythia")


def test_its_settings_are_not_large(stage: Stage) -> None:
    """All deployments of an orbit come back in one list."""
    parts = {"artifact_id": stage.ids["artifact_id"], "satellite_id": stage.ids["satellite_id"]}
    with pytest.raises(Invalid, match="bytes"):
        stage.alice.deployments.create(*stage.path(), **parts, name="Pythia", env_variables={"A": "x" * 2**20})


def test_only_an_uploaded_model_is_deployed(stage: Stage) -> None:
    waiting = stage.alice.artifacts.create(*stage.path("collection_id"), **announced()).artifact
    with pytest.raises(Conflict, match="pending upload"):
        stage.alice.deployments.create(
            *stage.path(), satellite_id=stage.ids["satellite_id"], artifact_id=waiting.id, name="Pythia"
        )


def test_a_satellite_reads_only_what_it_serves(stage: Stage, satellite: Any, server: RunningServer) -> None:
    assert satellite.artifact(stage.ids["artifact_id"]).artifact.name == "Dormouse"
    assert satellite.artifact_url(stage.ids["artifact_id"]).url.startswith("http")
    assert satellite.model(stage.ids["artifact_id"]).model.id == stage.ids["artifact_id"]
    with pytest.raises(NotFound):
        satellite.artifact(stage.spare.id)


def test_whose_keys_open_the_deployments(stage: Stage, satellite: Any) -> None:
    def opens(key: str, purpose: str = "inference") -> bool:
        return bool(satellite.inference_access(api_key=key, purpose=purpose).authorized)

    cast = stage.cast
    opened = {person.name: opens(person.api_key) for person in (cast.alice, cast.bob, cast.victor, cast.charlie)}
    assert opened == {"alice": True, "bob": True, "victor": True, "charlie": False}
    assert opens(INFERENCE_KEY)
    assert not opens(stage.alice.api_keys.create(name="api only", scopes=["api"]).key)
    assert not opens("")
    assert not opens(INFERENCE_KEY, "logs")
    assert opens(stage.alice.api_keys.create(name="logs only", scopes=["logs"]).key, "logs")
    assert [opens(person.api_key, "logs") for person in (cast.victor, cast.charlie)] == [True, False]
    with stage.house.database.write() as db:
        db.execute(update(t.api_keys).values(expires_at=func.now() - timedelta(seconds=1)))
    assert not opens(INFERENCE_KEY)


def test_pairing_and_its_status(stage: Stage, api: Any) -> None:
    made = api.satellites.create(*stage.path(), name="Cat")
    assert (made.satellite.status, made.satellite.paired) == ("inactive", False)
    assert [one.name for one in api.satellites.list(*stage.path(), paired=False)] == ["Cat"]
    one = (*stage.path(), made.satellite.id)
    cat = stage.house.api(Credentials(token=made.api_key)).agent
    assert cat.pair(base_url="http://cat", capabilities=CAPABILITIES).status == "active"
    assert api.satellites.get(*one).status == "active"
    with stage.house.database.write() as db:
        db.execute(update(t.satellites).values(last_seen_at=func.now() - timedelta(minutes=21)))
    assert api.satellites.get(*one).status == "error"
    key = api.satellites.rotate_key(*one).key
    with pytest.raises(Exception, match="not valid"):
        cat.tasks()
    assert stage.house.api(Credentials(token=key)).agent.tasks() == []
    assert api.satellites.get(*one).status == "active"


@pytest.mark.parametrize(("seconds", "written"), [(10, False), (16, True)])
def test_last_seen_is_written_every_15_seconds_at_most(seconds: int, written: bool, stage: Stage) -> None:
    satellite = stage.path("satellite_id")
    with stage.house.database.write() as db:
        db.execute(update(t.satellites).values(last_seen_at=func.now() - timedelta(seconds=seconds)))
    before = stage.alice.satellites.get(*satellite).last_seen_at
    stage.satellite.agent.tasks()
    assert (stage.alice.satellites.get(*satellite).last_seen_at > before) is written


def test_kinds_of_keys_do_not_mix(stage: Stage) -> None:
    with pytest.raises(Forbidden):
        stage.alice.agent.tasks()
    with pytest.raises(Forbidden):
        stage.satellite.auth.me()


class TestLongPoll:
    """A satellite that waits hears at once of what is there for it, and only of that."""

    @pytest.fixture
    def idle(self, stage: Stage, server: RunningServer) -> httpx.Client:
        """A connection of the satellite, which has nothing to do."""
        stage.alice.deployments.force_delete(*stage.path("deployment_id"))
        for task in stage.satellite.agent.tasks(status="pending"):
            token = stage.satellite.agent.update_task(task.id, status="running").lease_token
            stage.satellite.agent.update_task(task.id, status="done", lease_token=token)
        headers = {"Authorization": f"Bearer {SATELLITE_TOKEN}"}
        return httpx.Client(base_url=server.address, headers=headers, timeout=60)

    def test_it_is_woken(self, stage: Stage, idle: httpx.Client, server: RunningServer) -> None:
        answers: list[Any] = []
        query = {"status": "pending", "wait": "50"}
        waiting = threading.Thread(target=lambda: answers.append(idle.get("/satellites/v1/tasks", params=query).json()))
        waiting.start()
        until(lambda: server.house.hub._subscribers, "the satellite waits")
        parts = {name: stage.ids[name] for name in ("satellite_id", "artifact_id")}
        made = stage.alice.deployments.create(*stage.path(), **parts, name="Pythia")
        waiting.join(timeout=20)
        assert not waiting.is_alive(), "the poll was not woken"
        assert [task["payload"] for task in answers[0]] == [{"deployment_id": str(made.id)}]

    def test_it_is_woken_although_the_database_cut_the_line_meanwhile(
        self, stage: Stage, idle: httpx.Client, server: RunningServer
    ) -> None:
        answers: list[Any] = []
        query = {"status": "pending", "wait": "50"}
        waiting = threading.Thread(target=lambda: answers.append(idle.get("/satellites/v1/tasks", params=query).json()))
        waiting.start()
        until(lambda: server.house.hub._subscribers, "the satellite waits")
        line = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        )
        with stage.house.database.read() as db:
            assert db.execute(text(line)).all() == [(True,)]
        parts = {name: stage.ids[name] for name in ("satellite_id", "artifact_id")}
        stage.alice.deployments.create(*stage.path(), **parts, name="Pythia")
        waiting.join(timeout=20)
        assert [task["type"] for task in answers[0]] == ["deploy"]

    def test_it_ends_without_anything(self, idle: httpx.Client) -> None:
        answer = idle.get("/satellites/v1/tasks", params={"status": "pending", "wait": "0.2"})
        assert (answer.status_code, answer.json()) == (200, [])

    def test_a_faulty_wait_is_named(self, idle: httpx.Client) -> None:
        for wait in ("nan", "-1", "61", "inf", "soon"):
            answer = idle.get("/satellites/v1/tasks", params={"status": "pending", "wait": wait})
            assert answer.status_code == 422, wait
            assert answer.json()["detail"][0]["loc"] == ["query", "wait"]

    def test_a_stopping_server_does_not_wait_for_those_who_wait(
        self, idle: httpx.Client, server: RunningServer
    ) -> None:
        ended = threading.Event()

        def wait() -> None:
            with suppress(httpx.TransportError):
                idle.get("/satellites/v1/tasks", params={"status": "pending", "wait": "55"})
            ended.set()

        threading.Thread(target=wait).start()
        until(lambda: server.house.hub._subscribers, "the satellite waits")
        server.stop()
        assert ended.wait(timeout=20)


def test_an_unknown_task_is_not_there(satellite: Any) -> None:
    with pytest.raises(NotFound):
        satellite.update_task(uuid4(), status="running")
