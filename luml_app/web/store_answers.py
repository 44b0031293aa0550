"""What every answer of the built-in store has in common: open to all origins, errors as S3 writes them, quiet logs."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any

from tornado.web import HTTPError, RequestHandler

from luml_app.schemas.errors import Forbidden, LumlError, NotFound, ServerFault, Unavailable
from luml_app.storage import errors, s3_xml

_log = logging.getLogger(__name__)

_EXPOSED_HEADERS = "ETag, Content-Length, Content-Range, Content-Disposition, Accept-Ranges, X-Luml-Sha256"

_STATUS: dict[type[Exception], int] = {
    errors.MissingContentLength: 411,
    errors.PreconditionFailed: 412,
    errors.InvalidObjectState: 409,
    errors.InvalidRange: 416,
    errors.InsufficientStorage: 507,
    Forbidden: 403,
    NotFound: 404,
    Unavailable: 503,
    ServerFault: 500,
    LumlError: 400,
}


class StoreAnswers(RequestHandler):
    """What every answer of the store has in common: open to all origins, XML errors, no signature in a log."""

    def set_default_headers(self) -> None:
        """Objects are saved, never shown: anybody's HTML may be in them, and they lie on the dashboard's origin."""
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Access-Control-Expose-Headers", _EXPOSED_HEADERS)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")

    def check_xsrf_cookie(self) -> None:
        """The signature is the credential; cookies play no part."""

    def check_trusted_origin(self, origin: str) -> bool:
        """Signed addresses may be used from anywhere."""
        return True

    def compute_etag(self) -> str | None:
        """ETags are those of the objects."""
        return None

    def write_xml(self, text: str) -> None:
        """Answer with a document, or a piece of one."""
        self.set_header("Content-Type", "application/xml")
        self.write(text)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer in S3's form; `write_error` is how Tornado asks for it."""
        self.explain(kwargs["exc_info"][1] if "exc_info" in kwargs else HTTPError(status_code))
        self.finish()

    def explain(self, error: BaseException) -> None:
        """Turn an error into status, headers and document."""
        self.set_status(status_of(error))
        if isinstance(error, errors.InvalidRange):
            self.set_header("Content-Range", f"bytes */{error.size}")
        self.write_xml(s3_xml.DECLARATION + error_document(error, self.request.path))

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """A client's mistake is an answer, not an event; only our own faults get a traceback."""
        if value is not None and status_of(value) >= 500:
            _log.error("%s", self._request_summary(), exc_info=(type(value), value, tb))

    def _request_summary(self) -> str:
        """Whoever reads the log must not be able to use the address, so the query with the signature stays out."""
        return f"{self.request.method} {self.request.path} ({self.request.remote_ip})"


def status_of(error: BaseException) -> int:
    """The HTTP status that belongs to an error."""
    if isinstance(error, HTTPError):
        return error.status_code
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


def error_document(error: BaseException, resource: str) -> str:
    """An error in S3's form, without the XML declaration; what is our own fault is not told in detail."""
    if isinstance(error, LumlError):
        return s3_xml.error(type(error).__name__, error.message, resource)
    if isinstance(error, HTTPError) and error.status_code < 500:
        return s3_xml.error("InvalidRequest", error.reason or "The request cannot be understood.", resource)
    return s3_xml.error("InternalError", "The store has a fault; its log says more.", resource)
