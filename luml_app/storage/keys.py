"""Names of buckets, objects and uploads, and the place on disk that belongs to an object."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

from luml_app.storage.errors import InvalidArgument, NoSuchUpload
from luml_app.storage.parts import MAX_PART_NUMBER

MAX_KEY_BYTES = 1024

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_UNSAFE_CATEGORIES = {"Cc", "Cs"}


def check_bucket(bucket: str) -> str:
    """Give back `bucket` if it is a name as S3 admits it, else raise `InvalidArgument`."""
    if not _BUCKET.fullmatch(bucket):
        raise InvalidArgument(
            "bucket: use 1 to 63 lower-case letters, digits, '.', '-' or '_', a letter or digit first."
        )
    return bucket


def check_key(key: str) -> str:
    """Give back `key` if every client, proxy and bucket understands it in the same way, else raise `InvalidArgument`.

    Empty segments, `.` and `..` are refused although buckets could store them: browsers and proxies rewrite such
    addresses before they arrive, so that the object could be stored but not be fetched again.
    """
    if any(unicodedata.category(character) in _UNSAFE_CATEGORIES for character in key):
        raise InvalidArgument("key: control characters and lone surrogates are not allowed.")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise InvalidArgument(f"key: use at most {MAX_KEY_BYTES} bytes of UTF-8.")
    if any(segment in {"", ".", ".."} for segment in key.split("/")):
        raise InvalidArgument("key: every segment between slashes needs a name other than '.' and '..'.")
    return key


def check_upload_id(upload_id: str) -> str:
    """Give back `upload_id` if it may be one of ours, else raise `NoSuchUpload`."""
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise NoSuchUpload
    return upload_id


def required_upload(upload_id: str | None) -> str:
    """Give back the id of an upload. Raises `InvalidArgument` when there is none."""
    if not upload_id:
        raise InvalidArgument("upload_id: POST the initiate address first and send the UploadId of its answer.")
    return upload_id


def check_part_number(number: int) -> int:
    """Give back `number` if it is a part number, else raise `InvalidArgument`."""
    if not 1 <= number <= MAX_PART_NUMBER:
        raise InvalidArgument(f"partNumber: must be between 1 and {MAX_PART_NUMBER}.")
    return number


def object_path(objects: Path, key: str) -> Path:
    """Where the object `key` lies below the folder `objects`.

    The name on disk is a digest of the key: nothing in a key can then leave the folder, be too long, collide with a
    folder of another key, or collide on a disk that ignores case. The key itself is kept in the file's closing record.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()
    return objects / digest[:2] / digest[2:]
