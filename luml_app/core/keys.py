"""Secrets of the installation: hashes of tokens, encryption of credentials, signatures of store addresses.

All are derived from master keys, of which the first makes and all of them read: so a key can be replaced without
losing what the old one has written.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from luml_app.schemas.errors import ConfigurationError

USER_KEY, SATELLITE_KEY = "dfs_", "dfssat_"


class Keys:
    """The keys in use, newest first; each a text of at least 32 characters.

    Raises ConfigurationError when there is none, or one is too short to be a key.
    """

    def __init__(self, masters: Sequence[str]) -> None:
        if not masters or any(len(master) < 32 for master in masters):
            raise ConfigurationError("A secret key of at least 32 characters is needed.")
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(m, "encryption"))) for m in masters])
        self._token_keys = [_derive(master, "tokens") for master in masters]
        self.store = {hashlib.sha256(key).hexdigest()[:8]: key for key in (_derive(m, "store") for m in masters)}
        self.sessions = _derive(masters[0], "bokeh sessions").hex()

    def hash(self, token: str) -> str:
        """The form in which a token is stored: it finds the row, and opens nothing when the table is read by others."""
        return hmac.new(self._token_keys[0], token.encode(), hashlib.sha256).hexdigest()

    def hashes(self, token: str) -> list[str]:
        """The token's hash under every key in use."""
        return [hmac.new(key, token.encode(), hashlib.sha256).hexdigest() for key in self._token_keys]

    def encrypt(self, text: str) -> bytes:
        """Encrypt with the newest key."""
        return self._fernet.encrypt(text.encode())

    def decrypt(self, data: bytes) -> str:
        """Decrypt with whichever key fits. Raises ConfigurationError when none does."""
        try:
            return self._fernet.decrypt(data).decode()
        except InvalidToken as error:
            raise ConfigurationError(
                "Stored credentials do not fit the secret keys; are these the keys of this database?"
            ) from error


def _derive(master: str, purpose: str) -> bytes:
    return hmac.new(master.encode(), f"luml/{purpose}".encode(), hashlib.sha256).digest()


def new_token(prefix: str = "") -> str:
    """A fresh secret of 256 bits."""
    return prefix + secrets.token_urlsafe(32)
