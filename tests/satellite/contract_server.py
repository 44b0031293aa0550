"""A small real HTTP server that speaks the satellite's part of the contract, with or without our additions."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.web

TOKEN = "dfssat_test"
API_KEY = "dfs_good"


class ContractServer:
    """State and server; the test changes the state directly and reads what the satellite has reported."""

    def __init__(self, extras: bool = True) -> None:
        self.extras = extras
        self.paired: dict[str, Any] | None = None
        self.deployments: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.secrets: dict[str, str] = {}
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.claims: list[str] = []
        self.access_asked = 0
        self.access_held = False
        self.downloads = 0
        self.renewals = 0
        self.leases_lost = 0
        self.finished: list[str] = []
        self.rounds = 0
        self.lose_leases = False
        self.bucket_status = 200
        self.started = threading.Event()
        self.port = 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        self.loop, self.stopped = asyncio.get_running_loop(), asyncio.Event()
        server = tornado.httpserver.HTTPServer(application(self))
        sockets = tornado.netutil.bind_sockets(self.port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        server.add_sockets(sockets)
        self.started.set()
        await self.stopped.wait()
        server.stop()
        await server.close_all_connections()

    def start(self) -> ContractServer:
        self.thread.start()
        assert self.started.wait(10)
        return self

    def stop(self) -> None:
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.stopped.set)
            self.thread.join(10)

    def restart(self) -> None:
        """Come back on the same port."""
        self.started.clear()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_model(self, path: Path) -> str:
        artifact_id = str(uuid.uuid4())
        self.files[artifact_id] = path.read_bytes()
        return artifact_id

    def deploy(self, artifact_id: str, **fields: Any) -> str:
        deployment_id = str(uuid.uuid4())
        self.deployments[deployment_id] = {
            "id": deployment_id, "name": "d", "status": "pending", "artifact_id": artifact_id,
            "satellite_parameters": {}, "env_variables": {}, "schemas": None, "inference_url": None,
        }  # fmt: skip
        self.revise(deployment_id, artifact_id, **fields)
        self.add_task("deploy", deployment_id)
        return deployment_id

    def revise(self, deployment_id: str, artifact_id: str, **fields: Any) -> None:
        """Another revision is desired."""
        row = self.deployments[deployment_id]
        row.update(fields, artifact_id=artifact_id)
        if self.extras:
            digest = hashlib.sha256(self.files[artifact_id]).hexdigest()
            number = row.get("revision", {}).get("number", 0) + 1
            row["generation"] = row.get("generation", 0) + 1
            row["desired"] = "running"
            row["revision"] = {"id": str(uuid.uuid4()), "number": number, "artifact_id": artifact_id, "digest": digest,
                               "env_variables": row["env_variables"],
                               "parameters": row["satellite_parameters"]}  # fmt: skip

    def undeploy(self, deployment_id: str) -> str:
        self.deployments[deployment_id].update(status="deletion_pending")
        if self.extras:
            self.deployments[deployment_id].update(
                desired="deleted", generation=self.deployments[deployment_id]["generation"] + 1
            )
        return self.add_task("undeploy", deployment_id)

    def add_task(self, kind: str, deployment_id: str) -> str:
        task_id = str(uuid.uuid4())
        self.tasks[task_id] = {
            "id": task_id, "type": kind, "payload": {"deployment_id": deployment_id}, "status": "pending",
        }  # fmt: skip
        return task_id

    def status(self, deployment_id: str) -> str | None:
        return self.deployments.get(deployment_id, {}).get("status")

    def task_of(self, deployment_id: str, kind: str) -> dict[str, Any]:
        found = [t for t in self.tasks.values() if t["payload"]["deployment_id"] == deployment_id and t["type"] == kind]
        return found[-1]


def until(condition: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    """Poll until something is truthy and return it; fail after a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what or condition}")


class Base(tornado.web.RequestHandler):
    def initialize(self, state: ContractServer) -> None:
        self.state = state

    def prepare(self) -> None:
        if self.request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "no")

    def refuse(self, status: int, detail: str) -> None:
        self.set_status(status)
        self.finish({"detail": detail})

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.request.body)

    def answer(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(value))

    def deployment(self, deployment_id: str) -> dict[str, Any]:
        if deployment_id not in self.state.deployments:
            raise tornado.web.HTTPError(404)
        return self.state.deployments[deployment_id]

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish({"detail": self._reason})


class Pair(Base):
    def post(self) -> None:
        self.state.paired = self.body
        self.answer({"id": str(uuid.uuid4())})


