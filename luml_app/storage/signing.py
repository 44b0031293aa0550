"""Signed, expiring addresses of the built-in store.

A signature is an HMAC-SHA256 over the method, the path, every query parameter that changes what the request does,
the time of expiry and the id of the key. An address looks like::

    {base_url}/store/{bucket}/{key}?…&X-Luml-Expires=<unix seconds>&X-Luml-KeyId=<id>&X-Luml-Signature=<hex>

The path is signed in its decoded form, without the part of `base_url`: proxies may re-encode it or strip a prefix.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode

from luml_app.schemas.errors import ConfigurationError
from luml_app.storage.errors import AccessDenied

SIGNED_PARAMETERS = frozenset({"partNumber", "uploadId", "uploads", "response-content-disposition"})
"""The query parameters that change what a request does."""

EXPIRES, KEY_ID, SIGNATURE = "X-Luml-Expires", "X-Luml-KeyId", "X-Luml-Signature"

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECONDS = re.compile(r"[0-9]{1,12}")
_MIN_SECRET_BYTES = 32
_MAX_PARAMETERS = 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret of at least 32 bytes and the name under which addresses refer to it."""

    id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.id):
            raise ConfigurationError("signing key: the id takes 1 to 64 letters, digits, '-' or '_'.")
        if len(self.secret) < _MIN_SECRET_BYTES:
            raise ConfigurationError(f"signing key {self.id}: the secret needs at least {_MIN_SECRET_BYTES} bytes.")


class UrlSigner:
    """Signs addresses with the first of `keys` and accepts the signatures of all of them, so that keys can be rotated.

    `keys` may be a function that gives those of the moment. `clock` gives the seconds since the epoch.
    """

    def __init__(
        self,
        keys: Sequence[SigningKey] | Callable[[], Sequence[SigningKey]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ring = keys if callable(keys) else lambda: keys
        self._clock = clock
        known = self._ring()
        if not known:
            raise ConfigurationError("signing keys: at least one is needed.")
        if len({key.id for key in known}) != len(known):
            raise ConfigurationError("signing keys: every key needs an id of its own.")

    def signed_url(
        self, base_url: str, method: str, path: str, expires: int, parameters: Mapping[str, str] | None = None
    ) -> str:
        """The address of `path` (decoded, with a leading slash) for `method`, valid for `expires` seconds from now."""
        query = dict(parameters or {})
        deadline = str(int(self._clock()) + expires)
        key = self._ring()[0]
        query |= {EXPIRES: deadline, KEY_ID: key.id, SIGNATURE: _signature(key, method, path, query, deadline)}
        return f"{base_url.rstrip('/')}{quote(path)}?{urlencode(query, quote_via=quote)}"

    def verify(self, method: str, path: str, query: str) -> dict[str, str]:
        """Check the raw `query` string of a request for the decoded `path`; give back its signed parameters.

        A signature for GET also admits HEAD. Raises `AccessDenied`.
        """
        given = _parameters(query)
        signed = {name: value for name, value in given.items() if name in SIGNED_PARAMETERS}
        deadline = given.get(EXPIRES, "")
        self._check_signature("GET" if method == "HEAD" else method, path, signed, deadline, given)
        if int(deadline) <= self._clock():
            raise AccessDenied("The address has expired; ask for a new one.")
        return signed

    def _check_signature(
        self, method: str, path: str, signed: Mapping[str, str], deadline: str, given: Mapping[str, str]
    ) -> None:
        key = next((key for key in self._ring() if key.id == given.get(KEY_ID)), None)
        if key is None or not _SECONDS.fullmatch(deadline):
            raise AccessDenied
        expected = _signature(key, method, path, signed, deadline)
        if not hmac.compare_digest(expected.encode(), given.get(SIGNATURE, "").encode(errors="replace")):
            raise AccessDenied


def _parameters(query: str) -> dict[str, str]:
    """A parameter that is given twice is refused: signer and reader could otherwise look at different values."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise AccessDenied from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise AccessDenied("The address names a parameter twice.")
    return parameters


def _signature(key: SigningKey, method: str, path: str, query: Mapping[str, str], deadline: str) -> str:
    """JSON keeps the fields apart whatever characters they hold."""
    message = json.dumps([method, path, sorted(query.items()), deadline, key.id]).encode()
    return hmac.new(key.secret, message, hashlib.sha256).hexdigest()
