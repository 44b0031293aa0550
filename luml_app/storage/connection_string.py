"""Azure's connection strings: address, name and key of an account in one text."""

from __future__ import annotations

import base64
import re

from luml_app.schemas.errors import Invalid
from luml_app.storage.endpoints import endpoint_url

_EXAMPLE = "DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net"


def read_connection_string(text: str) -> tuple[str, dict[str, str]]:
    """The address of the account's blobs, and its name and key. Raises `Invalid`, which repeats none of it."""
    pairs = (part.partition("=") for part in text.strip().split(";") if part.strip())
    given = {name.strip().lower(): value.strip() for name, _, value in pairs}
    name, key = given.get("accountname"), given.get("accountkey")
    if not name or not key:
        raise Invalid.field(
            "endpoint",
            f"Give a connection string with the name and key of the account ({_EXAMPLE}): "
            "only the key can sign addresses for clients.",
        )
    if not re.fullmatch(r"[a-z0-9]{3,24}", name):
        raise Invalid.field("endpoint", "AccountName takes 3 to 24 lower-case letters and digits.")
    _check_key(key)
    scheme, suffix = given.get("defaultendpointsprotocol", "https"), given.get("endpointsuffix", "core.windows.net")
    url = given.get("blobendpoint") or f"{scheme}://{name}.blob.{suffix}"
    return endpoint_url(url), {"account_name": name, "account_key": key}


def _check_key(key: str) -> None:
    try:
        base64.b64decode(key, validate=True)
    except ValueError as error:
        raise Invalid.field("endpoint", "AccountKey must be base64; copy the connection string anew.") from error