class Tasks(Base):
    async def get(self) -> None:
        wait = float(self.get_query_argument("wait", "0")) if self.state.extras else 0
        deadline = time.monotonic() + wait
        while True:
            wanted = self.get_query_argument("status")
            found = [task for task in self.state.tasks.values() if task["status"] == wanted]
            if found or time.monotonic() > deadline:
                self.answer(found)
                return
            await asyncio.sleep(0.02)


class TaskStatus(Base):
    def post(self, task_id: str) -> None:
        task, body = self.state.tasks[task_id], self.body
        if body["status"] == "running":
            if task["status"] != "pending":
                self.refuse(409, "taken")
                return
            self.state.claims.append(task_id)
            task["status"] = "running"
            if self.state.extras:
                task["lease_token"] = uuid.uuid4().hex
            self.answer(task)
            return
        self.state.finished.append(task_id)
        if task["status"] != "running" or body.get("lease_token") != task.get("lease_token"):
            self.refuse(409, "lease lost")
            return
        task.update(status=body["status"], result=body["result"])
        self.answer(task)


class Renew(Base):
    def post(self, task_id: str) -> None:
        task = self.state.tasks[task_id]
        if self.state.lose_leases or self.body["lease_token"] != task.get("lease_token"):
            self.state.leases_lost += 1
            self.refuse(409, "lease lost")
            return
        self.state.renewals += 1
        self.answer(task)


class Deployments(Base):
    def get(self) -> None:
        self.state.rounds += 1
        self.answer(list(self.state.deployments.values()))


class Deployment(Base):
    def get(self, deployment_id: str) -> None:
        self.answer(self.deployment(deployment_id))

    def patch(self, deployment_id: str) -> None:
        row, body = self.deployment(deployment_id), self.body
        generation = body.pop("generation", None)
        if self.state.extras and generation != row["generation"]:
            self.refuse(409, "the generation moved on")
            return
        self.state.reports.append((deployment_id, body))
        row.update(body)
        self.answer(row)

    def delete(self, deployment_id: str) -> None:
        if self.deployment(deployment_id)["status"] != "deletion_pending":
            self.refuse(409, "not to be deleted")
            return
        del self.state.deployments[deployment_id]
        self.set_status(204)


class Artifact(Base):
    def get(self, artifact_id: str) -> None:
        digest = hashlib.sha256(self.state.files[artifact_id]).hexdigest()
        self.answer({"artifact": {"file_hash": digest}, "url": f"{self.state.url}/bucket/{artifact_id}"})


class Secret(Base):
    def get(self, secret_id: str) -> None:
        if secret_id not in self.state.secrets:
            self.refuse(404, "There is no such secret.")
            return
        self.answer({"id": secret_id, "value": self.state.secrets[secret_id]})


class Health(tornado.web.RequestHandler):
    def get(self) -> None:
        self.finish({"status": "ok"})


class Access(Base):
    async def post(self) -> None:
        self.state.access_asked += 1
        while self.state.access_held:
            await asyncio.sleep(0.05)
        self.answer({"authorized": self.body["api_key"] == API_KEY})


class Bucket(Base):
    def prepare(self) -> None:
        if "Authorization" in self.request.headers:
            self.refuse(400, "a signed URL wants no key")

    def get(self, artifact_id: str) -> None:
        if self.state.bucket_status == 0:
            self.request.connection.stream.close()  # type: ignore[union-attr]
            return
        if self.state.bucket_status != 200:
            self.refuse(self.state.bucket_status, "the bucket does not want to")
            return
        self.state.downloads += 1
        self.finish(self.state.files[artifact_id])


def application(state: ContractServer) -> tornado.web.Application:
    shared = {"state": state}
    api = "/satellites/v1"
    routes = [
        (f"{api}/pair", Pair), (f"{api}/tasks", Tasks), (f"{api}/tasks/([^/]+)/status", TaskStatus),
        (f"{api}/deployments", Deployments), (f"{api}/deployments/inference-access", Access),
        (f"{api}/deployments/([^/]+)", Deployment), (f"{api}/artifacts/([^/]+)", Artifact),
        (f"{api}/secrets/([^/]+)", Secret), ("/bucket/([^/]+)", Bucket),
    ]  # fmt: skip
    if state.extras:
        routes.append((f"{api}/tasks/([^/]+)/renew", Renew))
    return tornado.web.Application(
        [("/healthz", Health)] + [(pattern, handler, shared) for pattern, handler in routes],
        log_function=lambda handler: None,
    )
