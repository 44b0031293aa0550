"""Spans of OpenTelemetry, kept with a run as traces; generative AI is recognized by its semantic conventions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from luml_app.tracking.errors import TrackingError
from luml_app.tracking.writer import Statement

if TYPE_CHECKING:
    from luml_app.tracking.run import Run

_DEFAULT, _CHAT, _AGENT, _TOOL, _EMBEDDER, _RERANKER = range(6)
_BY_OPERATION = {
    "chat": _CHAT,
    "generate_content": _CHAT,
    "text_completion": _CHAT,
    "create_agent": _AGENT,
    "invoke_agent": _AGENT,
    "execute_tool": _TOOL,
    "embeddings": _EMBEDDER,
    "rerank": _RERANKER,
}
"""Values of ``gen_ai.operation.name``."""
_BY_KIND = {"LLM": _CHAT, "AGENT": _AGENT, "TOOL": _TOOL, "EMBEDDING": _EMBEDDER, "RERANKER": _RERANKER}
"""Values of ``openinference.span.kind``, for instrumentations that speak OpenInference."""
_COLUMNS = (
    "trace_id, span_id, parent_span_id, name, kind, dfs_span_type, start_time_unix_nano, end_time_unix_nano, "
    "status_code, status_message, attributes, events, links, trace_flags"
)
_SPAN = f"INSERT OR REPLACE INTO spans ({_COLUMNS}) VALUES ({', '.join('?' * 14)})"  # noqa: S608


class RunSpanExporter:
    """A `SpanExporter` that keeps with `run` what ends. Needs ``opentelemetry-sdk``."""

    def __init__(self, run: Run) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        self._run, self._results = run, SpanExportResult

    def export(self, spans: Sequence[Any]) -> Any:
        """Keep spans; a failure once the run has ended, so that a service that goes on does not notice."""
        try:
            self._run.execute(*(statement_of(span) for span in spans))
        except TrackingError:
            return self._results.FAILURE
        return self._results.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all is on disk."""
        self._run.flush()
        return True

    def shutdown(self) -> None:
        """Nothing to do: the run goes on."""


def statement_of(span: Any) -> Statement:
    """What writes a span that has ended (a `ReadableSpan`)."""
    attributes = dict(span.attributes or {})
    events = [
        {"name": one.name, "timestamp": one.timestamp, "attributes": dict(one.attributes or {})} for one in span.events
    ]
    links = [
        {
            "trace_id": _hex(one.context.trace_id, 32),
            "span_id": _hex(one.context.span_id, 16),
            "attributes": dict(one.attributes or {}),
        }
        for one in span.links
    ]
    row = (
        _hex(span.context.trace_id, 32),
        _hex(span.context.span_id, 16),
        None if span.parent is None else _hex(span.parent.span_id, 16),
        span.name,
        span.kind.value,
        span_type(attributes),
        span.start_time or 0,
        span.end_time or span.start_time or 0,
        span.status.status_code.value,
        span.status.description,
        *(json.dumps(part, default=str) for part in (attributes, events, links)),
        int(span.context.trace_flags),
    )
    return _SPAN, row


def span_type(attributes: Mapping[str, Any]) -> int:
    """What a span does: 0 anything, 1 chat, 2 agent, 3 tool, 4 embedder, 5 reranker."""
    operation, kind = str(attributes.get("gen_ai.operation.name")), str(attributes.get("openinference.span.kind"))
    return _BY_OPERATION.get(operation) or _BY_KIND.get(kind.upper(), _DEFAULT)


def _hex(number: int, digits: int) -> str:
    return f"{number:0{digits}x}"
