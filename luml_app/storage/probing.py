"""A probe: all that LUML and its clients do with a bucket, done once, each step with a sentence about it.

It goes by signed addresses as clients do, so that it finds what they would meet, from where the server stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

from luml_app.schemas.buckets import BucketReport, ProbeStep
from luml_app.schemas.errors import LumlError
from luml_app.storage.cors import cors_advice
from luml_app.storage.interface import Storage
from luml_app.storage.parts import Part
from luml_app.storage.requests import Reply, Requests

_SECONDS = 300
_CONTENT = b"LUML looks whether this bucket works; the object may be deleted."
_RANGE = (5, 15)
_BLOB = {"x-ms-blob-type": "BlockBlob"}


class _StepFailed(Exception):  # noqa: N818 - it never leaves the module
    """A step went wrong in a way that is worth a sentence."""


def probe_bucket(storage: Storage, address: str) -> BucketReport:
    """Try a bucket. `address` is the server's own, whose pages are to speak to the bucket."""
    report = BucketReport(ok=False, steps=[])
    probe = _Probe(storage, origin=_origin(address))
    for name in ("write", "read", "range", "multipart", "delete", "cors"):
        step = probe.step(name)
        report.steps.append(step)
        if name == "write" and not step.ok:
            break
    passed = {step.name: step.ok for step in report.steps}
    report.ok = all(passed.get(name, False) for name in ("write", "read", "range", "multipart", "delete"))
    if passed.get("cors") is False:
        report.cors = cors_advice(storage.kind, probe.origin)
    return report


class _Probe:
    """The steps, each a method that gives the sentence of its success."""

    def __init__(self, storage: Storage, *, origin: str) -> None:
        self.origin = origin
        self._storage = storage
        self._requests = Requests(storage.reach)
        self._key = f"probe/{uuid4().hex}"
        self._blob = _BLOB if storage.kind == "azure" else {}

    def step(self, name: str) -> ProbeStep:
        """Do one step; it gives its sentence, or what went wrong."""
        work: Callable[[], str] = getattr(self, f"_{name}")
        try:
            return ProbeStep(name=name, ok=True, detail=work())
        except _StepFailed as failure:
            return ProbeStep(name=name, ok=False, detail=str(failure))
        except LumlError as error:
            return ProbeStep(name=name, ok=False, detail=error.message)

    def _write(self) -> str:
        url = self._storage.upload_url(self._key, _SECONDS)
        self._wanted(self._send("PUT", url, _CONTENT, self._blob), "write an object")
        return f"An object of {len(_CONTENT)} bytes was written."

    def _read(self) -> str:
        info = self._storage.stat(self._key)
        if info is None:
            raise _StepFailed("The object that was written is not there; does the bucket delete what is new?")
        reply = self._wanted(self._send("GET", self._storage.download_url(self._key, _SECONDS)), "read it")
        if reply.content != _CONTENT or info.size != len(_CONTENT):
            raise _StepFailed("The object came back with other bytes than were written.")
        return "It came back byte for byte."

    def _range(self) -> str:
        first, last = _RANGE
        url, wanted = self._storage.download_url(self._key, _SECONDS), {"Range": f"bytes={first}-{last}"}
        reply = self._wanted(self._send("GET", url, headers=wanted), "read a range of it")
        if reply.status != 206:
            raise _StepFailed(
                f"A request for a range was answered with {reply.status} instead of 206: files can be stored and "
                "fetched, but some clients refuse such a bucket, and previews have to fetch whole files."
            )
        if reply.content != _CONTENT[first : last + 1]:
            raise _StepFailed("A request for a range was answered with other bytes than that range.")
        return "A range of it was answered with 206."

    def _multipart(self) -> str:
        key = f"{self._key}-parts"
        url = self._storage.initiate_url(key, _SECONDS)
        upload_id = None if url is None else self._begun(url)
        try:
            (part,) = self._storage.part_urls(key, upload_id, [Part(1, 0, len(_CONTENT) - 1, len(_CONTENT))], _SECONDS)
            self._wanted(self._send("PUT", part, _CONTENT), "upload a part")
        finally:
            self._storage.abort_multipart(key, upload_id)
        return "An upload in parts was begun, got a part, and was given up."

    def _begun(self, url: str) -> str:
        reply = self._wanted(self._send("POST", url), "begin an upload in parts")
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", reply.content)
        if found is None:
            raise _StepFailed("The answer to the beginning of an upload in parts holds no upload id.")
        return found.group(1).decode(errors="replace")

    def _delete(self) -> str:
        self._wanted(self._send("DELETE", self._storage.delete_url(self._key, _SECONDS)), "delete it")
        if self._storage.stat(self._key) is not None:
            raise _StepFailed("The bucket said that it deleted the object, which is there all the same.")
        return "The object was deleted."

    def _cors(self) -> str:
        asked = {
            "Origin": self.origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": ",".join(["content-type", *self._blob]),
        }
        reply = self._send("OPTIONS", self._storage.upload_url(self._key, _SECONDS), headers=asked)
        allowed = reply.headers.get("Access-Control-Allow-Origin")
        if reply.status >= 300 or allowed not in {"*", self.origin}:
            raise _StepFailed(
                f"The bucket does not let pages of {self.origin} speak to it (a preflight got {reply.status}): "
                "uploads from the browser will fail until its CORS configuration allows them."
            )
        if "PUT" not in reply.headers.get("Access-Control-Allow-Methods", ""):
            raise _StepFailed(f"The bucket lets pages of {self.origin} read, but not write (PUT).")
        return f"Pages of {self.origin} may speak to the bucket."

    def _send(
        self, method: str, url: str, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        return self._requests.send(method, url, content, headers or {})

    def _wanted(self, reply: Reply, purpose: str) -> Reply:
        if reply.status >= 300:
            code = re.search(rb"<Code>([A-Za-z0-9.]{1,60})</Code>", reply.content)
            said = f"{reply.status} {code.group(1).decode()}" if code else str(reply.status)
            raise _StepFailed(f"The bucket refuses to {purpose} ({said}); check its name, region and credentials.")
        return reply


def _origin(address: str) -> str:
    split = urlsplit(address)
    return f"{split.scheme}://{split.netloc}"
