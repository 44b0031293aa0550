"""Buckets elsewhere: added, changed, probed. What a tenant types in leads nowhere it should not, and stays inside."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from luml_app.client.http import Client
from luml_app.core import tables as t
from luml_app.core.outside import LOOKS_AT_ONCE, PROBES_AT_ONCE
from luml_app.core.scope import Credentials
from luml_app.schemas.errors import Conflict, Invalid, Unavailable
from luml_app.storage import remote, requests
from luml_app.storage.errors import BucketRefused
from luml_app.web.house import House
from tests.api.stage import Stage, announced
from tests.api.together import MANY, together
from tests.buckets import CREDENTIALS, Service, s3_client
from tests.serving import RunningServer, until

KEY = "c2VjcmV0IG9mIHRoZSBhY2NvdW50"
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=rabbithole;AccountKey={KEY};EndpointSuffix=core.windows.net"
AZURE = {"type": "azure", "endpoint": CONNECTION, "bucket_name": "tea-party"}
S3 = {"endpoint": "https://s3.example.org", "bucket_name": "treacle", "region": "eu", **CREDENTIALS}


@pytest.fixture
def organization(stage: Stage) -> Any:
    return stage.cast.here.organization_id


def in_the_database(house: House) -> str:
    with house.database.read() as db:
        rows = [[str(value) for value in row] for table in (t.buckets, t.events) for row in db.execute(select(table))]
    return json.dumps(rows)


def test_what_a_bucket_is_shown_as(api: Any, organization: Any) -> None:
    made = api.buckets.create(organization, **AZURE)
    assert (made.type, made.endpoint, made.region) == ("azure", "https://rabbithole.blob.core.windows.net", None)
    assert api.buckets.get(organization, made.id) == made
    other = api.buckets.create(organization, **S3)
    assert (other.type, other.endpoint, other.region) == ("s3", "https://s3.example.org", "eu")


def test_secrets_stay_inside(alices: Any, organization: Any, house: House, caplog: pytest.LogCaptureFixture) -> None:
    made = alices.buckets.create(organization, **AZURE)
    other = alices.buckets.create(organization, **S3, session_token="a-passing-token")
    alices.buckets.update(organization, made.id, endpoint=CONNECTION.replace("rabbithole", "lookingglass"))
    alices.buckets.update(organization, other.id, secret_key="another-secret")
    said = repr([alices.buckets.list(organization), alices.buckets.get(organization, made.id)])
    for secret in (KEY, CREDENTIALS["secret_key"], CREDENTIALS["access_key"], "a-passing-token", "another-secret"):
        assert secret not in said
        assert secret not in in_the_database(house)
        assert secret not in caplog.text
    assert "replaced: secret_key" in in_the_database(house)


def test_urls_before_and_after(alices: Any, organization: Any) -> None:
    early = alices.buckets.try_urls(**AZURE)
    assert early.presigned_url.startswith("https://rabbithole.blob.core.windows.net/tea-party/probe/")
    made = alices.buckets.create(organization, **S3)
    kept = alices.buckets.probe_urls(organization, made.id, id=made.id)
    assert kept.download_url.startswith("https://s3.example.org/treacle/probe/")
    tried = alices.buckets.probe_urls(organization, made.id, id=made.id, bucket_name="honey", region=None)
    assert "/honey/" in tried.delete_url
    assert alices.buckets.get(organization, made.id).bucket_name == "treacle"


def test_forms_send_back_what_they_were_shown(alices: Any, organization: Any) -> None:
    """Also the address of an Azure account, which was shown to them without its key."""
    for body in (AZURE, S3):
        made = alices.buckets.create(organization, **body)
        shown = {"endpoint": made.endpoint, "bucket_name": "other-name", "access_key": None, "secret_key": None}
        changed = alices.buckets.update(organization, made.id, **shown)
        assert (changed.endpoint, changed.bucket_name) == (made.endpoint, "other-name")
        assert "sig" in alices.buckets.probe_urls(organization, made.id).download_url.lower()


def test_a_bucket_may_move_to_the_other_kind(alices: Any, organization: Any) -> None:
    made = alices.buckets.create(organization, **S3)
    assert alices.buckets.update(organization, made.id, **AZURE).type == "azure"
    with pytest.raises(Invalid, match="endpoint"):
        alices.buckets.update(organization, made.id, type="azure", endpoint="https://other.blob.core.windows.net")
    moved = alices.buckets.update(organization, made.id, type="s3", endpoint="s3.example.org", bucket_name="public")
    assert moved.type == "s3"
    assert "Signature" not in alices.buckets.probe_urls(organization, made.id).download_url


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"endpoint": "file:///etc/passwd"}, "endpoint"),
        ({"endpoint": "gopher://host"}, "endpoint"),
        ({"endpoint": "https://user:hush@host"}, "endpoint"),
        ({"endpoint": "https://"}, "endpoint"),
        ({"endpoint": "https://host:99999"}, "endpoint"),
        ({"endpoint": "https://host/?x=y"}, "endpoint"),
        ({"endpoint": "https://ho st"}, "endpoint"),
        ({"endpoint": "https://[::1"}, "endpoint"),
        ({"bucket_name": "arn:aws:s3:us-west-2:123456789012:accesspoint/other"}, "bucket_name"),
        ({"bucket_name": "../other"}, "bucket_name"),
        ({"secret_key": None}, "secret_key"),
        ({"access_key": None}, "access_key"),
        ({"type": "azure"}, "endpoint"),
        ({"type": "azure", "endpoint": "UseDevelopmentStorage=true"}, "endpoint"),
        ({"type": "azure", "endpoint": CONNECTION.replace(KEY, "no base64")}, "endpoint"),
        ({"type": "azure", "endpoint": f"{CONNECTION};BlobEndpoint=ftp://host"}, "endpoint"),
        ({"type": "azure", "endpoint": CONNECTION, "bucket_name": "Tea_Party"}, "bucket_name"),
    ],
)
def test_a_place_that_cannot_be(alices: Any, organization: Any, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        alices.buckets.create(organization, **(S3 | changes))
    assert caught.value.problems[0].loc == ["body", field]
    assert "hush" not in str(caught.value) and KEY not in str(caught.value)
    with pytest.raises(Invalid):
        alices.buckets.try_urls(**(S3 | changes))


PRIVATE = ["http://localhost:9000", "http://127.0.0.1", "http://10.1.2.3", "http://169.254.169.254", "http://[::1]:9000",
           "http://[::ffff:10.0.0.1]", "http://0.0.0.0", "http://[64:ff9b::a00:1]", "http://[fd00::1]",
           "http://[64:ff9b:1::a00:1]", "http://[::10.0.0.1]", "http://[fec0::1]",
           "http://[2002:a00:1::1]"]  # fmt: skip


@pytest.mark.parametrize("endpoint", PRIVATE)
def test_private_addresses_can_be_forbidden(
    build_house: Callable[..., House], stage: Stage, organization: Any, endpoint: str
) -> None:
    api = build_house(private_buckets="refuse").api(Credentials(token=stage.cast.alice.api_key))
    account = f"AccountName=abc;AccountKey={KEY};BlobEndpoint={endpoint}"
    for body in (S3 | {"endpoint": endpoint}, AZURE | {"endpoint": account}):
        with pytest.raises(Invalid, match="private addresses"):
            api.buckets.create(organization, **body)
        stage.alice.buckets.create(organization, **body)


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_a_name_that_leads_to_a_private_address(
    build_house: Callable[..., House], stage: Stage, organization: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is harmless; what it stands for is looked at when the connection is made."""
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **named: Any) -> Any:
        return real(
            "127.0.0.1" if host in ("rebinding.example.org", b"rebinding.example.org") else host, *rest, **named
        )

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    api = build_house(private_buckets="refuse").api(Credentials(token=stage.cast.alice.api_key))
    with listening(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, connections):
        endpoint = f"http://rebinding.example.org:{port}"
        account = f"AccountName=abc;AccountKey={KEY};BlobEndpoint={endpoint}"
        body = S3 | {"endpoint": endpoint} if kind == "s3" else AZURE | {"endpoint": account}
        bucket = api.buckets.create(organization, **body)
        with pytest.raises(BucketRefused, match="private addresses"):
            look_into(api, stage, bucket)
        (step,) = api.buckets.probe(organization, bucket.id).steps
        assert "private addresses" in step.detail
        assert connections == []


