"""Single members of a stored artifact, read by range without downloading the rest."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from luml_app.client.connections import explained
from luml_app.schemas.artifacts import ArtifactDetails
from luml_app.schemas.errors import LumlError, Unavailable
from luml_widgets.outbound import open_http

MAX_BYTES = 2_000_000
_SECONDS = 10.0


def read_json(api: Any, organization_id: str, one: ArtifactDetails, member: str) -> Any:
    """A JSON member of an artifact; None when it has none of that name, or it is too large to be one.

    Raises LumlError when the bucket does not answer, or answers with something else.
    """
    offset, size = one.file_index.get(member, (0, 0))
    if not 0 < size <= MAX_BYTES:
        return None
    signed = api.artifacts.download_url(organization_id, one.collection.orbit_id, one.collection_id, one.id)
    headers = {"Range": f"bytes={offset}-{offset + size - 1}"}
    try:
        with (
            open_http(api, "bucket", timeout=_SECONDS) as http,
            http.stream("GET", signed.url, headers=headers) as answer,
        ):
            if answer.status_code != 206:
                raise Unavailable(f"The bucket answered {answer.status_code} when asked for a part of the file.")
            return msgspec.json.decode(answer.read())
    except httpx.HTTPError as error:
        raise Unavailable(f"The bucket does not answer: {explained(error)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LumlError(f"{member} is not valid JSON: {error}") from error
