"""The signature of a webhook, as the Standard Webhooks specification has it: an HMAC over id, time and body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"


def new_secret() -> str:
    """A fresh secret of 256 bits, in the form in which receivers configure it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_headers(message_id: str, timestamp: int, body: bytes, keys: Iterable[str]) -> dict[str, str]:
    """The three headers of a message, signed with every key in use, so that receivers may know either of them."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(key, content) for key in keys),
    }


def _signature(key: str, content: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(raw, content, hashlib.sha256).digest()).decode()
