"""Secrets of the installation: hashes of tokens, encryption of credentials, signatures of store addresses.

All are derived from master keys, of which the first makes and all of them read: so a key can be replaced without
losing what the old one has written. What a key has made begins with its id (``1f2e3d4c.…``), so that one can tell
what still needs which key; what is older than that begins with no id and is read all the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence

from cryptography.fernet import Fernet, InvalidToken

from luml_app.schemas.errors import ConfigurationError

USER_KEY, SATELLITE_KEY = "dfs_", "dfssat_"
ID_LENGTH = 8
Reload = Callable[[], Sequence[str] | None]
"""Gives the master keys when they have changed since it was last called, else None."""


class MasterKey:
    """What is derived from one master key. Raises ConfigurationError for a text that is too short to be one."""

    def __init__(self, text: str) -> None:
        if len(text) < 32:
            raise ConfigurationError("A secret key of at least 32 characters is needed.")
        self.id = _derive(text, "id").hex()[:ID_LENGTH]
        self.fernet = Fernet(base64.urlsafe_b64encode(_derive(text, "encryption")))
        self.tokens = _derive(text, "tokens")
        self.store = _derive(text, "store")
        self.store_id = hashlib.sha256(self.store).hexdigest()[:ID_LENGTH]
        self.sessions = _derive(text, "bokeh sessions").hex()

    def hash(self, token: str) -> str:
        """The hash of a token, without an id."""
        return hmac.new(self.tokens, token.encode(), hashlib.sha256).hexdigest()


class Keys:
    """The keys in use, newest first; each a text of at least 32 characters.

    With `reload` they follow a place that others may change, at once and in every process.
    Raises ConfigurationError when there is none, or one is too short to be a key.
    """

    def __init__(self, masters: Sequence[str], reload: Reload | None = None) -> None:
        self._reload = reload
        self._keys = _read(masters)

    @property
    def ids(self) -> list[str]:
        """The ids of the keys in use, newest first."""
        return [key.id for key in self._current()]

    @property
    def store(self) -> dict[str, bytes]:
        """The keys that sign addresses of the built-in store, newest first, by the ids that stand in the addresses."""
        return {key.store_id: key.store for key in self._current()}

    @property
    def sessions(self) -> str:
        """The key that signs the sessions of pages."""
        return self._current()[0].sessions

    def hash(self, token: str) -> str:
        """The form in which a token is stored: it finds the row, and opens nothing when the table is read by others."""
        newest = self._current()[0]
        return f"{newest.id}.{newest.hash(token)}"

    def hashes(self, token: str) -> list[str]:
        """The token's hash under every key in use, in every form that may be stored."""
        bare = [(key.id, key.hash(token)) for key in self._current()]
        return [*(f"{key_id}.{hashed}" for key_id, hashed in bare), *(hashed for _, hashed in bare)]

    def is_newest(self, stored: str) -> bool:
        """Whether a stored hash was made with the newest key."""
        return made_by(stored) == self._current()[0].id

    def encrypt(self, text: str) -> bytes:
        """Encrypt with the newest key."""
        newest = self._current()[0]
        return newest.id.encode() + b"." + newest.fernet.encrypt(text.encode())

    def decrypt(self, data: bytes) -> str:
        """Decrypt with the key that fits. Raises ConfigurationError when none does."""
        key_id, sealed = made_by(data), data[ID_LENGTH + 1 :]
        if key_id is None:
            sealed = data
        for key in self._current():
            if key_id in (None, key.id):
                try:
                    return key.fernet.decrypt(sealed).decode()
                except InvalidToken:
                    continue
        raise ConfigurationError("Stored credentials do not fit the secret keys; are these the keys of this database?")

    def _current(self) -> list[MasterKey]:
        if self._reload is not None and (masters := self._reload()) is not None:
            self._keys = _read(masters)
        return self._keys


def made_by(stored: str | bytes) -> str | None:
    """The id of the key that has made this, or None for what was made before there were ids."""
    head = stored[: ID_LENGTH + 1]
    text = head.decode(errors="replace") if isinstance(head, bytes) else head
    return text[:-1] if text.endswith(".") else None


def new_token(prefix: str = "") -> str:
    """A fresh secret of 256 bits."""
    return prefix + secrets.token_urlsafe(32)


def _read(masters: Sequence[str]) -> list[MasterKey]:
    if not masters:
        raise ConfigurationError("A secret key of at least 32 characters is needed.")
    return [MasterKey(master) for master in masters]


def _derive(master: str, purpose: str) -> bytes:
    return hmac.new(master.encode(), f"luml/{purpose}".encode(), hashlib.sha256).digest()
