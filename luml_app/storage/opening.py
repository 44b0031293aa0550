"""From a bucket's row to its storage."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from typing import Any

from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.storage.interface import Storage
from luml_app.storage.local import LocalStorage
from luml_app.storage.places import Place
from luml_app.storage.signing import SigningKey, UrlSigner

_KEPT = 64
_kept: OrderedDict[bytes, Storage] = OrderedDict()
_lock = threading.Lock()


def store_signer(keys: Keys) -> UrlSigner:
    """The signer of the built-in store's addresses; the store itself checks with the same."""
    return UrlSigner(lambda: [SigningKey(key_id, secret) for key_id, secret in keys.store.items()])


def open_bucket(row: Any, keys: Keys, settings: Settings) -> Storage:
    """The storage behind a row of the table `buckets`.

    Opening one elsewhere costs about 100 ms the first time; those used last are kept open, each until its row says
    something else. Raises `Invalid` for a row that the settings of this server do not allow any more.
    """
    if row.builtin:
        return LocalStorage(settings.store_root, row.bucket_name, settings.address, store_signer(keys))
    mark = _mark_of(row, settings)
    with _lock:
        if (known := _kept.get(mark)) is not None:
            _kept.move_to_end(mark)
            return known
    opened = open_place(place_of(row, keys), settings)
    with _lock:
        opened = _kept.setdefault(mark, opened)
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return opened


def open_place(place: Place, settings: Settings) -> Storage:
    """A new storage for a place. Raises `Invalid`, which names the field, for one that cannot be."""
    public_only = settings.private_buckets != "allow"
    if place.type == "azure":
        from luml_app.storage.azure import AzureStorage

        return AzureStorage(place, public_only=public_only)
    from luml_app.storage.s3 import S3Storage

    return S3Storage(place, public_only=public_only)


def place_of(row: Any, keys: Keys) -> Place:
    """The place that a row describes, with its credentials in the clear."""
    secrets = json.loads(keys.decrypt(row.credentials)) if row.credentials else {}
    return Place(row.type, row.endpoint, row.bucket_name, row.region, row.secure, row.cert_check, secrets)


def _mark_of(row: Any, settings: Settings) -> bytes:
    """The same for the same place, credentials and settings; it holds none of them in the clear."""
    told = (row.type, row.endpoint, row.bucket_name, row.region, row.secure, row.cert_check, settings.private_buckets)
    return hashlib.sha256(repr(told).encode() + bytes(row.credentials or b"")).digest()
