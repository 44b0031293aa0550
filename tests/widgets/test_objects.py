"""The pages of one artifact, one track and one deployment, and the lists of the rest."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest

from luml_widgets import (
    ArtifactPage,
    CollectionList,
    DeploymentCard,
    DeploymentTable,
    HomeBoard,
    SatelliteList,
    TrackBoard,
    TrackList,
    snippets,
)
from tests.cast import Place
from tests.widgets.stage import Outpost, put_dataset, put_model


def loaded(board: Any) -> Any:
    board.store.load()
    assert board.store.error is None
    return board


def text_of(board: Any) -> str:
    """Everything on the screen, as text."""
    return json.dumps(board.screen(), ensure_ascii=False, default=str)


def test_an_artifacts_page(seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost) -> None:
    made = put_model(alices, here, collection, "forest", metrics={"auc": 0.91}, description="Ten trees")
    track = alices.tracks.create(*here.path, name="churn", artifact_type="model", stages=["production"])
    page = loaded(ArtifactPage(seen, *here.path, collection, made.id))
    assert page.title == "forest"
    for shown in ("0.9100", "scikit-learn==1.7.0", "Array[string]", "Ten trees", str(made.file_hash)):
        assert shown in text_of(page)
    page.act("tab", "files")
    assert "variant_config.json" in text_of(page)
    page.act("tab", "use")
    assert f"luml artifacts pull {made.id}" in text_of(page)
    page.act("track", str(track.id))
    assert "Added as version 1." in text_of(page)
    page.act("deploy", str(outpost.id))
    assert [one.name for one in alices.deployments.list(*here.path)] == ["forest"]


def test_a_malicious_name_stays_a_text(seen: Any, alices: Any, here: Place, collection: UUID) -> None:
    name = 'x").wait(); import os; os.system("rm -rf ~'
    made = put_dataset(alices, here, collection, "harmless")
    alices.artifacts.update(*here.path, collection, made.id, name=name)
    one = alices.artifacts.get(*here.path, collection, made.id)
    assert ast.literal_eval(snippets.deploy(one).split("deploy(")[1].split(").wait()\n")[0]) == name


def test_an_artifact_is_found_by_its_id_alone(seen: Any, alices: Any, here: Place, collection: UUID) -> None:
    made = put_dataset(alices, here, collection, "billing")
    page = loaded(ArtifactPage(seen, *here.path, None, made.id))
    assert page.title == "billing"
    assert "12 rows" in text_of(page)


def test_an_artifact_that_is_not_there(seen: Any, here: Place, collection: UUID) -> None:
    page = ArtifactPage(seen, *here.path, None, collection)
    page.store.load()
    assert "This could not be loaded." in text_of(page)


def test_a_version_is_promoted(seen: Any, alices: Any, here: Place, collection: UUID) -> None:
    track = alices.tracks.create(*here.path, name="churn", artifact_type="model", stages=["staging", "production"])
    for name in ("first", "second"):
        made = put_model(alices, here, collection, name)
        alices.track_entries.create(*here.path, track.id, artifact_id=made.id)
    board = loaded(TrackBoard(seen, *here.path, track.id))
    first, production = board.store.rows[1], track.stages[1]
    for entry in (first, board.store.rows[0]):  # the second one takes the place of the first
        board.act("promote", {"entry": str(entry.id), "stage": str(production.id), "name": "it"})
    now = alices.track_entries.by_stage(*here.path, track.id, stage_id=production.id)
    assert now.artifact_name == "second"
    stages = {
        item["label"]: item["value"] for block in board.screen() if block["kind"] == "kpis" for item in block["items"]
    }
    assert stages == {"staging": "\u2013", "production": "v2"}
    board.act("promote", {"entry": str(now.id), "stage": "", "name": "it"})
    assert board.store.staged == {}


def test_what_a_viewer_may_not_do_is_said(
    alices: Any, connect: Any, victor: Any, here: Place, collection: UUID
) -> None:
    track = alices.tracks.create(*here.path, name="churn", artifact_type="model", stages=["production"])
    made = put_model(alices, here, collection, "first")
    entry = alices.track_entries.create(*here.path, track.id, artifact_id=made.id)
    board = loaded(TrackBoard(connect(victor), *here.path, track.id))
    board.act("promote", {"entry": str(entry.id), "stage": str(track.stages[0].id), "name": "it"})
    assert "That did not work." in text_of(board)


def test_lists_show_names_and_first_steps(
    seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost
) -> None:
    ids = (seen, *here.path)
    assert "No tracks yet" in text_of(loaded(TrackList(*ids)))
    assert "No deployments yet" in text_of(loaded(DeploymentTable(*ids)))
    made = put_model(alices, here, collection, "forest")
    outpost.deploy(made, "churn-live", status="failed", error_message={"reason": "no memory", "error": "OOM"})
    alices.tracks.create(*here.path, name="churn-track", artifact_type="model", stages=["production"])
    assert "churn-track" in text_of(loaded(TrackList(*ids)))
    assert "churn-live" in text_of(loaded(DeploymentTable(*ids)))
    assert "basement" in text_of(loaded(SatelliteList(*ids)))
    assert "Who leaves" in text_of(loaded(CollectionList(*ids)))
    home = text_of(loaded(HomeBoard(*ids)))
    assert "churn-live has failed." in home and "no memory" in home and "forest" in home


@pytest.fixture
def endpoint() -> Iterator[Callable[..., str]]:
    """Somebody else's model server: it answers what it is told to, and keeps what it was asked."""
    servers: list[ThreadingHTTPServer] = []

    def serve(status: int, answer: Any, asked: list[Any]) -> str:
        class Model(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append((self.headers["Authorization"], json.loads(body)))
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Model))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/compute"

    yield serve
    for one in servers:
        one.shutdown()
        one.server_close()


