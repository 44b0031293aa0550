"""Sign-in by somebody else's word: OpenID Connect, authorization code with PKCE. The one door to identity providers.

What comes back is believed only when it is signed by a key of the issuer, is for us, is fresh, and answers the very
question that this browser has left with.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from luml_app.core.settings import Settings
from luml_app.schemas.errors import ConfigurationError, Unauthenticated, Unavailable

_SECONDS = 10.0
_LEEWAY = 60  # seconds that two clocks may differ
_FRESH_SECONDS = 3600.0
# Signatures only: none is no signature, and of HS… the key would be our own client secret.
_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
_MANY_TENANTS = {"common", "organizations", "consumers"}


@dataclass(frozen=True)
class Provider:
    """Who vouches for people. `own`: the operator's own, for whose people this server is; its word on an e-mail address
    is that of its administrators.
    """

    name: str
    label: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    own: bool = False
    many_tenants: bool = False


@dataclass(frozen=True)
class Person:
    """Who somebody is, on a provider's word. `email` only if the provider says that it is theirs."""

    issuer: str
    subject: str
    email: str | None
    full_name: str | None


def providers(settings: Settings) -> dict[str, Provider]:
    """The providers that the operator has set up, by name. Raises ConfigurationError for one that is set up by half."""
    tenant = settings.microsoft_tenant
    many = tenant in _MANY_TENANTS
    microsoft = f"{settings.microsoft_authority.rstrip('/')}/{tenant}/v2.0"
    found = [
        _provider(settings, "google", label="Google", issuer=settings.google_issuer),
        _provider(settings, "microsoft", label="Microsoft", issuer=microsoft, own=not many, many_tenants=many),
        _provider(settings, "oidc", label=settings.oidc_label, issuer=settings.oidc_issuer or "", own=True),
    ]
    return {one.name: one for one in found if one is not None}


def _provider(settings: Settings, name: str, *, issuer: str, **facts: Any) -> Provider | None:
    client_id, secret = getattr(settings, f"{name}_client_id"), getattr(settings, f"{name}_client_secret")
    if not client_id and not secret and (name != "oidc" or not issuer):
        return None
    variable = f"LUML_{name.upper()}"
    if not client_id or not secret:
        raise ConfigurationError(f"{variable}_CLIENT_ID and {variable}_CLIENT_SECRET belong together; set both.")
    if not _is_safe(issuer):
        raise ConfigurationError(f"{variable}_ISSUER={issuer!r} is not the https address of an OpenID Connect issuer.")
    return Provider(name=name, issuer=issuer, client_id=client_id, client_secret=secret, **facts)


