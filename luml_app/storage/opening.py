"""From a bucket's row to its storage."""

from __future__ import annotations

from typing import Any

from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.schemas.errors import Conflict
from luml_app.storage.interface import Storage
from luml_app.storage.local import LocalStorage
from luml_app.storage.signing import SigningKey, UrlSigner


def store_signer(keys: Keys) -> UrlSigner:
    """The signer of the built-in store's addresses; the store itself checks with the same."""
    return UrlSigner([SigningKey(key_id, secret) for key_id, secret in keys.store.items()])


def open_bucket(row: Any, keys: Keys, settings: Settings) -> Storage:
    """The storage behind a row of the table `buckets`. Raises Conflict for a kind that this server cannot open."""
    if row.builtin:
        return LocalStorage(settings.store_root, row.bucket_name, settings.address, store_signer(keys))
    raise Conflict(f"This server cannot open {row.type} buckets yet; use the built-in one.")