@contextmanager
def listening(answer: bytes | None = None) -> Iterator[tuple[int, list[socket.socket]]]:
    """A port that takes connections and says nothing, or one thing; gives it and the connections it has seen."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(connection)
                if answer is not None:
                    connection.sendall(answer)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], connections
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in connections:
                connection.close()


def look_into(api: Any, stage: Stage, bucket: Any) -> Any:
    """Report an upload to an orbit that has this bucket, so that the server looks for it."""
    here = stage.cast.here.path
    api.orbits.update(*here, bucket_secret_id=bucket.id)
    collection = stage.path("collection_id")
    made = api.artifacts.create(*collection, **announced())
    return api.artifacts.update(*collection, made.artifact.id, status="uploaded")


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_a_silent_bucket_is_not_waited_for_long(
    alices: Any, stage: Stage, organization: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SECONDS", 0.5)
    with listening() as (port, connections):
        account = f"AccountName=abc;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:{port}"
        body = S3 | {"endpoint": f"http://127.0.0.1:{port}"} if kind == "s3" else AZURE | {"endpoint": account}
        bucket = alices.buckets.create(organization, **body)
        with pytest.raises(Unavailable, match="does not answer"):
            look_into(alices, stage, bucket)
        assert len(connections) == 1
        with pytest.raises(Unavailable, match="does not answer"):
            look_into(alices, stage, bucket)
        assert len(connections) == 1, "who comes right after does not wait, too"


def test_one_tenants_silent_bucket_is_nobody_elses_trouble(
    stage: Stage, server: RunningServer, moto: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many report uploads to a bucket that takes connections and never answers; others read, and upload elsewhere."""
    monkeypatch.setattr(remote, "SECONDS", 60.0)
    charlie = Client(server.address, stage.cast.charlie.api_key)
    home = charlie.organizations.list()[0].id
    good = charlie.buckets.create(home, **moto.body)
    there = (home, charlie.orbits.create(home, name="Elsewhere", bucket_secret_id=good.id).id)
    collection = (*there, charlie.collections.create(*there, name="Models", type="model").id)
    here, alice = stage.path("collection_id"), stage.alice
    with listening() as (port, connections), ThreadPoolExecutor(MANY) as pool:
        silent = alice.buckets.create(here[0], **(S3 | {"endpoint": f"http://127.0.0.1:{port}"}))
        alice.orbits.update(*here[:2], bucket_secret_id=silent.id)
        ids = [alice.artifacts.create(*here, **announced(name=f"{n}")).artifact.id for n in range(MANY)]

        def report(artifact_id: Any) -> int:
            path = "/v1/organizations/{}/orbits/{}/collections/{}/artifacts/{}".format(*here, artifact_id)
            key = {"Authorization": f"Bearer {stage.cast.alice.api_key}"}
            body = {"status": "uploaded"}
            return httpx.patch(server.address + path, json=body, headers=key, timeout=60).status_code

        reports = [pool.submit(report, one) for one in ids]
        until(lambda: len(connections) == LOOKS_AT_ONCE, "the bucket is asked")
        for n in range(10):
            made = charlie.artifacts.create(*collection, **announced(name=f"{n}"))
            httpx.put(made.upload_details.url, content=b"a model").raise_for_status()
            assert charlie.artifacts.update(*collection, made.artifact.id, status="uploaded").status == "uploaded"
            assert charlie.artifacts.get(*collection, made.artifact.id).size == 7
        assert not any(one.done() for one in reports)
        pool_of_connections: Any = server.house.database.engine.pool
        until(lambda: pool_of_connections.checkedout() == 0, "nobody waits with a connection in hand")
        assert len(connections) == LOOKS_AT_ONCE
        for connection in until(lambda: connections, "they are there"):
            connection.close()
        monkeypatch.setattr(remote, "SECONDS", 0.2)
        assert {one.result(60) for one in reports} == {503}
    charlie.close()


