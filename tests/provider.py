"""An OpenID Connect provider on a free port, with keys of its own; it can be told to lie."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "luml at the tests", "the client's/secret%"


@dataclass
class IdentityProvider:
    """Signs everybody in who comes, as `claims` say. `lie` is one of the names of `_LIES`.

    While it `hangs` it answers nothing until `goes_on` is set; `waiting` are the requests that it leaves without.
    `asked` and `exchanges` are the requests that it got; `tenants`: it speaks for many, as Microsoft does.
    """

    claims: dict[str, Any] = field(default_factory=dict)
    lie: str | None = None
    refuses: bool = False
    tenants: bool = False
    post_only: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    exchanges: int = 0
    hangs: bool = False
    waiting: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "first", "alg": "RS256", "use": "sig"})
        self.codes: dict[str, dict[str, str]] = {}
        self.goes_on = threading.Event()
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.be()
        threading.Thread(target=self._server.serve_forever, name="provider", daemon=True).start()

    def be(self, subject: str = "grace-1", email: str = "Grace@example.org", **claims: Any) -> None:
        """From now on everybody who comes is this person."""
        self.claims = {"sub": subject, "email": email, "email_verified": True, "name": "Grace Hopper", **claims}

    def settings(self, name: str = "oidc") -> dict[str, str]:
        """The settings of a server that knows this provider as `name`."""
        place = {"microsoft": "microsoft_authority"}.get(name, f"{name}_issuer")
        return {place: self.address, f"{name}_client_id": CLIENT_ID, f"{name}_client_secret": CLIENT_SECRET}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def metadata(self, path: str) -> dict[str, Any]:
        issuer = self.address + path
        if self.tenants:
            issuer = f"{self.address}/{{tenantid}}/v2.0"
        methods = ["client_secret_post"] if self.post_only else ["client_secret_basic", "client_secret_post"]
        return {
            "issuer": "https://evil.example.com" if self.lie == "another issuer" else issuer,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{'http://evil.example.com' if self.lie == 'open line' else self.address}/token",
            "jwks_uri": f"{self.address}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
            "token_endpoint_auth_methods_supported": methods,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes next."""
        self.asked.append(asked)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert set(asked["scope"].split()) == {"openid", "email", "profile"}
        if self.refuses:
            answer = {"error": "access_denied", "state": asked["state"]}
        else:
            code = token_urlsafe(16)
            self.codes[code] = asked
            answer = {"code": code, "state": asked["state"]}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def exchange(self, form: dict[str, str], authorization: str | None) -> dict[str, Any] | None:
        """The tokens for a code; None for who proves nothing."""
        self.exchanges += 1
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or self._client(form, authorization) != (CLIENT_ID, CLIENT_SECRET):
            return None
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if challenge.decode().rstrip("=") != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return None
        now = int(time.time())
        issuer = self.address
        if self.tenants:
            issuer = f"{self.address}/{self.claims['tid']}/v2.0"
        claims = {"iss": issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.claims}
        return {"access_token": "opaque", "token_type": "Bearer", "id_token": self._signed(claims)}

    def _client(self, form: dict[str, str], authorization: str | None) -> tuple[str, str]:
        if self.post_only:
            assert authorization is None
            return form["client_id"], form["client_secret"]
        user, _, password = base64.b64decode((authorization or "").removeprefix("Basic ")).decode().partition(":")
        return unquote(user), unquote(password)

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.lie in _LIES:
            claims = _LIES[self.lie](dict(claims))
        if self.lie == "no signature":
            return f"{_part({'alg': 'none'})}.{_part(claims)}."
        if self.lie == "signed with our own secret":
            return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET), algorithms=["HS256"])
        if self.lie == "signed with another key":
            return jwt.encode({"alg": "RS256", "kid": "first"}, claims, RSAKey.generate_key(2048))
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)


_LIES: dict[str, Any] = {
    "wrong nonce": lambda claims: claims | {"nonce": "of somebody else"},
    "no nonce": lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
    "wrong audience": lambda claims: claims | {"aud": "another client"},
    "for two": lambda claims: claims | {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "expired": lambda claims: claims | {"iat": claims["iat"] - 7200, "exp": claims["iat"] - 3600},
    "from the future": lambda claims: claims | {"iat": claims["iat"] + 7200, "exp": claims["iat"] + 9000},
    "wrong issuer": lambda claims: claims | {"iss": "https://evil.example.com"},
    "no subject": lambda claims: {name: value for name, value in claims.items() if name != "sub"},
}
LIES = [*_LIES, "no signature", "signed with our own secret", "signed with another key"]


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class _Handler(BaseHTTPRequestHandler):
    provider: IdentityProvider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.endswith("/.well-known/openid-configuration"):
            self._json(self.provider.metadata(parts.path.removesuffix("/.well-known/openid-configuration")))
        elif parts.path == "/keys":
            self._json(KeySet([self.provider.key]).as_dict(private=False))
        else:
            self._redirect(self.provider.authorize({name: v[-1] for name, v in parse_qs(parts.query).items()}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[-1] for name, values in parse_qs(body).items()}
        answer = self.provider.exchange(form, self.headers.get("Authorization"))
        self._json(answer or {"error": "invalid_grant"}, 200 if answer else 400)

    def _json(self, value: Any, status: int = 200) -> None:
        if self.provider.hangs:
            self.provider.waiting.append(self.path)
            self.provider.goes_on.wait()
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@cache
def shared_provider() -> IdentityProvider:
    """One that tells the truth, for cases that only need some provider; it ends with the process."""
    return IdentityProvider()
