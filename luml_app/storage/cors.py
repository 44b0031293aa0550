"""What a bucket has to be told so that the pages of a server may speak to it."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from luml_app.storage.interface import StorageKind

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
_SECONDS = 3600


def cors_advice(kind: StorageKind, origin: str) -> dict[str, str]:
    """The configuration for a bucket of this kind, ready to be copied, by the tool that takes it."""
    if kind == "azure":
        return {"az": _azure(origin)}
    return {"json": _json(origin), "xml": _xml(origin)}


def _json(origin: str) -> str:
    """For the console of AWS; ``aws s3api put-bucket-cors`` wants it inside of ``{"CORSRules": …}``."""
    rule = {
        "AllowedOrigins": [origin],
        "AllowedMethods": list(METHODS),
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Range", "Accept-Ranges"],
        "MaxAgeSeconds": _SECONDS,
    }
    return json.dumps([rule], indent=2)


def _xml(origin: str) -> str:
    """For the API of S3 and for tools that take its documents, such as s3cmd and mc."""
    methods = "".join(f"    <AllowedMethod>{method}</AllowedMethod>\n" for method in METHODS)
    exposed = "".join(f"    <ExposeHeader>{name}</ExposeHeader>\n" for name in ("ETag", "Content-Range"))
    return (
        "<CORSConfiguration>\n  <CORSRule>\n"
        f"    <AllowedOrigin>{escape(origin)}</AllowedOrigin>\n{methods}    <AllowedHeader>*</AllowedHeader>\n{exposed}"
        f"    <MaxAgeSeconds>{_SECONDS}</MaxAgeSeconds>\n  </CORSRule>\n</CORSConfiguration>"
    )


def _azure(origin: str) -> str:
    return (
        f"az storage cors add --services b --origins '{origin}' --methods {' '.join(METHODS)} "
        f"--allowed-headers '*' --exposed-headers '*' --max-age {_SECONDS} --connection-string '<connection string>'"
    )