def test_few_probes_run_at_once(alices: Any, organization: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody tries a bucket that never answers, many times at once; that holds a few threads of the server."""
    monkeypatch.setattr(requests, "SECONDS", 5.0)
    with listening() as (port, connections):
        bucket = alices.buckets.create(organization, **(S3 | {"endpoint": f"http://127.0.0.1:{port}"}))
        answers = together(lambda _: alices.buckets.probe(organization, bucket.id))
        assert len(connections) == PROBES_AT_ONCE
    assert answers.count(Unavailable) == MANY - PROBES_AT_ONCE


def test_a_service_that_is_something_else(alices: Any, stage: Stage, organization: Any) -> None:
    """What answers there may be none of the tenant's business, so that its words are not repeated."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\nConnection: close\r\n\r\n<html>inside</html>\r\n"
    with listening(answer) as (port, _):
        bucket = alices.buckets.create(organization, **(S3 | {"endpoint": f"http://127.0.0.1:{port}"}))
        report = alices.buckets.probe(organization, bucket.id)
        assert not report.ok
        assert "inside" not in repr(report)


def test_wrong_credentials(alices: Any, stage: Stage, organization: Any, azurite: Service, rclone: Service) -> None:
    for service in (rclone, azurite):
        wrong = dict(service.body)
        if "secret_key" in wrong:
            wrong["secret_key"] = "wrong"
        else:
            wrong["endpoint"] = wrong["endpoint"].replace("AccountKey=", "AccountKey=AAAA")
        bucket = alices.buckets.create(organization, **wrong)
        with pytest.raises(Conflict, match="refuses the stored credentials"):
            look_into(alices, stage, bucket)
        report = alices.buckets.probe(organization, bucket.id)
        assert [(step.name, step.ok) for step in report.steps] == [("write", False)]
        assert not report.ok
        right = {name: value for name, value in service.body.items() if name in ("secret_key", "endpoint")}
        alices.buckets.update(organization, bucket.id, **right)
        assert alices.buckets.probe(organization, bucket.id).steps[0].ok


@pytest.mark.parametrize("name", ["moto", "azurite", "rclone"])
def test_a_probe_tells_what_works(api: Any, organization: Any, name: str, request: pytest.FixtureRequest) -> None:
    service: Service = request.getfixturevalue(name)
    bucket = api.buckets.create(organization, **service.body)
    report = api.buckets.probe(organization, bucket.id)
    needed = {"write": True, "read": True, "range": service.ranges, "multipart": True, "delete": True}
    cors = service.open_to_every_page
    assert {step.name: step.ok for step in report.steps} == {**needed, "cors": cors}
    assert report.ok == service.ranges
    assert all(step.detail.endswith(".") for step in report.steps)
    if cors:
        assert report.cors is None
    else:
        assert report.cors and all(api.address in text for text in report.cors.values())


def test_the_advice_is_what_the_bucket_takes(alices: Any, organization: Any, moto: Service, azurite: Service) -> None:
    """Azurite believes it at once; moto keeps what S3 would keep, and is open to every page anyhow."""
    from luml_app.storage.cors import cors_advice

    bucket = alices.buckets.create(organization, **azurite.body)
    with azurite.allowing(alices.address):
        report = alices.buckets.probe(organization, bucket.id)
    assert (report.steps[-1].ok, report.cors) == (True, None)
    rules = json.loads(cors_advice("s3", "https://luml.example.org")["json"])
    client, name = s3_client(moto.body), moto.body["bucket_name"]
    client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})
    assert client.get_bucket_cors(Bucket=name)["CORSRules"] == rules


def test_a_probe_leaves_nothing(alices: Any, organization: Any, moto: Service) -> None:
    bucket = alices.buckets.create(organization, **moto.body)
    alices.buckets.probe(organization, bucket.id)
    client, name = s3_client(moto.body), moto.body["bucket_name"]
    assert not [one for one in client.list_objects_v2(Bucket=name).get("Contents", []) if "probe/" in one["Key"]]
    assert not client.list_multipart_uploads(Bucket=name).get("Uploads", [])


def test_the_built_in_store_passes_its_own_probe(server: Any, alices: Any, stage: Stage) -> None:
    report = alices.buckets.probe(stage.cast.here.organization_id, stage.cast.here.bucket_id)
    assert report.ok, report
    assert report.cors is None
    assert httpx.get(f"{server.address}/healthz").status_code == 200
