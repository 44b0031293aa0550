"""The wire itself: bad input, sizes, headers, other sites, and what a person meets who signs in."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from luml_app.core.scope import Credentials
from luml_app.web.house import House
from tests.api.stage import SATELLITE_TOKEN, Stage, announced
from tests.cast import PASSWORD, Cast, Person
from tests.serving import RunningServer, until


@pytest.fixture
def anyone(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60) as http:
        yield http


@pytest.fixture
def http(server: RunningServer, alice: Person) -> Iterator[httpx.Client]:
    """Alice, with her key."""
    headers = {"Authorization": f"Bearer {alice.api_key}", "Content-Type": "application/json"}
    with httpx.Client(base_url=server.address, headers=headers, timeout=60) as client:
        yield client


def collections_of(cast: Cast) -> str:
    return f"/v1/organizations/{cast.here.organization_id}/orbits/{cast.here.orbit_id}/collections"


@pytest.mark.parametrize("name", ["as_of", "filter", "sha256", "since", "until"])
def test_a_parameter_that_narrows_is_never_ignored(http: httpx.Client, cast: Cast, name: str) -> None:
    answer = http.get(collections_of(cast), params={name: "2026-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", name])
    assert "collections.list does not take this parameter" in answer.json()["detail"][0]["msg"]


def test_other_parameters_that_mean_nothing_are_ignored_as_older_clients_expect(http: httpx.Client, cast: Cast) -> None:
    assert http.get(collections_of(cast), params={"_": "1700000000"}).status_code == 200


class TestBadInput:
    @pytest.mark.parametrize(
        ("raw", "loc"),
        [
            (b"", ["body"]),
            (b"{", ["body"]),
            (b"nonsense", ["body"]),
            (b"[]", ["body"]),
            (b"null", ["body"]),
            (b'{"type": "model"}', ["body", "name"]),
            (b'{"name": 1, "type": "model"}', ["body", "name"]),
            (b'{"name": "", "type": "model"}', ["body", "name"]),
            (b'{"name": "x", "type": "song"}', ["body", "type"]),
            (b'{"name": "x", "type": "model", "tags": ["a", 1]}', ["body", "tags", 1]),
            (b'{"name": "a\\u0000b", "type": "model"}', ["body", "name"]),
            (b'{"name": "a\x00b", "type": "model"}', ["body"]),
            (b'{"name": "\xff\xfe", "type": "model"}', None),
            (b'{"name": "\\ud800", "type": "model"}', None),
            (b'{"name": "x", "type": "model", "tags": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
            (b"[" * 1_000_000, None),
        ],
    )
    def test_a_body_that_cannot_be_understood(self, http: httpx.Client, cast: Cast, raw: bytes, loc: Any) -> None:
        answer = http.post(collections_of(cast), content=raw)
        assert answer.status_code == 422, answer.text
        (problem,) = answer.json()["detail"]
        assert problem["msg"]
        if loc is not None:
            assert problem["loc"] == loc
        assert http.get("/v1/auth/users/me").status_code == 200

    def test_deep_json_where_anything_may_stand(self, http: httpx.Client, stage: Stage) -> None:
        path = f"{collections_of(stage.cast)}/{stage.ids['collection_id']}/artifacts"
        for depth in (10, 300, 900, 5_000, 200_000):
            body = json.dumps(announced()).replace('{"accuracy": 0.9}', '{"a": ' * depth + "1" + "}" * depth)
            answer = http.post(path, content=body)
            assert answer.status_code in ({200} if depth == 10 else {200, 400, 422}), (depth, answer.text[:300])
            assert http.get(path.replace("/collections/" + path.split("/")[-2], "")).status_code == 200

    def test_what_only_looks_like_a_nul_is_kept(self, http: httpx.Client, cast: Cast) -> None:
        text = "a \\u0000 written out, and \\\\u0000"
        answer = http.post(collections_of(cast), json={"name": text, "type": "model"})
        assert (answer.status_code, answer.json()["name"]) == (200, text)

    def test_a_nul_anywhere_is_named(self, http: httpx.Client, stage: Stage) -> None:
        path = f"{collections_of(stage.cast)}/{stage.ids['collection_id']}/artifacts"
        for change, loc in (
            ({"extra_values": {"a": [{"b": "\0"}]}}, ["body", "extra_values", "a", "b"]),
            ({"file_index": {"a\0": [0, 1]}}, ["body", "file_index", "a\0"]),
            ({"tags": ["\0"]}, ["body", "tags"]),
        ):
            answer = http.post(path, json=announced(**change))
            assert answer.status_code == 422
            assert answer.json()["detail"][0]["loc"] == loc

    def test_queries_and_paths(self, http: httpx.Client, cast: Cast) -> None:
        path = collections_of(cast)
        assert http.get(f"{path}?search=%00").status_code == 422
        assert http.get(f"{path}?search=%ff").json()["detail"][0]["loc"] == ["query", "search"]
        assert http.get(f"{path}?limit=1&limit=2").status_code == 200
        assert http.get(f"{path}?sort_by=%00").status_code == 422
        for unknown in ("%00", "%ff", "x" * 3000, "..%2f..", "0" * 36, "{}"):
            answer = http.get(f"{path}/{unknown}")
            assert answer.status_code in {400, 404}, unknown
            assert isinstance(answer.json()["detail"], str)
        metric = http.get(path.replace("collections", "artifacts"), params={"sort_by": "'; DROP TABLE users; --"})
        assert metric.status_code == 200

    def test_numbers_out_of_range(self, http: httpx.Client, stage: Stage) -> None:
        path = f"{collections_of(stage.cast)}/{stage.ids['collection_id']}/artifacts"
        for change in ({"size": 2**63}, {"size": 10**30}, {"size": 1e400}, {"file_index": {"a": [2**70, 1]}}):
            body = json.dumps(announced(**change)).replace("Infinity", "1e400")
            assert http.post(path, content=body).status_code in {200, 422}, change
        report = {"generation": 2**40, "status": "active"}
        headers = {"Authorization": f"Bearer {SATELLITE_TOKEN}"}
        answer = http.patch(f"/satellites/v1/deployments/{stage.ids['deployment_id']}", json=report, headers=headers)
        assert answer.status_code in {409, 422}

    def test_a_body_too_large_is_refused_before_it_is_read(self, http: httpx.Client, cast: Cast) -> None:
        memory = psutil.Process().memory_info().rss
        piece = b" " * 2**20

        def pieces() -> Iterator[bytes]:
            for _ in range(100):
                yield piece

        for body in ({"content": pieces()}, {"content": pieces(), "headers": {"Content-Length": str(100 * 2**20)}}):
            try:
                answer = http.post(collections_of(cast), **body)  # type: ignore[arg-type]
            except httpx.TransportError:
                continue  # the server closed while we were still sending: it did not read on
            assert answer.status_code == 413
            assert "LUML_MAX_BODY_BYTES" in answer.json()["detail"]
        assert psutil.Process().memory_info().rss - memory < 80 * 2**20
        assert http.get("/v1/auth/users/me").status_code == 200

    def test_the_refusal_of_a_large_body_can_be_read(self, server: RunningServer, cast: Cast) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
            head = f"POST {collections_of(cast)} HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n"
            plain.sendall(head.encode())
            answer = plain.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"Connection: close" in answer
        assert b'"detail"' in answer


class TestConnection:
    def test_a_busy_port_is_one_clear_sentence(self, server: RunningServer, build_house: Any) -> None:
        from luml_app.schemas.errors import ConfigurationError
        from luml_app.web.server import Server

        with pytest.raises(ConfigurationError, match=rf"Cannot listen on 127.0.0.1:{server.port}: .*--port"):
            Server(build_house(port=server.port), role="api").start()

    def test_health_and_facts(self, anyone: httpx.Client, house: House) -> None:
        assert anyone.get("/healthz").json() == {"status": "ok"}
        assert anyone.get("/readyz").json() == {"status": "ready"}
        for path in ("/healthz", "/readyz"):  # as load balancers ask
            answer = anyone.head(path)
            assert (answer.status_code, answer.content) == (200, b"")
        assert anyone.get("/version").json()["version"]
        assert "luml_requests_total" in anyone.get("/metrics").text
        assert anyone.get("/openapi.json").json()["info"]["title"] == "LUML"

    def test_the_reference_needs_no_other_host(self, anyone: httpx.Client) -> None:
        page = anyone.get("/docs/api")
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert not address.startswith(("http:", "https:", "//"))
            assert address == "/app" or anyone.get(address).status_code == 200, address

    def test_answers_are_private_and_plain(self, http: httpx.Client) -> None:
        for answer in (http.get("/v1/auth/users/me"), http.get("/v1/nothing"), http.get("/elsewhere")):
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Type"] == "application/json"
            assert "Server" not in answer.headers

    def test_a_fault_of_ours_is_logged_and_not_told(
        self, http: httpx.Client, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        from sqlalchemy import text

        with house.database.write() as db:
            db.execute(text("ALTER TABLE organizations RENAME COLUMN logo TO emblem"))
        answer = http.get("/v1/users/me/organizations")
        assert (answer.status_code, answer.json()["code"]) == (500, "server_fault")
        assert "emblem" not in answer.text
        assert "organizations.list failed" in caplog.text


class TestSigningIn:
    @pytest.fixture
    def form(self, alice: Person) -> dict[str, str]:
        return {"email": alice.email.upper(), "password": PASSWORD}

    @pytest.fixture
    def signed_in(self, anyone: httpx.Client, form: dict[str, str]) -> httpx.Client:
        assert anyone.post("/v1/auth/signin", json=form).status_code == 200
        return anyone

    def test_the_cookies_are_well_kept(self, anyone: httpx.Client, form: dict[str, str]) -> None:
        answer = anyone.post("/v1/auth/signin", json=form)
        cookies = answer.headers.get_list("Set-Cookie")
        assert sorted(cookie.partition("=")[0] for cookie in cookies) == ["access_token", "refresh_token"]
        for cookie in cookies:
            assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
            assert "Secure" not in cookie
        assert anyone.cookies["access_token"] not in answer.text

    @pytest.mark.parametrize("public_url", ["https://luml.example", "http://luml.example", None])
    def test_over_https_they_are_secure(
        self,
        build_house: Callable[..., House],
        start_server: Callable[..., RunningServer],
        form: dict[str, str],
        public_url: str | None,
    ) -> None:
        """What the caller says of the way to the server counts only where a proxy stands in front."""
        server = start_server(build_house(public_url=public_url), role="api")
        said = {"X-Forwarded-Proto": "https"}
        answer = httpx.post(f"http://127.0.0.1:{server.port}/v1/auth/signin", json=form, headers=said)
        assert {"Secure" in cookie for cookie in answer.headers.get_list("Set-Cookie")} == {public_url is not None}

    def test_a_session_from_beginning_to_end(self, signed_in: httpx.Client, alice: Person) -> None:
        assert signed_in.get("/v1/auth/users/me").json()["email"] == alice.email
        first = dict(signed_in.cookies)
        assert signed_in.post("/v1/auth/refresh").status_code == 200
        assert signed_in.cookies["access_token"] != first["access_token"]
        assert signed_in.get("/v1/auth/users/me").status_code == 200
        second = dict(signed_in.cookies)
        assert signed_in.post("/v1/auth/logout").status_code == 200
        assert not signed_in.cookies
        for cookies in (first, second):
            assert httpx.get(f"{signed_in.base_url}/v1/auth/users/me", cookies=cookies).status_code == 401

    def test_a_session_ends_with_its_bearer_token_too(self, signed_in: httpx.Client) -> None:
        token = signed_in.cookies["access_token"]
        signed_in.cookies.clear()
        bearer = {"Authorization": f"Bearer {token}"}
        assert signed_in.get("/v1/auth/users/me", headers=bearer).status_code == 200
        signed_in.post("/v1/auth/logout", headers=bearer)
        assert signed_in.get("/v1/auth/users/me", headers=bearer).status_code == 401

    def test_a_new_password_ends_every_session(self, signed_in: httpx.Client, form: dict[str, str]) -> None:
        changed = signed_in.patch("/v1/auth/users/me", json={"password": "curiouser and curiouser"})
        assert changed.status_code == 200
        assert signed_in.get("/v1/auth/users/me").status_code == 401
        assert signed_in.post("/v1/auth/signin", json=form).status_code == 401

    def test_nobody_learns_who_has_an_account(self, anyone: httpx.Client, form: dict[str, str]) -> None:
        wrong = anyone.post("/v1/auth/signin", json=form | {"password": "wrong password"})
        nobody = anyone.post("/v1/auth/signin", json=form | {"email": "nobody@example.org"})
        assert (wrong.status_code, wrong.json()) == (nobody.status_code, nobody.json())
        assert wrong.status_code == 401

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"Origin": "{own}"}, 200),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}, 403),
        ],
    )
    def test_another_site_cannot_write_by_the_cookies(
        self, signed_in: httpx.Client, headers: dict[str, str], status: int
    ) -> None:
        own = str(signed_in.base_url).rstrip("/")
        sent = {name: value.replace("{own}", own) for name, value in headers.items()}
        assert signed_in.post("/v1/organizations", json={"name": "X"}, headers=sent).status_code == status
        assert signed_in.get("/v1/auth/users/me", headers=sent).status_code == 200

    def test_another_site_cannot_sign_somebody_in(self, anyone: httpx.Client, form: dict[str, str]) -> None:
        evil = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        assert anyone.post("/v1/auth/signin", content=json.dumps(form), headers=evil).status_code == 403
        assert anyone.post("/login", data=form, headers={"Origin": "https://evil.example"}).status_code == 403
        assert not anyone.cookies

    def test_another_site_cannot_begin_a_deletion(self, signed_in: httpx.Client, stage: Stage) -> None:
        path = f"{collections_of(stage.cast)}/{stage.ids['collection_id']}/artifacts/{stage.spare.id}/delete-url"
        assert signed_in.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert stage.alice.artifacts.list(*stage.path(), search="Hatter").items[0].status == "uploaded"

    def test_a_key_needs_no_origin(self, http: httpx.Client) -> None:
        answer = http.post("/v1/organizations", json={"name": "X"}, headers={"Origin": "https://notebook.example"})
        assert answer.status_code == 200


class TestLoginPage:
    def test_the_form_signs_in_and_leads_on(self, anyone: httpx.Client, alice: Person) -> None:
        page = anyone.get("/login", params={"next": "/app/orbits?tab=1"})
        assert page.status_code == 200
        action = re.search(r'action="([^"]+)"', page.text).group(1).replace("&amp;", "&")
        answer = anyone.post(action, data={"email": alice.email, "password": PASSWORD})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/app/orbits?tab=1")
        assert anyone.get("/v1/auth/users/me").status_code == 200

    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "javascript:alert(1)",
            "http:evil.example",
            "/%5cevil.example",
            "app",
            "/ok\r\nX-Evil: 1",
        ],
    )
    def test_nobody_is_sent_to_another_site(self, anyone: httpx.Client, alice: Person, target: str) -> None:
        form = {"email": alice.email, "password": PASSWORD}
        answer = anyone.post(f"/login?next={quote(target, safe='')}", data=form)
        assert answer.status_code == 302
        assert answer.headers["Location"] in {"/app", "/%5cevil.example"}
        assert "X-Evil" not in answer.headers

    def test_what_is_typed_comes_back_as_text(self, anyone: httpx.Client) -> None:
        typed = '"><script>alert(1)</script>@x'
        answer = anyone.post("/login", data={"email": typed, "password": "wrong"})
        assert answer.status_code == 401
        assert "<script>alert" not in answer.text
        assert (
            "script-src" in answer.headers["Content-Security-Policy"]
            or "default-src 'self'" in answer.headers["Content-Security-Policy"]
        )
        assert 'role="alert"' in answer.text

    @pytest.mark.parametrize(
        "form", [{}, {"email": "x"}, {"email": "a\0@b", "password": "\0"}, {"password": "x" * 200}]
    )
    def test_half_a_form(self, anyone: httpx.Client, form: dict[str, str]) -> None:
        answer = anyone.post("/login", data=form)
        assert answer.status_code == 401
        assert 'role="alert"' in answer.text

    def test_a_link_signs_in_once(self, anyone: httpx.Client, stage: Stage) -> None:
        link = stage.alice.auth.create_link().path
        answer = anyone.get(link)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/app")
        assert anyone.get("/v1/auth/users/me").json()["email"] == stage.cast.alice.email
        anyone.cookies.clear()
        assert anyone.get(link).status_code == 401
        assert not anyone.cookies

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_nobody_is_signed_in_or_out_by_a_page_elsewhere(
        self, anyone: httpx.Client, stage: Stage, alice: Person, site: str
    ) -> None:
        anyone.post("/login", data={"email": alice.email, "password": PASSWORD})
        mallorys, led = (
            stage.house.api(Credentials(user_id=stage.cast.bob.id)).auth.create_link().path,
            {"Sec-Fetch-Site": site},
        )
        for path in (mallorys, "/logout"):
            answer = anyone.get(path, headers=led)
            assert (answer.status_code, f'href="{path}"' in answer.text) == (200, True)
            assert anyone.get("/v1/auth/users/me").json()["email"] == alice.email
        # Who has read the page, and goes on, comes from here.
        anyone.get(mallorys, headers={"Sec-Fetch-Site": "same-origin"})
        assert anyone.get("/v1/auth/users/me").json()["email"] == "bob@example.org"

    def test_a_refresh_token_signs_in_quietly(self, anyone: httpx.Client, alice: Person) -> None:
        anyone.post("/login", data={"email": alice.email, "password": PASSWORD})
        anyone.cookies.delete("access_token")
        assert anyone.get("/login?next=/app/x").headers["Location"] == "/app/x"
        assert anyone.get("/v1/auth/users/me").status_code == 200

    def test_signing_out(self, anyone: httpx.Client, alice: Person) -> None:
        anyone.post("/login", data={"email": alice.email, "password": PASSWORD})
        token = anyone.cookies["access_token"]
        assert anyone.get("/logout").headers["Location"] == "/login"
        assert not anyone.cookies
        bearer = {"Authorization": f"Bearer {token}"}
        assert anyone.get("/v1/auth/users/me", headers=bearer).status_code == 401


def test_the_database_goes_away_and_comes_back(http: httpx.Client, server: RunningServer, house: House) -> None:
    """Every connection is cut at once, as a restart does it."""
    from sqlalchemy import text

    assert http.get("/v1/auth/users/me").status_code == 200
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with house.database.read() as db:
        db.execute(cut)
    statuses = [http.get("/v1/auth/users/me").status_code for _ in range(3)]
    assert set(statuses) <= {200, 503}
    until(lambda: http.get("/v1/auth/users/me").status_code == 200, "the server answers again")
    assert http.get("/readyz").status_code == 200
