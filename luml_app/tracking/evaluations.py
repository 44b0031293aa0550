"""Evaluation samples of a run: what went in and came out, what was expected, how it was scored, what people say."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from luml_app.packaging.errors import PackagingError
from luml_app.tracking.writer import Statement

AnnotationKind = Literal["feedback", "expectation"]

_EVAL = """
INSERT INTO evals (id, dataset_id, inputs, outputs, refs, scores, metadata) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (dataset_id, id) DO UPDATE SET
    inputs = excluded.inputs, outputs = coalesce(excluded.outputs, outputs), refs = coalesce(excluded.refs, refs),
    scores = coalesce(excluded.scores, scores), metadata = coalesce(excluded.metadata, metadata),
    updated_at = CURRENT_TIMESTAMP
"""
_TRACE = """
INSERT INTO eval_traces_bridge (eval_dataset_id, eval_id, trace_id)
SELECT :dataset, :sample, :trace WHERE NOT EXISTS (
    SELECT 1 FROM eval_traces_bridge WHERE eval_dataset_id = :dataset AND eval_id = :sample AND trace_id = :trace)
"""
_ANNOTATION = """
INSERT INTO {table} (id, {columns}, name, annotation_kind, value_type, value, user, rationale)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ON_EVAL = _ANNOTATION.format(table="eval_annotations", columns="dataset_id, eval_id")
_ON_SPAN = _ANNOTATION.format(table="span_annotations", columns="trace_id, span_id")


class Evaluations:
    """What a run keeps of an evaluation; a part of `Run`."""

    def execute(self, *statements: Statement) -> None:
        """Have statements executed soon, in this order, all of them or none. Raises `TrackingError` after the end."""
        raise NotImplementedError

    def log_eval(
        self,
        dataset: str,
        sample: str,
        inputs: Any,
        *,
        outputs: Any = None,
        refs: Any = None,
        scores: Mapping[str, float] | None = None,
        metadata: Mapping[str, Any] | None = None,
        trace_id: str | None = None,
    ) -> None:
        """Keep a sample of an evaluation dataset, under names of your choice; logged again, what is given replaces.

        `refs` is what was expected, `trace_id` (32 hex digits) the trace in which the outputs came about. Raises
        `PackagingError` for what JSON cannot hold.
        """
        parts = {
            "outputs": outputs,
            "refs": refs,
            "scores": scores and dict(scores),
            "metadata": metadata and dict(metadata),
        }
        texts = (None if value is None else _json(name, value) for name, value in parts.items())
        statements: list[Statement] = [(_EVAL, (sample, dataset, _json("inputs", inputs), *texts))]
        if trace_id is not None:
            statements.append((_TRACE, {"dataset": dataset, "sample": sample, "trace": trace_id}))
        self.execute(*statements)

    def annotate_eval(
        self,
        dataset: str,
        sample: str,
        name: str,
        value: bool | int | str,
        *,
        user: str,
        kind: AnnotationKind = "feedback",
        rationale: str | None = None,
    ) -> None:
        """Keep what somebody (`user`) says about a sample: feedback on what came out, or what was expected."""
        self.execute((_ON_EVAL, _annotation(dataset, sample, name, kind, value, user, rationale)))

    def annotate_span(
        self,
        trace_id: str,
        span_id: str,
        name: str,
        value: bool | int | str,
        *,
        user: str,
        kind: AnnotationKind = "feedback",
        rationale: str | None = None,
    ) -> None:
        """Keep what somebody says about a span (ids in hex)."""
        self.execute((_ON_SPAN, _annotation(trace_id, span_id, name, kind, value, user, rationale)))


def _annotation(
    first: str, second: str, name: str, kind: str, value: Any, user: str, rationale: str | None
) -> tuple[object, ...]:
    types = {bool: "bool", int: "int", str: "string"}
    if type(value) not in types:
        raise PackagingError(
            f"The annotation {name!r} is {value!r}; it must be a text, a whole number, or true or false."
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return (str(uuid.uuid4()), first, second, name, kind, types[type(value)], text, user, rationale)


def _json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise PackagingError(f"{name} of the sample cannot be kept as JSON: {error}.") from error
