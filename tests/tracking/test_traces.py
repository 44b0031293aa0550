"""Spans and evaluation samples of a run."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from luml_app.packaging.errors import PackagingError
from luml_app.tracking import Run
from tests.packaging.conftest import needs
from tests.tracking.conftest import rows

Begin = Callable[..., Run]


def test_spans_are_kept_as_traces(begin: Begin) -> None:
    needs("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Status, StatusCode

    run, provider = begin(), TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(run.span_exporter()))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span(
        "invoke_agent helper", attributes={"gen_ai.operation.name": "invoke_agent"}
    ) as root:
        asked = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 12}
        with tracer.start_as_current_span("chat", attributes=asked) as chat:
            chat.add_event("choice", {"n": 1})
        with pytest.raises(ValueError, match="bad"), tracer.start_as_current_span("search") as tool:
            tool.set_attribute("openinference.span.kind", "tool")
            raise ValueError("bad")
        root.set_status(Status(StatusCode.OK))
    assert provider.force_flush()
    run.flush()
    found = rows(run.path, "SELECT name, dfs_span_type, status_code, parent_span_id IS NULL, attributes FROM spans")
    assert {row[:4] for row in found} == {("invoke_agent helper", 2, 1, 1), ("chat", 1, 0, 0), ("search", 3, 2, 0)}
    assert asked in [json.loads(row[4]) for row in found]
    ((trace_id, children),) = rows(run.path, "SELECT trace_id, count(parent_span_id) FROM spans GROUP BY trace_id")
    assert trace_id == f"{root.get_span_context().trace_id:032x}" and children == 2
    ((events,),) = rows(run.path, "SELECT events FROM spans WHERE name = 'chat'")
    assert json.loads(events)[0]["name"] == "choice"
    run.finish()
    with tracer.start_as_current_span("late"):
        pass
    provider.shutdown()
    assert len(rows(run.path, "SELECT 1 FROM spans")) == 3


def test_evaluation_samples_with_scores_and_annotations(begin: Begin) -> None:
    run = begin()
    run.log_eval("qa", "1", {"q": "Where?"}, outputs="here", refs="there", scores={"exact": 0.0}, trace_id="ab" * 16)
    run.log_eval("qa", "1", {"q": "Where?"}, scores={"exact": 1.0}, trace_id="ab" * 16)
    run.log_eval("qa", "2", "plain", metadata={"lang": "de"})
    for value in (True, 3, "fine"):
        run.annotate_eval("qa", "1", "good", value, user="alice", rationale="why not")
    run.annotate_span("ab" * 16, "cd" * 8, "expected", "x", user="bob", kind="expectation")
    run.flush()
    first, second = rows(run.path, "SELECT id, inputs, outputs, refs, scores, metadata FROM evals ORDER BY id")
    assert first == ("1", '{"q": "Where?"}', '"here"', '"there"', '{"exact": 1.0}', None)
    assert second == ("2", '"plain"', None, None, None, '{"lang": "de"}')
    assert rows(run.path, "SELECT eval_dataset_id, eval_id, trace_id FROM eval_traces_bridge") == [
        ("qa", "1", "ab" * 16)
    ]
    said = rows(run.path, "SELECT value_type, value, user, annotation_kind FROM eval_annotations")
    assert {row[:2] for row in said} == {("bool", "true"), ("int", "3"), ("string", "fine")}
    assert rows(run.path, "SELECT span_id, annotation_kind FROM span_annotations") == [("cd" * 8, "expectation")]
    with pytest.raises(PackagingError, match="inputs of the sample"):
        run.log_eval("qa", "3", object())
    with pytest.raises(PackagingError, match=r"annotation 'good' is 1\.5"):
        run.annotate_eval("qa", "1", "good", 1.5, user="alice")  # type: ignore[arg-type]
