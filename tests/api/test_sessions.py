"""Sessions: rotation, theft, and looking after them; API keys that open less than everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.core.keys import new_token
from luml_app.core.resolving import BEYOND_ONE_ORBIT
from luml_app.core.scope import Credentials
from luml_app.core.throttle import KEYS, SIGN_IN
from luml_app.jobs.chores import Errand
from luml_app.resources.pruning import KEPT, prune_accounts
from luml_app.resources.sessions import device_of
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, LumlError, NotFound, Unauthenticated
from luml_app.web.house import House
from tests.api.cases import OPERATIONS, request_of
from tests.api.stage import SATELLITE_TOKEN, Stage
from tests.cast import PASSWORD, Cast
from tests.serving import RunningServer

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def sign_in(server: RunningServer, cast: Cast) -> Iterator[Callable[..., httpx.Client]]:
    """Opens browsers in which Alice is signed in."""
    opened: list[httpx.Client] = []

    def build(agent: str = FIREFOX) -> httpx.Client:
        http = httpx.Client(base_url=server.address, headers={"User-Agent": agent}, timeout=60)
        opened.append(http)
        body = {"email": cast.alice.email, "password": PASSWORD}
        assert http.post("/v1/auth/signin", json=body).status_code == 200
        return http

    yield build
    for one in opened:
        one.close()


def later(house: House, seconds: float) -> None:
    """Let so much time pass for what has been used."""
    with house.database.write() as db:
        db.execute(update(t.session_tokens).values(used_at=t.session_tokens.c.used_at - timedelta(seconds=seconds)))


def refresh(server: RunningServer, token: str) -> httpx.Response:
    with httpx.Client(base_url=server.address, cookies={"refresh_token": token}, timeout=60) as http:
        return http.post("/v1/auth/refresh")


class TestRotation:
    def test_of_twenty_at_once_one_gets_the_new_pair_and_the_session_ends(
        self, server: RunningServer, sign_in: Callable[..., httpx.Client], house: House
    ) -> None:
        http = sign_in()
        token = http.cookies["refresh_token"]
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: refresh(server, token), range(20)))
        assert Counter(one.status_code for one in answers) == {200: 1, 401: 19}
        (won,) = (one for one in answers if one.status_code == 200)
        assert all("set-cookie" not in one.headers for one in answers if one is not won)
        with house.database.read() as db:
            assert db.scalar(select(func.count()).where(t.session_tokens.c.kind == "refresh")) == 2
        assert refresh(server, won.cookies["refresh_token"]).status_code == 401

    def test_a_token_that_comes_again_ends_its_session(
        self, server: RunningServer, sign_in: Callable[..., httpx.Client], house: House
    ) -> None:
        http, other = sign_in(), sign_in()
        stolen = http.cookies["refresh_token"]
        assert http.post("/v1/auth/refresh").status_code == 200
        assert refresh(server, stolen).status_code == 401
        assert http.get("/v1/auth/users/me").status_code == 401
        assert http.post("/v1/auth/refresh").status_code == 401
        assert other.get("/v1/auth/users/me").status_code == 200, "another session is none of its family"
        with house.database.read() as db:
            assert db.scalar(select(func.count()).where(t.events.c.action == "user.signout")) == 1


class TestLookingAfterSessions:
    def test_they_are_listed_and_this_one_is_marked(self, sign_in: Callable[..., httpx.Client]) -> None:
        http, _ = sign_in(), sign_in("curl/8.5")
        found = http.get("/v1/auth/sessions").json()
        assert sorted((one["device"], one["current"]) for one in found) == [("Firefox on Linux", True), ("curl", False)]
        assert all(one["ip"] == "127.0.0.1" and one["last_used_at"] for one in found)

    def test_one_is_ended_or_all_others(self, sign_in: Callable[..., httpx.Client]) -> None:
        here, there, elsewhere = sign_in(), sign_in("curl/8.5"), sign_in("Safari/1")
        (curl,) = (one["id"] for one in here.get("/v1/auth/sessions").json() if one["device"] == "curl")
        assert here.delete(f"/v1/auth/sessions/{curl}").status_code == 204
        assert there.get("/v1/auth/users/me").status_code == 401
        assert here.delete("/v1/auth/sessions").status_code == 204
        assert elsewhere.get("/v1/auth/users/me").status_code == 401
        assert [one["current"] for one in here.get("/v1/auth/sessions").json()] == [True]

    def test_somebody_elses_cannot_be_ended(self, sign_in: Callable[..., httpx.Client], stage: Stage) -> None:
        http = sign_in()
        mine = http.get("/v1/auth/sessions").json()[0]["id"]
        with pytest.raises(NotFound):
            stage.house.api(Credentials(token=stage.cast.charlie.api_key)).sessions.delete(mine)
        assert http.get("/v1/auth/users/me").status_code == 200

    def test_a_new_password_ends_all(self, sign_in: Callable[..., httpx.Client]) -> None:
        here, there = sign_in(), sign_in()
        assert here.patch("/v1/auth/users/me", json={"password": "through the glass"}).status_code == 200
        assert [one.get("/v1/auth/users/me").status_code for one in (here, there)] == [401, 401]

    def test_it_is_noted_when_a_session_was_used(self, sign_in: Callable[..., httpx.Client], house: House) -> None:
        http, s = sign_in(), t.sessions
        ago = datetime.now(UTC) - timedelta(hours=1)
        with house.database.write() as db:
            db.execute(update(s).values(last_used_at=ago))
        http.get("/v1/auth/users/me")
        with house.database.read() as db:
            assert db.scalar(select(s.c.last_used_at)) > ago + timedelta(minutes=59)

    @pytest.mark.parametrize(
        ("agent", "device"),
        [
            ("Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537 Chrome/139 Safari/537 Edg/139", "Edge on Windows"),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18 like Mac OS X) Version/18 Safari/604", "Safari on iPhone"),
            ("Mozilla/5.0 (Linux; Android 15) AppleWebKit Chrome/139 Mobile Safari/537", "Chrome on Android"),
            ("python-httpx/0.28", "python-httpx"),
            ("", "unknown"),
            (None, "unknown"),
        ],
    )
    def test_devices_have_names(self, agent: str | None, device: str) -> None:
        assert device_of(agent) == device


def test_what_is_old_is_forgotten_and_what_is_used_is_not(
    sign_in: Callable[..., httpx.Client], house: House, cast: Cast
) -> None:
    http, gone = sign_in(), sign_in()
    gone.post("/v1/auth/logout")
    past = datetime.now(UTC) - KEPT - timedelta(minutes=1)
    s, a = t.sessions, t.account_tokens
    with house.database.write() as db:
        db.execute(update(s).values(created_at=past))
        db.execute(update(s).where(s.c.revoked_at.is_not(None)).values(revoked_at=past))
        for number, moment in enumerate((past, datetime.now(UTC) + timedelta(hours=1))):
            row = {"hash": str(number), "user_id": cast.alice.id, "kind": "reset", "expires_at": moment}
            db.execute(a.insert().values(row))
    prune_accounts.run(Errand({}, house.database, house.keys, house.settings))
    with house.database.read() as db:
        assert db.scalar(select(func.count()).select_from(s)) == 1
        assert list(db.scalars(select(a.c.hash))) == ["1"]
    assert http.post("/v1/auth/refresh").status_code == 200


class TestGuessing:
    @pytest.mark.parametrize("settings", [{}, {"public_url": "http://luml.example.com", "behind_proxy": "no"}])
    def test_headers_that_anybody_may_write_do_not_help(
        self,
        build_house: Callable[..., House],
        start_server: Callable[..., RunningServer],
        cast: Cast,
        settings: dict[str, str],
    ) -> None:
        server = start_server(build_house(**settings), role="api")
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as http:
            wrong = {"email": cast.alice.email, "password": "wrong"}
            spoofed = [{"X-Forwarded-For": f"203.0.113.{n}", "X-Real-IP": f"203.0.113.{n}"} for n in range(15)]
            answers = [http.post("/v1/auth/signin", json=wrong, headers=head) for head in spoofed]
            burst = SIGN_IN.per_account.burst if SIGN_IN.per_account else 0
            assert [one.status_code for one in answers] == [401] * burst + [429] * (15 - burst)
            assert int(answers[-1].headers["Retry-After"]) > 30
            right = {"email": cast.bob.email, "password": PASSWORD}
            assert http.post("/v1/auth/signin", json=right).status_code == 200, "others here are not concerned"

    def test_behind_a_proxy_each_address_counts_for_itself(
        self, build_house: Callable[..., House], start_server: Callable[..., RunningServer], cast: Cast
    ) -> None:
        running = start_server(build_house(public_url="http://luml.example.com"), role="api")
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as http:

            def attempt(password: str, ip: str) -> int:
                body = {"email": cast.alice.email, "password": password}
                return http.post("/v1/auth/signin", json=body, headers={"X-Real-IP": ip}).status_code

            assert [attempt("wrong", "203.0.113.9") for _ in range(11)] == [401] * 10 + [429]
            assert attempt(PASSWORD, "203.0.113.9") == 429
            assert attempt(PASSWORD, "198.51.100.7") == 200, "Alice, at her own desk, is let in"

    def test_right_passwords_do_not_count(self, sign_in: Callable[..., httpx.Client]) -> None:
        for _ in range(12):
            sign_in()

    def test_guesses_of_keys_are_slowed_down_and_valid_keys_are_not(self, server: RunningServer, cast: Cast) -> None:
        with httpx.Client(base_url=server.address, timeout=60) as http:

            def ask(key: str) -> int:
                return http.get("/v1/auth/users/me", headers={"Authorization": f"Bearer {key}"}).status_code

            answers = Counter(ask(new_token("dfs_")) for _ in range(KEYS.per_ip.burst + 40))
            assert answers[401] >= KEYS.per_ip.burst
            assert answers[429] > 0
            assert ask(cast.alice.api_key) == 200


def outcome(stage: Stage, name: str, token: str) -> type[LumlError] | None:
    try:
        stage.house.service.call(request_of(stage, OPERATIONS[name], Credentials(token=token)))
    except LumlError as error:
        return type(error)
    return None


class TestKeysForOneOrbit:
    @pytest.fixture
    def key(self, stage: Stage) -> str:
        """Alice's, for the kitchen: an orbit beside the one of the stage."""
        kitchen = stage.alice.orbits.create(
            stage.cast.here.organization_id, name="The kitchen", bucket_secret_id=stage.cast.here.bucket_id
        )
        return stage.alice.api_keys.create(name="kitchen", orbit_id=kitchen.id).key

    @pytest.fixture
    def garden_key(self, stage: Stage) -> str:
        return stage.alice.api_keys.create(name="garden", orbit_id=stage.cast.here.orbit_id).key

    @pytest.mark.parametrize("name", [n for n, one in OPERATIONS.items() if one.by == "user"])
    def test_elsewhere_nothing_is_open(self, name: str, stage: Stage, key: str) -> None:
        refused = outcome(stage, name, key)
        if name in BEYOND_ONE_ORBIT - {"uploads.multipart"}:
            assert refused is None
        else:
            assert refused is (NotFound if name == "uploads.multipart" else Forbidden)

    @pytest.mark.parametrize("name", [n for n, one in OPERATIONS.items() if "orbit_id" in one.path_parameters])
    def test_its_own_orbit_is_open(self, name: str, stage: Stage, garden_key: str) -> None:
        at_home = name in CASES_ELSEWHERE
        assert outcome(stage, name, garden_key) is (Forbidden if at_home else None)

    def test_the_way_there_shows_nothing_beside_it(self, stage: Stage, garden_key: str) -> None:
        stage.alice.organizations.create(name="Another")
        stage.alice.orbits.create(
            stage.cast.here.organization_id, name="Cellar", bucket_secret_id=stage.cast.here.bucket_id
        )
        api = stage.house.api(Credentials(token=garden_key))
        assert [one.name for one in api.organizations.list()] == ["Wonderland"]
        assert [one.name for one in api.orbits.list(stage.cast.here.organization_id)] == ["Garden"]

    def test_can_knows_what_it_opens(self, stage: Stage, garden_key: str) -> None:
        api, garden = stage.house.api(Credentials(token=garden_key)), stage.cast.here.orbit_id
        opened: dict[str, bool] = {}
        for name, one in OPERATIONS.items():
            if one.needs is not None:
                here = "orbit_id" in one.path_parameters or name in BEYOND_ONE_ORBIT
                opened[one.needs] = opened.get(one.needs, False) or here
        assert {permission: bool(api.can(permission, garden)) for permission in opened} == opened

    def test_it_needs_an_orbit_that_one_may_enter(self, stage: Stage) -> None:
        for person, orbit_id in (
            (stage.cast.charlie, stage.cast.here.orbit_id),
            (stage.cast.alice, stage.cast.elsewhere.orbit_id),
        ):
            with pytest.raises(NotFound, match="orbit"):
                stage.house.api(Credentials(token=person.api_key)).api_keys.create(name="spy", orbit_id=orbit_id)
        bob: Any = stage.house.api(Credentials(token=stage.cast.bob.api_key))
        assert bob.api_keys.create(name="mine", orbit_id=stage.cast.here.orbit_id).key
        assert [one.orbit_id for one in bob.api_keys.list() if one.name == "mine"] == [stage.cast.here.orbit_id]

    def test_models_of_its_orbit_only(self, stage: Stage, key: str, garden_key: str) -> None:
        garden: Any = stage.house.api(Credentials(token=SATELLITE_TOKEN))
        assert garden.agent.inference_access(api_key=garden_key).authorized
        assert not garden.agent.inference_access(api_key=key).authorized