def card(seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost, url: str) -> DeploymentCard:
    made = put_model(alices, here, collection, "forest")
    deployment = outpost.deploy(made, "churn-live", status="active", inference_url=url)
    shown: DeploymentCard = loaded(DeploymentCard(seen, *here.path, deployment.id))
    return shown


def test_the_form_begins_with_the_stored_example_and_calls(
    seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost, endpoint: Callable[..., str]
) -> None:
    asked: list[Any] = []
    url = endpoint(200, {"prediction": [1], "probabilities": [[0.1, 0.9]]}, asked)
    board = card(seen, alices, here, collection, outpost, url)
    assert board.store.values == {"age": "41", "plan": "gold", "charges": "70.5"}
    board.act("predict", {"age": "44", "plan": "basic", "charges": ""})
    authorization, body = asked[0]
    assert body["inputs"] == {"age": [44], "plan": ["basic"], "charges": [[None]]}
    assert authorization.startswith("Bearer dfs_")
    assert "0.9000" in text_of(board) and "Answered in" in text_of(board)
    board.act("predict", {"age": "45"})
    assert asked[1][0] == authorization  # one key for the whole session


def test_a_satellite_is_shown_a_key_that_opens_its_own_orbit_only(
    alices: Any, here: Place, collection: UUID, outpost: Outpost, endpoint: Callable[..., str]
) -> None:
    board = card(alices, alices, here, collection, outpost, endpoint(200, {"prediction": [1]}, []))
    board.act("predict", {"age": "44", "plan": "basic", "charges": "1"})
    (made,) = (one for one in alices.api_keys.list() if one.name.startswith("Trying a deployment"))
    assert (made.scopes, made.orbit_id) == (["inference", "logs"], here.orbit_id)
    assert made.expires_at is not None


def test_what_does_not_fit_is_said_at_the_field(
    seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost, endpoint: Callable[..., str]
) -> None:
    asked: list[Any] = []
    board = card(seen, alices, here, collection, outpost, endpoint(200, {}, asked))
    board.act("predict", {"age": "forty", "charges": "much"})
    assert set(board.store.errors) == {"age", "charges"}
    assert "Give a whole number." in text_of(board) and not asked
    assert board.store.body["inputs"] == {"age": [], "plan": ["gold"], "charges": []}  # what fits stays


def test_a_request_may_be_written_as_json(
    seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost, endpoint: Callable[..., str]
) -> None:
    asked: list[Any] = []
    board = card(seen, alices, here, collection, outpost, endpoint(200, {"prediction": [1, 0]}, asked))
    board.act("as_json", True)
    board.act("predict", {"body": "{"})
    assert "not valid JSON" in text_of(board) and not asked
    board.act("predict", {"body": '{"inputs": {"age": [1, 2]}}'})
    assert asked[0][1] == {"inputs": {"age": [1, 2]}}


def test_a_refusal_is_shown_in_the_models_words(
    seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost, endpoint: Callable[..., str]
) -> None:
    said = {"detail": [{"loc": ["inputs", "age"], "msg": "age is too high", "type": "value_error"}]}
    board = card(seen, alices, here, collection, outpost, endpoint(422, said, []))
    board.act("predict", {})
    assert "age is too high" in text_of(board)


def test_nobody_at_the_address(seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost) -> None:
    board = card(seen, alices, here, collection, outpost, "http://127.0.0.1:9/compute")
    board.act("predict", {})
    assert "Nothing answers at 127.0.0.1:9" in text_of(board)


def test_a_deployment_is_deleted_after_asking(
    seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost
) -> None:
    board = card(seen, alices, here, collection, outpost, "http://127.0.0.1:9/compute")
    board.act("ask_delete", None)
    assert alices.deployments.list(*here.path)[0].status == "active"
    assert "Are you sure?" in text_of(board)
    board.act("delete", None)
    assert alices.deployments.list(*here.path)[0].status == "deletion_pending"
    assert "Being taken down." in text_of(board)


def test_a_rollout_is_shown_and_led_on_and_back(
    seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost
) -> None:
    board = card(seen, alices, here, collection, outpost, "http://127.0.0.1:9/compute")
    one = alices.deployments.list(*here.path)[0]
    alices.revisions.create(*here.path, one.id, env_variables={"MOOD": "glad"}, rollout={"weight": 5})
    board.store.load()
    assert "95 %" in text_of(board)
    assert "rolling out" in text_of(board)
    board.act("ask_rollback", None)
    assert "env_variables.MOOD: 'glad' → None" in text_of(board)
    board.act("promote", None)
    assert "stands by" in text_of(board)
    outpost.own.agent.update_deployment(one.id, status="active", generation=3)
    board.act("ask_rollback", None)
    back = alices.revisions.list(*here.path, one.id).items[-1]
    board.act("rollback", str(back.id))
    assert alices.deployments.get(*here.path, one.id).revision.number == 1


def test_a_deployment_is_stopped_after_asking_and_started_again(
    seen: Any, alices: Any, here: Place, collection: UUID, outpost: Outpost
) -> None:
    board = card(seen, alices, here, collection, outpost, "http://127.0.0.1:9/compute")
    board.act("ask_stop", None)
    assert "Are you sure?" in text_of(board)
    board.act("verb", "stop")
    assert "Stopped." in text_of(board)
    board.act("verb", "start")
    assert alices.deployments.list(*here.path)[0].desired == "running"
    board.act("ask_rollback", None)
    assert "No earlier revision" in text_of(board)
