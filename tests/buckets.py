"""Real services for buckets: moto and rclone speak S3, Azurite speaks Azure. Each starts when a test asks for it.

A pytest plugin; the root `conftest.py` names it in `pytest_plugins`. `.ci/node-tools` installs Azurite.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient, CorsRule
from botocore.config import Config

from luml_app.embedded.children import Child, Command
from luml_app.storage.connection_string import read_connection_string
from luml_app.storage.places import Place
from tests.serving import until

NODE_TOOLS = Path(os.environ.get("LUML_NODE_TOOLS") or Path.home() / ".cache" / "luml-node-tools")
AZURITE = NODE_TOOLS / "node_modules" / ".bin" / "azurite-blob"
CREDENTIALS = {"access_key": "AKIAOFTHETESTS", "secret_key": "secret/of+the/tests"}


@dataclass(frozen=True)
class Service:
    """A running service: its name, and how a bucket there is described by the body that adds it to LUML.

    What it is known to do otherwise than S3 and Azure do: without `ranges` it answers a request for a range with the
    range, but with status 200; `behind_the_end` is its status for a range that begins there; without `cors` it refuses
    preflights and cannot be told otherwise; with `keys_are_paths` an object is a file of that name, so that no name
    may be longer than one on disk, and none may be object and folder at once; without `looks_at_signatures` every
    address is good for everything; one that is `open_to_every_page` answers preflights of whoever asks.
    """

    name: str
    body: dict[str, Any] = field(default_factory=dict)
    ranges: bool = True
    behind_the_end: int = 416
    cors: bool = True
    keys_are_paths: bool = False
    looks_at_signatures: bool = True
    open_to_every_page: bool = False

    @property
    def place(self) -> Place:
        told = dict(self.body)
        if told["type"] == "azure":
            told["endpoint"], found = read_connection_string(told["endpoint"])
        else:
            found = {name: told.pop(name) for name in CREDENTIALS}
        return Place(**told, secrets=found)

    @contextmanager
    def allowing(self, origin: str) -> Iterator[None]:
        """Let pages of this origin read and write, for the time of the block."""
        if self.body["type"] == "azure":
            rule = CorsRule([origin], ["GET", "PUT", "DELETE"], allowed_headers=["*"], exposed_headers=["*"])
            with BlobServiceClient.from_connection_string(self.body["endpoint"]) as service:
                service.set_service_properties(cors=[rule])
                yield
                service.set_service_properties(cors=[])
            return
        methods = ["GET", "PUT", "POST", "DELETE"]
        allowed = {"AllowedOrigins": [origin], "AllowedMethods": methods, "AllowedHeaders": ["*"]}
        client, name = s3_client(self.body), self.body["bucket_name"]
        client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [allowed]})
        yield
        client.delete_bucket_cors(Bucket=name)


def s3_client(body: dict[str, Any]) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=body["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=body["access_key"],
        aws_secret_access_key=body["secret_key"],
        config=Config(proxies={}),
    )


@pytest.fixture(scope="session")
def moto() -> Iterator[Service]:
    """A bucket at a moto server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    body = {"type": "s3", "endpoint": f"http://{host}:{port}", "region": "us-east-1", **CREDENTIALS}
    yield Service("moto", _with_bucket(body), looks_at_signatures=False, open_to_every_page=True)
    server.stop()


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A bucket at an rclone server, which serves a folder."""
    folder = tmp_path_factory.mktemp("rclone")
    (root := folder / "files").mkdir()
    key = ",".join(CREDENTIALS.values())
    binary = Path(sys.executable).with_name("rclone")
    command = [str(binary), "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", key, "--config", "", str(root)]
    with _server(folder, command, r"server on \[(http://[\d.:]+)/\]") as address:
        body = {"type": "s3", "endpoint": address, "region": "us-east-1", **CREDENTIALS}
        yield Service("rclone", _with_bucket(body), ranges=False, cors=False, keys_are_paths=True)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A container at an Azurite server."""
    if not AZURITE.exists():
        pytest.skip(f"Azurite is not in {NODE_TOOLS}; .ci/node-tools installs it")
    account, key = "lumltests", "bHVtbCB0ZXN0cyBrZXkgb2YgdGhlIGFjY291bnQ="
    command = [str(AZURITE), "--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    folder, said = tmp_path_factory.mktemp("azurite"), r"successfully listens on (http://[\d.:]+)"
    with _server(folder, command, said, AZURITE_ACCOUNTS=f"{account}:{key}") as address:
        connection = f"AccountName={account};AccountKey={key};BlobEndpoint={address}/{account}"
        name = f"team-{secrets.token_hex(4)}"
        with BlobServiceClient.from_connection_string(connection) as service:
            service.create_container(name).close()
        body = {"type": "azure", "endpoint": connection, "bucket_name": name}
        yield Service("azurite", body, behind_the_end=206)


@pytest.fixture(params=["moto", "azurite"])
def elsewhere(request: pytest.FixtureRequest) -> Service:
    """A bucket outside of LUML that can do everything, in each dialect."""
    service: Service = request.getfixturevalue(request.param)
    return service


def _with_bucket(body: dict[str, Any]) -> dict[str, Any]:
    name = f"team-{secrets.token_hex(4)}"
    s3_client(body).create_bucket(Bucket=name)
    return {**body, "bucket_name": name}


@contextmanager
def _server(folder: Path, command: list[str], said: str, **environment: str) -> Iterator[str]:
    """Run a server until the block ends, or this process does; gives what it has `said` of its address."""
    log = folder / "log"
    child = Child(Command("server", tuple(command), {**os.environ, **environment}), run=folder, log=log)
    child.start()
    try:
        until(lambda: not child.alive or re.search(said, log.read_text()), f"{command[0]} starts")
        found = re.search(said, log.read_text())
        assert found, f"{command[0]} has ended: {log.read_text()}"
        yield found.group(1)
    finally:
        child.stop()
