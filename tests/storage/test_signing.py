"""Addresses: nobody makes one up, changes one, or uses one after its time."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luml_app.schemas.errors import ConfigurationError
from luml_app.storage.errors import AccessDenied
from luml_app.storage.local import LocalStorage
from luml_app.storage.parts import Part
from luml_app.storage.signing import SigningKey, UrlSigner

from .conftest import LIFETIME, StoreServer

PATH = "/store/team-bucket/a/größe 1.luml"
OLD, NEW = (SigningKey(name, secrets.token_bytes(32)) for name in ("old", "new"))
NOW = 1_800_000_000.0


def signer(*keys: SigningKey, now: float = NOW) -> UrlSigner:
    return UrlSigner(keys or (OLD,), lambda: now)


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def test_a_signed_address_is_admitted_with_its_parameters() -> None:
    parameters = {"partNumber": "3", "uploadId": "u&x=1", "uploads": ""}
    url = signer().signed_url("https://host/prefix/", "PUT", PATH, 60, parameters)
    assert url.startswith("https://host/prefix" + quote(PATH))
    assert signer().verify("PUT", PATH, urlsplit(url).query) == parameters


def test_expiry_by_the_clock() -> None:
    query = urlsplit(signer().signed_url("", "GET", PATH, 60)).query
    signer(now=NOW + 59.9).verify("GET", PATH, query)
    with pytest.raises(AccessDenied, match="expired"):
        signer(now=NOW + 60).verify("GET", PATH, query)


def test_get_admits_head_and_nothing_else_does() -> None:
    def admitted(signed: str, used: str) -> bool:
        query = urlsplit(signer().signed_url("", signed, PATH, 60)).query
        try:
            signer().verify(used, PATH, query)
        except AccessDenied:
            return False
        return True

    methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
    pairs = {(signed, used) for signed in methods for used in methods if admitted(signed, used)}
    assert pairs == {("GET", "GET"), ("GET", "HEAD"), ("PUT", "PUT"), ("POST", "POST"), ("DELETE", "DELETE")}


def test_keys_are_rotated_without_breaking_addresses() -> None:
    before = signer(OLD).signed_url("", "GET", PATH, 60)
    both = signer(NEW, OLD)
    both.verify("GET", PATH, urlsplit(before).query)
    after = both.signed_url("", "GET", PATH, 60)
    assert query_of(after)["X-Luml-KeyId"] == "new"
    with pytest.raises(AccessDenied):
        signer(NEW).verify("GET", PATH, urlsplit(before).query)


def test_a_key_is_not_taken_for_another() -> None:
    query = query_of(signer(OLD).signed_url("", "GET", PATH, 60)) | {"X-Luml-KeyId": "new"}
    with pytest.raises(AccessDenied):
        signer(NEW, OLD).verify("GET", PATH, urlencode(query))


@given(st.text(max_size=60))
def test_no_query_is_admitted_by_chance(query: str) -> None:
    with pytest.raises(AccessDenied):
        signer().verify("GET", PATH, query)


@given(expires=st.text(max_size=20), key_id=st.text(max_size=5), signature=st.text(max_size=70))
def test_no_values_are_admitted_by_chance(expires: str, key_id: str, signature: str) -> None:
    values = {"X-Luml-Expires": expires, "X-Luml-KeyId": key_id or "old", "X-Luml-Signature": signature}
    with pytest.raises(AccessDenied):
        signer().verify("GET", PATH, urlencode(values, errors="surrogatepass"))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ([], "at least one"),
        ([("k", b"short")], "32 bytes"),
        ([("k", b"x" * 32), ("k", b"y" * 32)], "id of its own"),
        ([("a b", b"x" * 32)], "letters"),
    ],
)
def test_keys_that_are_none(keys: list[tuple[str, bytes]], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        UrlSigner([SigningKey(*key) for key in keys])


def test_a_secret_is_not_printed() -> None:
    assert repr(OLD.secret)[2:10] not in repr(OLD)


# Through the server


def part_url(bucket: LocalStorage, key: str) -> str:
    return bucket.part_urls(key, "0" * 32, [Part(1, 0, 0, 1)], LIFETIME)[0]


def changed(url: str, **values: str | None) -> str:
    split = urlsplit(url)
    query = dict(parse_qsl(split.query, keep_blank_values=True))
    query |= {name.replace("_", "-"): value for name, value in values.items() if value is not None}
    kept = {name: value for name, value in query.items() if values.get(name.replace("-", "_"), "") is not None}
    return urlunsplit(split._replace(query=urlencode(kept)))


@pytest.mark.parametrize(
    "change",
    [
        {"partNumber": "2"},
        {"partNumber": None},
        {"uploadId": "1" * 32},
        {"uploadId": None},
        {"partNumber": None, "uploadId": None},
        {"uploads": ""},
        {"response-content-disposition": "inline"},
        {"X-Luml-Expires": "99999999999"},
        {"X-Luml-Expires": "-1"},
        {"X-Luml-Expires": None},
        {"X-Luml-KeyId": "k2"},
        {"X-Luml-KeyId": None},
        {"X-Luml-Signature": "0" * 64},
        {"X-Luml-Signature": "ü"},
        {"X-Luml-Signature": ""},
        {"X-Luml-Signature": None},
    ],
    ids=str,
)
def test_no_part_of_a_query_can_be_changed(
    http: httpx.Client, bucket: LocalStorage, key: str, change: dict[str, str | None]
) -> None:
    url = changed(part_url(bucket, key), **{name.replace("-", "_"): value for name, value in change.items()})
    denied(http.put(url, content=b"x"))


def denied(answer: httpx.Response) -> None:
    assert answer.status_code == 403
    assert b"<Code>AccessDenied</Code>" in answer.content


def test_no_part_of_a_path_can_be_changed(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    url = bucket.upload_url(key, LIFETIME)
    for other in (url.replace("/team-bucket/", "/other-bucket/"), url.replace("model.luml", "other.luml")):
        assert other != url
        denied(http.put(other, content=b"x"))
    assert bucket.stat(key) is None


def test_a_parameter_cannot_be_given_twice(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    denied(http.put(part_url(bucket, key) + "&partNumber=2", content=b"x"))


def test_an_address_serves_its_method_only(http: httpx.Client, bucket: LocalStorage, key: str) -> None:
    http.put(bucket.upload_url(key, LIFETIME), content=b"data").raise_for_status()
    denied(http.delete(bucket.download_url(key, LIFETIME)))
    denied(http.put(bucket.download_url(key, LIFETIME), content=b"x"))
    denied(http.get(bucket.upload_url(key, LIFETIME)))
    denied(http.request("PATCH", bucket.upload_url(key, LIFETIME)))
    assert bucket.read(key, 0, 9) == b"data"


def test_nothing_without_a_signature(http: httpx.Client, server: StoreServer) -> None:
    denied(http.get(f"{server.base_url}/store/team-bucket/key"))
    assert http.head(f"{server.base_url}/store/team-bucket/key").status_code == 403


def test_the_server_looks_at_the_clock(http: httpx.Client, fresh_server: StoreServer) -> None:
    bucket = fresh_server.bucket()
    url = bucket.upload_url("key", 60)
    http.put(url, content=b"in time").raise_for_status()
    fresh_server.clock.ahead = 61
    answer = http.put(url, content=b"too late")
    denied(answer)
    assert b"expired" in answer.content
    assert bucket.read("key", 0, 99) == b"in time"
