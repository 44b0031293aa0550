"""The pages of people's accounts, as a browser without JavaScript sees them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from luml_app.web.house import House
from tests.cast import PASSWORD, Cast
from tests.mailbox import Mailbox, link_in
from tests.provider import IdentityProvider
from tests.serving import RunningServer

ADA = {"email": "ada@example.org", "password": "analytical engine", "full_name": "Ada"}


@pytest.fixture
def box() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    yield mailbox
    mailbox.stop()


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    one = IdentityProvider()
    yield one
    one.stop()


@pytest.fixture
def house(build_house: Callable[..., House], box: Mailbox, provider: IdentityProvider) -> House:
    return build_house(smtp_url=box.url, mail_from="luml@example.com", oidc_label="Example SSO", **provider.settings())


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, headers={"Accept": "text/html"}, timeout=60) as client:
        yield client


def said(answer: httpx.Response) -> str:
    """What the page says above its form."""
    found = re.search(r'role="(?:alert|status)">([^<]*)', answer.text)
    return unescape(found.group(1)) if found else ""


def sign_in(http: httpx.Client, password: str = ADA["password"]) -> httpx.Response:
    return http.post("/login", data={"email": ADA["email"], "password": password})


def page_of(http: httpx.Client, link: str) -> httpx.Response:
    parts = urlsplit(link)
    return http.get(f"{parts.path}?{parts.query}")


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    assert found, page.text
    return found.group(1)


def test_from_sign_up_to_a_new_password(http: httpx.Client, box: Mailbox) -> None:
    assert "Look into your mail" in http.post("/signup", data=ADA).text
    refused = sign_in(http)
    assert refused.status_code == 403
    assert "/confirm?email=ada%40example.org" in refused.text
    page = page_of(http, link_in(box.to(ADA["email"]), "/confirm"))
    assert sign_in(http).status_code == 403, "to look at the link does not confirm anything"
    done = http.post("/confirm", data={"token": token_of(page)})
    assert "confirmed" in said(http.get(done.headers["Location"]))
    assert sign_in(http).headers["Location"] == "/app"
    assert http.post("/forgot", data={"email": ADA["email"]}).status_code == 200
    page = page_of(http, link_in(box.to(ADA["email"], 2), "/reset"))
    short = http.post("/reset", data={"token": token_of(page), "password": "short"})
    assert (short.status_code, said(short)) == (422, "A password has 8 to 128 characters.")
    done = http.post("/reset", data={"token": token_of(short), "password": "difference engine"})
    assert done.headers["Location"] == "/login?done=reset"
    assert sign_in(http, "difference engine").headers["Location"] == "/app"
    again = http.post("/reset", data={"token": token_of(page), "password": "difference engine"})
    assert again.status_code == 400
    assert "another mail" in said(again)


def test_a_stranger_who_signs_up_with_my_address_gets_nothing_by_my_click(
    http: httpx.Client, server: RunningServer, box: Mailbox
) -> None:
    with httpx.Client(base_url=server.address, headers={"Accept": "text/html"}, timeout=60) as stranger:
        stranger.post("/signup", data=ADA)
        token = link_in(box.to(ADA["email"]), "/confirm").partition("token=")[2]
        http.post("/signup", data={**ADA, "email": "another@example.org"})  # a sign-up of another account helps nobody
        done = http.post("/confirm", data={"token": token})
        page = page_of(http, done.headers["Location"])
        assert "choose the password that counts" in said(page)
        assert sign_in(stranger).status_code == 401
        chosen = http.post("/reset", data={"token": token_of(page), "password": "difference engine"})
        assert chosen.headers["Location"] == "/login?done=reset"
        assert sign_in(stranger).status_code == 401
        assert sign_in(http, "difference engine").headers["Location"] == "/app"


def test_a_page_of_the_mail_keeps_its_token_to_itself(http: httpx.Client) -> None:
    for page in ("/reset?token=secret", "/confirm?token=secret"):
        answer = http.get(page)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("page", ["/login", "/signup", "/forgot", "/confirm", "/reset?token=x"])
def test_what_is_typed_comes_back_as_text(page: str, http: httpx.Client) -> None:
    typed = '"><script>alert(1)</script>@x'
    fields = {"email": typed, "full_name": typed, "token": typed, "password": "x"}
    for answer in (http.get(page, params=fields), http.post(page, data=fields)):
        assert "<script>alert" not in answer.text
        assert "script-src" not in answer.headers["Content-Security-Policy"]


def test_only_known_sentences_are_said(http: httpx.Client) -> None:
    assert said(http.get("/login?done=Call+0900-EVIL")) == ""


@pytest.mark.parametrize("page", ["/signup", "/forgot", "/reset", "/confirm", "/account"])
def test_another_site_cannot_send_a_form(page: str, http: httpx.Client, cast: Cast) -> None:
    http.post("/login", data={"email": cast.alice.email, "password": PASSWORD})
    answer = http.post(page, data={**ADA, "session": "others"}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "another site" in said(answer)


def test_who_tries_too_often_is_told_when_to_come_back(http: httpx.Client, cast: Cast) -> None:
    form = {"email": cast.alice.email, "password": "wrong"}
    answers = [http.post("/login", data=form) for _ in range(11)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert "try again in" in said(answers[-1])


@pytest.mark.parametrize(("rule", "words"), [("invited", "invited"), ("closed", "operator")])
def test_a_closed_server_says_so(
    rule: str, words: str, build_house: Callable[..., House], start_server: Callable[..., RunningServer]
) -> None:
    address = start_server(build_house(signup=rule), role="api").address
    assert words in httpx.get(f"{address}/signup").text
    assert ("Sign up" in httpx.get(f"{address}/login").text) == (rule != "closed")
    assert "Continue with" not in httpx.get(f"{address}/login").text


class TestOnesOwnAccount:
    @pytest.fixture
    def alice(self, http: httpx.Client, cast: Cast) -> httpx.Client:
        assert http.post("/login", data={"email": cast.alice.email, "password": PASSWORD}).status_code == 302
        return http

    def test_strangers_sign_in_first(self, http: httpx.Client) -> None:
        assert http.get("/account").headers["Location"] == "/login?next=/account"

    def test_a_provider_is_connected_and_disconnected(self, alice: httpx.Client, cast: Cast) -> None:
        assert "Connect Example SSO" in alice.get("/account").text
        onward = alice.post("/account", data={"connect": "oidc"})
        url = unescape(re.search(r'class="button" href="([^"]+)"', onward.text).group(1))  # type: ignore[union-attr]
        back = alice.get(httpx.get(url).headers["Location"])
        assert back.headers["Location"] == "/account?done=connected"
        page = alice.get(back.headers["Location"])
        assert "Connected" in said(page)
        assert "Connect Example SSO" not in page.text
        (identity,) = re.findall(r'name="disconnect" value="([^"]+)"', page.text)
        alice.post("/account", data={"disconnect": identity})
        assert "Connect Example SSO" in alice.get("/account").text

    def test_sessions_elsewhere_are_ended(self, alice: httpx.Client, server: RunningServer, cast: Cast) -> None:
        with httpx.Client(base_url=server.address, headers={"User-Agent": "Firefox/140 <b>Linux</b>"}) as other:
            body = {"email": cast.alice.email, "password": PASSWORD}
            other.post("/v1/auth/signin", json=body)
            page = alice.get("/account")
            assert "Firefox on Linux" in page.text
            assert "<b>" not in page.text
            assert alice.post("/account", data={"session": "others"}).headers["Location"] == "/account"
            assert other.get("/v1/auth/users/me").status_code == 401
        assert alice.get("/account").status_code == 200

    def test_a_new_password(self, alice: httpx.Client, cast: Cast) -> None:
        assert alice.post("/account", data={"password": "short"}).status_code == 422
        done = alice.post("/account", data={"password": "through the glass"})
        assert done.headers["Location"] == "/login?done=reset"
        assert alice.get("/account").headers["Location"] == "/login?next=/account"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 800, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_real_browser_without_javascript(
    width: int, scheme: str, server: RunningServer, box: Mailbox, chromium: Any
) -> None:
    viewport = {"width": width, "height": 800}
    with closing(chromium.new_context(viewport=viewport, color_scheme=scheme, java_script_enabled=False)) as context:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))

        def fits() -> None:
            card = page.locator("main").bounding_box()
            assert card["x"] >= 0
            assert card["x"] + card["width"] <= width

        page.goto(f"{server.address}/signup")
        fits()
        for name, value in ADA.items():
            page.fill(f"input[name={name}]", value)
        page.click("button")
        page.goto(link_in(box.to(ADA["email"]), "/confirm"))
        page.click("button")
        page.wait_for_url("**/login?done=confirmed")
        fits()
        for name in ("email", "password"):
            page.fill(f"input[name={name}]", ADA[name])
        page.click("text=Continue with Example SSO")  # the provider says "Grace": a person of her own
        page.goto(f"{server.address}/account")
        assert page.locator("h1").inner_text() == "Your account"
        assert "Grace Hopper" in page.locator("main").inner_text()
        fits()
    assert not [text for text in complaints if "Security Policy" in text]
