"""Providers of identities that change, are away, hang, or are not set up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from joserfc.jwk import RSAKey

from luml_app.core.oidc import conversation, providers
from luml_app.schemas.errors import ConfigurationError
from luml_app.web.house import House
from tests.api.test_identities import Browse, browse, house, http, leave, provider, sign_in
from tests.provider import IdentityProvider
from tests.serving import RunningServer, until

__all__ = ["browse", "house", "http", "provider"]


def test_a_new_key_of_the_provider_is_found(browse: Browse, provider: IdentityProvider, house: House) -> None:
    assert sign_in(browse()).status_code == 200
    provider.key = RSAKey.generate_key(2048, {"kid": "second", "alg": "RS256", "use": "sig"})
    talk = conversation(providers(house.settings)["oidc"])
    for address, (moment, value) in list(talk._published.items()):
        talk._published[address] = (moment - 60, value)
    assert sign_in(browse()).status_code == 200


def test_a_provider_may_want_its_secret_in_the_form(http: httpx.Client, provider: IdentityProvider) -> None:
    provider.post_only = True
    assert sign_in(http).status_code == 200


def test_a_provider_that_is_away_is_said_to_be(http: httpx.Client, provider: IdentityProvider) -> None:
    back = leave(http)
    provider.stop()
    answer = http.get(back)
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["detail"]


def test_a_provider_that_hangs_holds_up_nobody_else(
    build_house: Callable[..., House], start_server: Callable[..., RunningServer], provider: IdentityProvider
) -> None:
    server = start_server(build_house(**provider.settings(), pool_size=2), role="api")
    provider.hangs = True
    with ThreadPoolExecutor(4) as threads, httpx.Client(base_url=server.address, timeout=60) as http:
        logins = [threads.submit(httpx.get, f"{server.address}/v1/auth/oidc/login", timeout=60) for _ in range(4)]
        try:
            until(lambda: len(provider.waiting) == 4, "more visits wait than there are threads for requests")
            assert http.get("/v1/auth/providers").status_code == 200
            body = {"email": "nobody@example.org", "password": "a guess of one"}
            assert http.post("/v1/auth/signin", json=body).status_code == 401
        finally:
            provider.goes_on.set()
        assert [one.result().status_code for one in logins] == [200] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_client_id": "x", "oidc_client_secret": "y"},
        {"oidc_issuer": "http://sso.example.com", "oidc_client_id": "x", "oidc_client_secret": "y"},
        {"oidc_issuer": "https://sso.example.com"},
        {"google_client_id": "x"},
        {"microsoft_client_secret": "x"},
    ],
)
def test_a_provider_that_is_set_up_by_half_is_said_at_the_start(
    wrong: dict[str, str], build_house: Callable[..., House]
) -> None:
    with pytest.raises(ConfigurationError, match="LUML_"):
        build_house(**wrong)