def _is_safe(url: Any) -> bool:
    """Whether secrets may go there: over https, or to this very machine."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Conversation:
    """Talks with one provider. Thread-safe; keeps what the provider publishes for an hour."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._lock = threading.Lock()
        self._published: dict[str, tuple[float, Any]] = {}

    def is_known(self) -> bool:
        """Whether the provider need not be asked before a browser is sent there, nor in the next minute."""
        with self._lock:
            moment, value = self._published.get(self._metadata_address, (0.0, None))
        return value is not None and time.monotonic() - moment < _FRESH_SECONDS - 60

    def question(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        """Where to send the browser."""
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        address = self._endpoint("authorization_endpoint")
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}"

    def answer(self, *, code: str, nonce: str, verifier: str, redirect_uri: str) -> Person:
        """Who came back with `code`. Raises Unauthenticated when the provider's answer proves nothing."""
        told = self._exchange({"code": code, "code_verifier": verifier, "redirect_uri": redirect_uri})
        token = told.get("id_token")
        if not isinstance(token, str):
            raise self._doubt("sent no id_token")
        claims = self._verified(token, nonce, told.get("access_token"))
        return Person(
            issuer=str(claims["iss"]),
            subject=str(claims["sub"]),
            email=_email_of(claims, self.provider),
            full_name=_text(claims.get("name")),
        )

    def _exchange(self, sent: dict[str, str]) -> dict[str, Any]:
        form = {"grant_type": "authorization_code", **sent}
        client, secret = self.provider.client_id, self.provider.client_secret
        basic: tuple[str, str] | None = (quote(client, safe=""), quote(secret, safe=""))
        methods = self._metadata().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" not in methods:
            basic, form = None, form | {"client_id": client, "client_secret": secret}
        answer = self._http("POST", self._endpoint("token_endpoint"), data=form, auth=basic)
        if answer.status_code != 200:
            raise self._doubt("did not accept the sign-in")
        return self._json(answer)

    def _verified(self, token: str, nonce: str, access_token: Any) -> CodeIDToken:
        try:
            try:
                decoded = self._decoded(token, self._keys())
            except InvalidKeyIdError:  # the provider has a new key
                decoded = self._decoded(token, self._keys(again=True))
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self._issuer_of(decoded.claims)},
                    "aud": {"essential": True, "value": self.provider.client_id},
                    "sub": {"essential": True},
                },
                {"nonce": nonce, "client_id": self.provider.client_id, "access_token": access_token},
            )
            claims.validate(leeway=_LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise self._doubt("sent a proof that is not valid") from error
        return claims

    def _decoded(self, token: str, keys: KeySet) -> jwt.Token:
        offered = self._metadata().get("id_token_signing_alg_values_supported") or ["RS256"]
        allowed = sorted(_ALGORITHMS & {str(one) for one in offered})
        return jwt.decode(token, keys, registry=JWSRegistry(algorithms=allowed, strict_check_header=False))

    def _issuer_of(self, claims: Mapping[str, Any]) -> str:
        """Who must have issued the proof. Of many tenants each is an issuer of its own, which its id names."""
        issuer = str(self._metadata()["issuer"])
        return issuer.replace("{tenantid}", str(claims["tid"])) if self.provider.many_tenants else issuer

    def _keys(self, *, again: bool = False) -> KeySet:
        address = self._endpoint("jwks_uri")
        return KeySet.import_key_set(self._kept(address, lambda: self._get(address), again=again))

    def _endpoint(self, name: str) -> str:
        address = self._metadata().get(name)
        if not isinstance(address, str) or not _is_safe(address):
            raise Unavailable(f"{self.provider.label} names no safe {name}; the operator must look at its settings.")
        return address

    def _metadata(self) -> dict[str, Any]:
        address = self._metadata_address
        found: dict[str, Any] = self._kept(address, lambda: self._discovered(address))
        return found

    @property
    def _metadata_address(self) -> str:
        return f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration"

    def _discovered(self, address: str) -> dict[str, Any]:
        found = self._get(address)
        # Of a tenant that is named otherwise than by its id, Microsoft gives the issuer with the id.
        named = self.provider.name == "microsoft" and _origin(found.get("issuer")) == _origin(self.provider.issuer)
        if found.get("issuer") != self.provider.issuer and not named:
            raise Unavailable(
                f"{self.provider.label} calls itself {str(found.get('issuer'))[:200]!r}; the operator must set exactly "
                "that as the issuer."
            )
        return found

    def _kept(self, address: str, fetch: Callable[[], Any], *, again: bool = False) -> Any:
        with self._lock:
            moment, value = self._published.get(address, (0.0, None))
            fresh = value is not None and time.monotonic() - moment < _FRESH_SECONDS
            # An unknown key is a reason to look again, but not at the pace of somebody who makes such up.
            if fresh and not (again and time.monotonic() - moment > 10.0):
                return value
        value = fetch()
        with self._lock:
            self._published[address] = (time.monotonic(), value)
        return value

    def _get(self, address: str) -> dict[str, Any]:
        answer = self._http("GET", address)
        if answer.status_code != 200:
            raise Unavailable(f"{self.provider.label} answers with status {answer.status_code}; try again.")
        return self._json(answer)

    def _http(self, method: str, address: str, **options: Any) -> httpx.Response:
        try:
            # Redirects are not followed: they would lead the client secret elsewhere.
            with httpx.Client(timeout=_SECONDS, headers={"Accept": "application/json"}) as http:
                return http.request(method, address, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self.provider.label} does not answer; try again in a moment.") from error

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError as error:
            raise self._doubt("sent no JSON") from error
        if not isinstance(found, dict):
            raise self._doubt("sent no JSON object")
        return found

    def _doubt(self, what: str) -> Unauthenticated:
        return Unauthenticated(f"{self.provider.label} {what}; begin to sign in once more.")


@lru_cache(maxsize=16)
def conversation(provider: Provider) -> Conversation:
    """The one conversation of this process with a provider."""
    return Conversation(provider)


def _origin(address: Any) -> tuple[str, str]:
    parts = urlsplit(address if isinstance(address, str) else "")
    return parts.scheme, parts.netloc


def _email_of(claims: Mapping[str, Any], provider: Provider) -> str | None:
    """The e-mail address, if the provider says that it is verified.

    Microsoft says nothing of the kind but ``xms_edov``. A tenant of the operator's own is believed without it; of all
    others anybody may be the administrator, who writes into the address what he likes.
    """
    email = _text(claims.get("email"))
    said = [claims[name] for name in ("email_verified", "xms_edov") if name in claims]
    verified = any(_is_true(one) for one in said)
    if not said and provider.name == "microsoft" and provider.own:
        verified = True
    return email.lower() if email and verified else None


def _is_true(claim: Any) -> bool:
    return claim is True or str(claim).lower() in {"true", "1"}


def _text(claim: Any) -> str | None:
    text = claim.strip()[:254] if isinstance(claim, str) else ""
    return text if text and text.isprintable() else None
