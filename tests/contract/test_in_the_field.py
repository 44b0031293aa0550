"""Programs that people already run, request by request: the notebook client's upload, and a satellite's day.

Written as those programs speak: an address and headers on every request, explicit nulls, no lease tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import database_url, stage
from tests.api.stage import CAPABILITIES, MODEL_MANIFEST, SATELLITE_TOKEN, Stage
from tests.serving import RunningServer

__all__ = ["database_url", "stage"]

CONTENT = b"the bytes of a model " * 5_000


def program(server: RunningServer, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
    return httpx.Client(base_url=server.address, headers=headers, timeout=30)


@pytest.fixture
def notebook(server: RunningServer, stage: Stage) -> Iterator[httpx.Client]:
    with program(server, stage.cast.alice.api_key) as client:
        yield client


@pytest.fixture
def satellite(server: RunningServer, stage: Stage) -> Iterator[httpx.Client]:
    with program(server, SATELLITE_TOKEN) as client:
        yield client


def ok(answer: httpx.Response) -> Any:
    assert answer.is_success, (answer.request.url, answer.text)
    return answer.json() if answer.content else None


def in_pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 8192):
        yield content[start : start + 8192]


def find_place(notebook: httpx.Client, organization: str, orbit: str) -> str:
    """As the client finds its defaults at the start: lists, and a comparison of names."""
    organizations = ok(notebook.get("/v1/users/me/organizations"))
    (here,) = [one["id"] for one in organizations if one["name"] == organization]
    (room,) = [one["id"] for one in ok(notebook.get(f"/v1/organizations/{here}/orbits")) if one["name"] == orbit]
    return f"/v1/organizations/{here}/orbits/{room}"


def upload(notebook: httpx.Client, place: str, collection: str, name: str) -> dict[str, Any]:
    announced = {
        "file_name": "model.luml",
        "extra_values": {"F1": 0.84},
        "manifest": MODEL_MANIFEST,
        "file_hash": hashlib.sha256(CONTENT).hexdigest(),
        "file_index": {"manifest.json": (512, 2353)},
        "size": len(CONTENT),
        "name": name,
        "description": None,
        "tags": None,
    }
    made = ok(notebook.post(f"{place}/collections/{collection}/artifacts", json=announced))
    details = made["upload_details"]
    assert (details["type"], details["multipart"]) == ("s3", False)
    length = {"Content-Length": str(len(CONTENT))}
    assert httpx.put(details["url"], content=in_pieces(CONTENT), headers=length).status_code == 200
    one = f"{place}/collections/{collection}/artifacts/{made['artifact']['id']}"
    found: dict[str, Any] = ok(notebook.patch(one, json={"id": made["artifact"]["id"], "status": "uploaded"}))
    assert found["status"] == "uploaded"
    return found


def all_pages(notebook: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        page = ok(notebook.get(path, params=query | ({"cursor": cursor} if cursor else {})))
        found += page["items"]
        if (cursor := page["cursor"]) is None:
            return found


def test_the_notebook_client_stores_finds_loads_and_deletes(notebook: httpx.Client) -> None:
    place = find_place(notebook, "Wonderland", "Garden")
    body = {"description": "", "name": "Looking glass", "type": "model", "tags": None}
    collection = ok(notebook.post(f"{place}/collections", json=body))["id"]
    (found,) = all_pages(notebook, f"{place}/collections", search="looking GLASS", limit=100)
    assert found["id"] == collection

    names = [f"Jabberwock {number}" for number in range(5)]
    made = {upload(notebook, place, collection, name)["id"]: name for name in names}
    query: dict[str, Any] = {"collection_ids": [collection], "limit": 2, "order": "asc", "sort_by": "F1"}
    listed = all_pages(notebook, f"{place}/artifacts", **query)
    assert {one["id"]: one["name"] for one in listed} == made
    for one in listed:
        assert one.keys() >= {"manifest", "file_index", "extra_values", "bucket_location", "unique_identifier"}

    one = f"{place}/collections/{collection}/artifacts/{listed[0]['id']}"
    renamed = ok(notebook.patch(one, json={"name": "Bandersnatch", "description": None, "tags": ["frumious"]}))
    assert (renamed["name"], renamed["tags"], renamed["status"]) == ("Bandersnatch", ["frumious"], "uploaded")
    address = ok(notebook.get(f"{one}/download-url"))["url"]
    with httpx.stream("GET", address) as answer:
        assert int(answer.headers["Content-Length"]) == len(CONTENT)
        assert b"".join(answer.iter_bytes()) == CONTENT

    assert httpx.delete(ok(notebook.get(f"{one}/delete-url"))["url"]).status_code in {200, 204}
    assert notebook.delete(one).status_code == 204
    assert len(all_pages(notebook, f"{place}/artifacts", collection_ids=[collection])) == 4
    at_once = f"{place}/collections/{collection}/artifacts/{listed[1]['id']}"
    assert notebook.delete(at_once).status_code == 204
    assert notebook.get(at_once).status_code == 404


def test_an_artifact_without_a_name_has_that_of_its_file(notebook: httpx.Client, stage: Stage) -> None:
    """The notebook client takes a whole page for broken when one name in it is null."""
    place = find_place(notebook, "Wonderland", "Garden")
    collection = f"{place}/collections/{stage.ids['collection_id']}/artifacts"
    announced = {"manifest": MODEL_MANIFEST, "file_hash": "0" * 64, "file_index": {}, "size": 1, "extra_values": {}}
    for name in (None, ""):
        made = ok(notebook.post(collection, json={**announced, "file_name": "tea.luml", "name": name}))["artifact"]
        assert made["name"] == "tea.luml"
        one = f"{collection}/{made['id']}"
        assert ok(notebook.patch(one, json={"name": "Treacle"}))["name"] == "Treacle"
        assert ok(notebook.patch(one, json={"description": "deep"}))["name"] == "Treacle"
        assert ok(notebook.patch(one, json={"name": name}))["name"] == "tea.luml"
    assert all(one["name"] for one in all_pages(notebook, f"{place}/artifacts", limit=100))


def test_a_satellite_pairs_deploys_answers_for_keys_and_undeploys(
    satellite: httpx.Client, notebook: httpx.Client, stage: Stage
) -> None:
    here = {"base_url": "http://127.0.0.1:9", "capabilities": CAPABILITIES, "slug": None}
    assert ok(satellite.post("/satellites/v1/pair", json=here))["status"] == "active"
    (task,) = ok(satellite.get("/satellites/v1/tasks", params={"status": "pending"}))
    assert task["type"] == "deploy"
    deployment_id = task["payload"]["deployment_id"]
    at = f"/satellites/v1/tasks/{task['id']}/status"
    assert ok(satellite.post(at, json={"status": "running"}))["status"] == "running"
    assert satellite.post(at, json={"status": "running"}).status_code == 409

    deployment = ok(satellite.get(f"/satellites/v1/deployments/{deployment_id}"))
    told = ok(satellite.get(f"/satellites/v1/artifacts/{deployment['artifact_id']}"))
    assert told["model"] == told["artifact"]
    old = ok(satellite.get(f"/satellites/v1/model_artifacts/{deployment['model_id']}"))
    assert old["model"]["id"] == told["artifact"]["id"]
    assert ok(satellite.get(f"/satellites/v1/artifacts/{deployment['artifact_id']}/download-url"))["url"]
    for key, right in ((stage.cast.alice.api_key, True), (stage.cast.charlie.api_key, False), ("dfs_no", False)):
        answer = ok(satellite.post("/satellites/v1/deployments/inference-access", json={"api_key": key}))
        assert answer == {"authorized": right}

    report = {"status": "active", "inference_url": "http://127.0.0.1:9/d", "schemas": {"openapi": "3.1.0"}}
    assert ok(satellite.patch(f"/satellites/v1/deployments/{deployment_id}", json=report))["status"] == "active"
    ended = ok(satellite.post(at, json={"status": "done", "result": {"inference_url": "http://127.0.0.1:9/d"}}))
    assert ended["status"] == "done"
    lost = ok(satellite.patch(f"/satellites/v1/deployments/{deployment_id}/status", json={"status": "not_responding"}))
    assert lost["status"] == "not_responding"

    place = find_place(notebook, "Wonderland", "Garden")
    assert ok(notebook.delete(f"{place}/deployments/{deployment_id}"))["type"] == "undeploy"
    (task,) = ok(satellite.get("/satellites/v1/tasks", params={"status": "pending"}))
    at = f"/satellites/v1/tasks/{task['id']}/status"
    ok(satellite.post(at, json={"status": "running"}))
    assert satellite.delete(f"/satellites/v1/deployments/{deployment_id}").status_code == 204
    assert ok(satellite.post(at, json={"status": "done"}))["status"] == "done"
    assert ok(satellite.get("/satellites/v1/deployments")) == []


def test_a_satellite_reports_a_model_that_does_not_start(satellite: httpx.Client) -> None:
    (task,) = ok(satellite.get("/satellites/v1/tasks", params={"status": "pending"}))
    at, why = f"/satellites/v1/tasks/{task['id']}/status", {"reason": "healthcheck timeout", "error": "no answer"}
    ok(satellite.post(at, json={"status": "running"}))
    deployment = f"/satellites/v1/deployments/{task['payload']['deployment_id']}"
    failed = ok(satellite.patch(deployment, json={"status": "failed", "error_message": why}))
    assert (failed["status"], failed["error_message"]) == ("failed", why)
    assert ok(satellite.post(at, json={"status": "failed", "result": why}))["result"] == why