CASES_ELSEWHERE = {"orbits.delete"}
"""Their cases play in a place of their own, not in the garden."""


class TestKeysThatMakeKeys:
    """What a key makes opens no more than it does, and ends no later."""

    @pytest.fixture
    def end(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

    @pytest.fixture
    def brief(self, stage: Stage, end: datetime) -> Any:
        made = stage.alice.api_keys.create(name="brief", scopes=["api"], expires_at=end)
        return stage.house.api(Credentials(token=made.key))

    @pytest.fixture
    def program(self, stage: Stage) -> Any:
        return stage.cast.here.organization_id, stage.ids["account_id"]

    def test_they_end_with_it(self, brief: Any, program: Any, end: datetime) -> None:
        brief.api_keys.create(name="same")
        brief.api_keys.create(name="shorter", expires_at=end - timedelta(hours=1))
        brief.api_keys.create_default()
        brief.service_accounts.create_key(*program, name="program")
        found = {one.name: one for one in (*brief.api_keys.list(), *brief.service_accounts.keys(*program))}
        ends = {"same": end, "shorter": end - timedelta(hours=1), "default": end, "program": end}
        assert {name: found[name].expires_at for name in ends} == ends
        assert all(found[name].scopes == ["api"] for name in ends)

    def test_they_are_not_given_more(self, brief: Any, program: Any, end: datetime) -> None:
        own = next(one for one in brief.api_keys.list() if one.name == "brief")
        mores: list[dict[str, Any]] = [{"expires_at": end + timedelta(seconds=1)}, {"scopes": ["api", "inference"]}]
        for more in mores:
            for act, where in (
                (brief.api_keys.create, ()),
                (brief.service_accounts.create_key, program),
                (brief.api_keys.update, (own.id,)),
            ):
                with pytest.raises(Forbidden, match="API key that you use"):
                    act(*where, name="more", **more)
        with pytest.raises(Forbidden, match="ends at"):
            brief.api_keys.update(own.id, expires_at=None)
        (same,) = (one for one in brief.api_keys.list() if one.id == own.id)
        assert (same.name, same.scopes, same.expires_at) == ("brief", ["api"], end)

    def test_they_leave_no_other_way_in(self, stage: Stage, brief: Any) -> None:
        for act in (brief.auth.create_link, lambda: brief.auth.update_me(password="chosen by a thief")):
            with pytest.raises(Forbidden, match="sign in for this"):
                act()
        brief.auth.update_me(full_name="Alice Liddell")
        stage.alice.auth.create_link()


class TestKeys:
    def test_they_are_renamed_narrowed_and_ended(self, stage: Stage) -> None:
        key = stage.alice.api_keys.create(name="old").key
        (row,) = (one for one in stage.alice.api_keys.list() if one.name == "old")
        changed = stage.alice.api_keys.update(row.id, name="new", scopes=["inference"])
        assert (changed.name, changed.scopes, changed.expires_at) == ("new", ["inference"], None)
        mine: Any = stage.house.api(Credentials(token=key))
        with pytest.raises(Forbidden, match="inference"):
            mine.auth.me()
        stage.alice.api_keys.update(row.id, scopes=["api"], expires_at=datetime.now(UTC) + timedelta(hours=1))
        assert mine.auth.me().email == stage.cast.alice.email
        with stage.house.database.write() as db:
            mine_only = t.api_keys.c.id == row.id
            db.execute(update(t.api_keys).where(mine_only).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
        with pytest.raises(Unauthenticated):
            mine.auth.me()

    def test_an_end_that_is_past_is_refused(self, stage: Stage) -> None:
        with pytest.raises(Invalid, match="expires_at"):
            stage.alice.api_keys.create(name="late", expires_at=datetime.now(UTC) - timedelta(days=1))

    def test_somebody_elses_is_not_there(self, stage: Stage) -> None:
        with pytest.raises(NotFound):
            stage.house.api(Credentials(token=stage.cast.charlie.api_key)).api_keys.update(
                stage.ids["key_id"], name="mine"
            )

    def test_a_name_is_used_once(self, stage: Stage) -> None:
        stage.alice.api_keys.create(name="twin")
        with pytest.raises(Conflict, match="name"):
            stage.alice.api_keys.create(name="twin")

    def test_the_key_itself_is_nowhere(self, stage: Stage) -> None:
        key = stage.alice.api_keys.create(name="secret").key
        for table in t.metadata.sorted_tables:
            with stage.house.database.read() as db:
                assert not any(key in str(row._mapping) for row in db.execute(select(table)))
