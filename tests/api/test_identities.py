"""Sign-in by a provider: a real one over HTTP, honest and hostile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.schemas.errors import Forbidden
from luml_app.web.house import House
from tests.cast import PASSWORD, Cast
from tests.provider import LIES, IdentityProvider
from tests.serving import RunningServer

Browse = Callable[[], httpx.Client]


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    one = IdentityProvider()
    yield one
    one.stop()


@pytest.fixture
def house(build_house: Callable[..., House], provider: IdentityProvider) -> House:
    return build_house(**provider.settings())


@pytest.fixture
def browse(server: RunningServer) -> Iterator[Browse]:
    """Opens browsers, which keep cookies."""
    opened: list[httpx.Client] = []

    def build() -> httpx.Client:
        opened.append(httpx.Client(base_url=server.address, timeout=60))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


@pytest.fixture
def http(browse: Browse) -> httpx.Client:
    return browse()


def leave(http: httpx.Client, way: str = "oidc", **query: str) -> str:
    """Go to the provider; the address with which it sends the browser back."""
    answer = http.get(f"/v1/auth/{way}/login", params=query)
    assert answer.status_code == 200, answer.text
    return httpx.get(answer.json()["url"]).headers["Location"]


def sign_in(http: httpx.Client, way: str = "oidc", **query: str) -> httpx.Response:
    return http.get(leave(http, way, **query))


def email_of(http: httpx.Client) -> str | None:
    answer = http.get("/v1/auth/users/me")
    return answer.json()["email"] if answer.status_code == 200 else None


def count(house: House, table: Any) -> int:
    with house.database.read() as db:
        return db.scalar(select(func.count()).select_from(table)) or 0


def test_the_first_time_makes_an_account_and_the_second_finds_it(browse: Browse, house: House) -> None:
    first, second = browse(), browse()
    answer = sign_in(first)
    assert answer.status_code == 200
    assert answer.json()["detail"] == "Successfully logged in"
    assert email_of(first) == "grace@example.org"
    assert [one["name"] for one in first.get("/v1/users/me/organizations").json()] == ["Grace Hopper's organization"]
    assert sign_in(second).json()["user_id"] == answer.json()["user_id"]
    (identity,) = first.get("/v1/auth/identities").json()
    assert identity["last_used_at"]
    with house.database.read() as db:
        actions = list(db.scalars(select(t.events.c.action).order_by(t.events.c.at)))
    assert actions[-2:] == ["user.signup", "user.signin"]


def test_it_is_the_subject_that_counts_and_not_the_address(browse: Browse, provider: IdentityProvider) -> None:
    first = sign_in(browse()).json()["user_id"]
    provider.be(email="hopper@example.org")
    assert sign_in(browse()).json()["user_id"] == first
    provider.be(subject="another", email="hopper@example.org")
    assert sign_in(browse()).json()["user_id"] != first


@pytest.mark.parametrize("lie", LIES)
def test_what_proves_nothing_lets_nobody_in(
    lie: str, http: httpx.Client, provider: IdentityProvider, house: House
) -> None:
    people = count(house, t.users)
    provider.lie = lie
    answer = sign_in(http)
    assert answer.status_code == 401
    assert "begin" in answer.json()["detail"]
    assert provider.exchanges == 1
    assert email_of(http) is None
    assert (count(house, t.users), count(house, t.sessions)) == (people, 0)


@pytest.mark.parametrize(
    "claims", [{"email_verified": False}, {"email_verified": None}, {"email": None}, {"email": "a\nb@c"}]
)
def test_an_address_that_is_not_verified_makes_no_account(
    claims: dict[str, Any], http: httpx.Client, provider: IdentityProvider, house: House
) -> None:
    provider.be(**{"email": "grace@example.org", **claims})
    provider.claims = {name: value for name, value in provider.claims.items() if value is not None}
    people = count(house, t.users)
    answer = sign_in(http)
    assert answer.status_code == 403
    assert "verified" in answer.json()["detail"]
    assert count(house, t.users) == people


def test_a_wrong_issuer_is_named(provider: IdentityProvider, http: httpx.Client) -> None:
    provider.lie = "another issuer"
    answer = http.get("/v1/auth/oidc/login")
    assert answer.status_code == 503
    assert "issuer" in answer.json()["detail"]


def test_secrets_are_not_sent_over_an_open_line(provider: IdentityProvider, http: httpx.Client) -> None:
    provider.lie = "open line"
    answer = sign_in(http)
    assert answer.status_code == 503
    assert "token_endpoint" in answer.json()["detail"]


class TestTheWayBack:
    def test_it_works_once(self, http: httpx.Client, provider: IdentityProvider) -> None:
        back = leave(http)
        assert http.get(back).status_code == 200
        assert http.get(back).status_code == 401
        assert provider.exchanges == 1, "a used state does not even reach the provider"

    def test_it_belongs_to_the_browser_that_has_left(self, browse: Browse, provider: IdentityProvider) -> None:
        mine, victims = browse(), browse()
        back = leave(mine)
        leave(victims)
        assert victims.get(back).status_code == 401
        assert email_of(victims) is None
        assert provider.exchanges == 0

    def test_a_state_that_was_made_up_leads_nowhere(self, http: httpx.Client) -> None:
        back = urlsplit(leave(http))
        code = parse_qs(back.query)["code"][0]
        assert http.get(back.path, params={"code": code, "state": "made up"}).status_code == 401
        assert http.get(back.path, params={"code": code}).status_code == 401

    def test_it_takes_no_longer_than_ten_minutes(self, http: httpx.Client, house: House) -> None:
        back = leave(http)
        with house.database.write() as db:
            db.execute(update(t.provider_visits).values(expires_at=func.now()))
        assert http.get(back).status_code == 401

    def test_the_code_of_one_visit_does_not_fit_another(self, browse: Browse) -> None:
        """Its PKCE verifier and its nonce are those of another browser."""
        stolen, mine = browse(), browse()
        code = parse_qs(urlsplit(leave(stolen)).query)["code"][0]
        state = parse_qs(urlsplit(leave(mine)).query)["state"][0]
        assert mine.get("/v1/auth/oidc/callback", params={"code": code, "state": state}).status_code == 401

    def test_another_provider_may_not_answer(self, http: httpx.Client) -> None:
        assert http.get(leave(http) + "&iss=https://evil.example.com").status_code == 401

    def test_who_says_no_is_told_so(self, http: httpx.Client, provider: IdentityProvider) -> None:
        provider.refuses = True
        answer = sign_in(http)
        assert answer.status_code == 401
        assert "did not sign you in" in answer.json()["detail"]

    def test_of_twenty_at_once_one_gets_in(self, http: httpx.Client, server: RunningServer, house: House) -> None:
        back, cookies = leave(http), dict(http.cookies)

        def come_back(_: int) -> int:
            return httpx.get(back, cookies=cookies, timeout=60).status_code

        with ThreadPoolExecutor(8) as pool:
            answers = sorted(pool.map(come_back, range(20)))
        assert answers == [200] + [401] * 19
        assert count(house, t.sessions) == 1


class TestAccountsThatExist:
    def signed_in(self, browse: Browse, cast: Cast) -> httpx.Client:
        http = browse()
        body = {"email": cast.alice.email, "password": PASSWORD}
        assert http.post("/v1/auth/signin", json=body).status_code == 200
        return http

    def connect(self, http: httpx.Client) -> httpx.Response:
        url = http.post("/v1/auth/identities", json={"provider": "oidc"}).json()["url"]
        return http.get(httpx.get(url).headers["Location"])

    def test_nobody_gets_one_by_its_address(
        self, http: httpx.Client, provider: IdentityProvider, cast: Cast, house: House
    ) -> None:
        provider.be(email=cast.alice.email.upper())
        answer = sign_in(http)
        assert answer.status_code == 409
        assert "connect" in answer.json()["detail"]
        assert email_of(http) is None
        assert count(house, t.identities) == 0

    def test_its_owner_connects_and_disconnects(
        self, browse: Browse, provider: IdentityProvider, cast: Cast, house: House
    ) -> None:
        provider.be(email="elsewhere@example.org", email_verified=False)
        mine = self.signed_in(browse, cast)
        assert self.connect(mine).json()["detail"] == "Successfully connected"
        assert sign_in(browse()).json()["user_id"] == str(cast.alice.id)
        (identity,) = mine.get("/v1/auth/identities").json()
        assert mine.delete(f"/v1/auth/identities/{identity['id']}").status_code == 204
        assert mine.get("/v1/auth/identities").json() == []
        with house.database.read() as db:
            actions = list(db.scalars(select(t.events.c.action)))
        assert {"user.link_identity", "user.unlink_identity"} <= set(actions)

    def test_one_account_elsewhere_belongs_to_one_account_here(self, browse: Browse, cast: Cast) -> None:
        assert sign_in(browse()).status_code == 200
        assert self.connect(self.signed_in(browse, cast)).status_code == 409

    def test_the_only_way_in_is_not_closed(self, http: httpx.Client) -> None:
        sign_in(http)
        (identity,) = http.get("/v1/auth/identities").json()
        answer = http.delete(f"/v1/auth/identities/{identity['id']}")
        assert answer.status_code == 409
        assert "only way" in answer.json()["detail"]

    def test_a_disabled_account_stays_closed(self, browse: Browse, house: House) -> None:
        sign_in(browse())
        with house.database.write() as db:
            db.execute(update(t.users).where(t.users.c.email == "grace@example.org").values(disabled=True))
        assert sign_in(browse()).status_code == 403

    def test_a_key_that_ends_connects_nothing(self, http: httpx.Client, house: House, cast: Cast) -> None:
        alice = house.api(Credentials(token=cast.alice.api_key))
        end = datetime.now(UTC) + timedelta(days=1)
        narrow: tuple[dict[str, Any], ...] = ({"expires_at": end}, {"scopes": ["api"]})
        for number, limits in enumerate(narrow):
            brief = house.api(Credentials(token=alice.api_keys.create(name=f"brief {number}", **limits).key))
            with pytest.raises(Forbidden, match="sign in for this"):
                brief.identities.link(provider="oidc")
        assert count(house, t.provider_visits) == 0
        assert alice.identities.link(provider="oidc").url

    def test_another_site_cannot_connect_its_account_to_mine(self, browse: Browse, cast: Cast) -> None:
        mine = self.signed_in(browse, cast)
        foreign = {"Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"}
        assert mine.post("/v1/auth/identities", json={"provider": "oidc"}, headers=foreign).status_code == 403


class TestBrowsers:
    PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}

    def test_they_are_led_there_and_back(self, http: httpx.Client) -> None:
        there = http.get("/v1/auth/oidc/login", params={"next": "/app/a?b=c"}, headers=self.PAGE)
        assert there.status_code in {302, 303}
        back = httpx.get(there.headers["Location"]).headers["Location"]
        home = http.get(back, headers=self.PAGE)
        assert (home.status_code, home.headers["Location"]) == (303, "/app/a?b=c")
        assert email_of(http) == "grace@example.org"

    @pytest.mark.parametrize("target", ["https://evil.example.com", "//evil.example.com", "/\\evil.example.com", "x:y"])
    def test_they_are_never_led_elsewhere(self, target: str, http: httpx.Client) -> None:
        assert http.get(leave(http, next=target), headers=self.PAGE).headers["Location"] == "/app"

    def test_they_are_told_in_words_what_went_wrong(
        self, http: httpx.Client, provider: IdentityProvider, cast: Cast
    ) -> None:
        provider.be(email=cast.alice.email)
        answer = http.get(leave(http), headers=self.PAGE)
        assert answer.status_code == 409
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "There is an account with the address" in answer.text
        assert 'href="/login"' in answer.text


class TestMicrosoft:
    TENANT = "9d1c8c0e-0000-4000-8000-000000000001"

    @pytest.fixture
    def house(self, build_house: Callable[..., House], provider: IdentityProvider) -> House:
        provider.tenants = True
        return build_house(**provider.settings("microsoft"))

    def test_of_many_tenants_only_a_verified_address_counts(self, browse: Browse, provider: IdentityProvider) -> None:
        provider.be(tid=self.TENANT)
        del provider.claims["email_verified"]
        assert sign_in(browse(), "microsoft").status_code == 403
        provider.claims["xms_edov"] = "1"
        assert sign_in(browse(), "microsoft").status_code == 200

    def test_each_tenant_vouches_for_its_own_people_only(self, http: httpx.Client, provider: IdentityProvider) -> None:
        provider.be(tid=self.TENANT, iss=f"{provider.address}/another/v2.0")
        assert sign_in(http, "microsoft").status_code == 401


def test_the_operators_own_tenant_needs_no_further_word(
    build_house: Callable[..., House], provider: IdentityProvider, start_server: Callable[..., RunningServer]
) -> None:
    settings = provider.settings("microsoft") | {"microsoft_tenant": TestMicrosoft.TENANT, "signup": "invited"}
    provider.be(iss=f"{provider.address}/{TestMicrosoft.TENANT}/v2.0")
    del provider.claims["email_verified"]
    running = start_server(build_house(**settings), role="api")
    with httpx.Client(base_url=running.address, timeout=60) as http:
        assert sign_in(http, "microsoft").status_code == 200


class TestWhoMaySignUp:
    @pytest.mark.parametrize(
        ("rule", "way", "status"),
        [
            ("invited", "oidc", 200),
            ("invited", "google", 403),
            ("closed", "oidc", 403),
            ("open", "google", 200),
        ],
    )
    def test_the_operators_own_people_need_no_invitation(
        self,
        rule: str,
        way: str,
        status: int,
        build_house: Callable[..., House],
        provider: IdentityProvider,
        start_server: Callable[..., RunningServer],
    ) -> None:
        running = start_server(build_house(**provider.settings(way), signup=rule), role="api")
        with httpx.Client(base_url=running.address, timeout=60) as http:
            assert sign_in(http, way).status_code == status

    def test_what_is_not_set_up_is_not_there(self, http: httpx.Client) -> None:
        assert http.get("/v1/auth/google/login").status_code == 404
        ways = http.get("/v1/auth/providers").json()
        assert ways == {
            "providers": [{"name": "oidc", "label": "single sign-on", "path": "/v1/auth/oidc/login"}],
            "signup": "open",
        }
