"""Filter expressions: what they find, compared with plain Python over the same rows, and what they say when faulty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from luml_app.core import tables as t
from luml_app.schemas.errors import BadRequest, Invalid
from luml_app.schemas.filters import ATTRIBUTES, MAX_VALUES, parse
from tests.api.filter_model import holds
from tests.api.stage import Stage, announced, mark_uploaded

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["Dodo", "dodo 50%", "Lory", None, "Ülo_x", 'Eaglet\'s "egg"', "a"]
METRICS: list[Any] = [0.5, 0.9, -1, 0, 3, None, 1e300, 10**400, "0.9", "high", True, [1], 1e-320]
PARAMS: list[Any] = ["adam", "sgd", 3, 0.5, True, False, "true", None, "Adam", {"a": 1}, ""]


def _rows(stage: Stage) -> list[dict[str, Any]]:
    """Artifacts with gaps, ties and odd values; as dicts for the yardstick."""
    api, rows = stage.alice, []
    for number in range(60):
        metric, param = METRICS[number % len(METRICS)], PARAMS[number % len(PARAMS)]
        fields: dict[str, Any] = {
            "name": NAMES[number % len(NAMES)],
            "description": None if number % 4 else f"Nr {number} of the caucus race",
            "tags": [None, [], ["prod"], ["prod", "egg-1"], ["Prod"]][number % 5],
            "size": 1 + number % 3,
            "extra_values": {"auc": metric, "val/loss (%)": number / 10} if number % 6 else {},
            "params": {"opt": param, "depth": number % 4} if number % 7 else {},
        }
        made = api.artifacts.create(*stage.path("collection_id"), **announced(**fields)).artifact
        if number % 2:
            mark_uploaded(stage.house.database, made.id)
        moment = START + timedelta(hours=9 * number)
        with stage.house.database.write() as db:
            db.execute(update(t.artifacts).where(t.artifacts.c.id == made.id).values(created_at=moment))
        rows.append({"id": made.id})
    return _as_plain(stage)


def _as_plain(stage: Stage) -> list[dict[str, Any]]:
    with stage.house.database.read() as db:
        found = list(db.execute(select(t.artifacts)).mappings())
    return [
        {**row, "collection_name": "Croquet", "metrics": row["extra_values"], "params": row["params"]} for row in found
    ]


def found_by(stage: Stage, expression: str, **query: Any) -> set[Any]:
    ids: set[Any] = set()
    cursor = None
    while True:
        page = stage.alice.artifacts.list(*stage.path(), filter=expression, cursor=cursor, limit=100, **query)
        ids |= {one.id for one in page.items}
        cursor = page.cursor
        if cursor is None:
            return ids


EXAMPLES = [
    'metrics.auc > 0.4 and tags contains "prod" and created_at > "2026-01-05"',
    "metrics.auc = 0.9",
    "metrics.auc != 0.9",
    'metrics.auc = "high"',
    'metrics.auc in (0.5, "0.9", true)',
    "metrics.auc exists and not metrics.auc > -10",
    "metrics.auc is null",
    "metrics.auc is not null",
    "metrics.auc not exists",
    'metrics."val/loss (%)" <= 2.5',
    "metrics.`val/loss (%)` > 2.5",
    "metrics.auc > 1e307",
    'params.opt = "adam" or params.opt = true',
    'params.opt contains "ADA"',
    'params.opt < "b"',
    "params.opt > 1",
    "params.depth in (1, 3)",
    'not (params.depth = 1 or name contains "dodo")',
    'NAME = "x" or name = "Dodo"'.replace("NAME", "name"),
    'name contains "50%"',
    'name contains "ülo_"',
    'name contains ""',
    'name contains "\'s \\"e"',
    'name > "E"',
    "name is null",
    'description contains "caucus" AND size >= 2',
    'tags in ("egg-1", "Prod")',
    'tags not contains "prod"',
    "tags exists",
    "not tags exists",
    'type = "model" and status in ("pending_upload")',
    'status != "uploaded"',
    'created_at = "2026-01-02"',
    'created_at > "9999-12-31" or size = 1',
    'created_at <= "9999-12-31" and created_at >= "0001-01-01"',
    'created_at = "9999-12-31" or created_at < "0001-01-01" or created_at = "0001-01-01"',
    'created_at >= "2026-01-03" and created_at <= "2026-01-05"',
    'created_at > "2026-01-03T09:00:00" and created_at < "2026-01-07T00:00:00+02:00"',
    "updated_at is null",
    'collection_name contains "roq"',
    'created_by_user = "Alice"',
    "size in (1, 2.0)",
    "size > 1.5",
    "size < 1e300",
]


@pytest.fixture
def rows(stage: Stage) -> list[dict[str, Any]]:
    return _rows(stage)


def test_every_example_finds_what_python_finds(stage: Stage, rows: list[dict[str, Any]]) -> None:
    for expression in EXAMPLES:
        tree = parse(expression)
        expected = {row["id"] for row in rows if holds(tree, row)}
        assert found_by(stage, expression) == expected, expression
        assert found_by(stage, expression, sort_by="auc") == expected, expression
        assert found_by(stage, expression, sort_by="name", order="asc") == expected, expression


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


texts = st.one_of(
    st.sampled_from(["adam", "prod", "dodo", "", "50%", "_", "true", "Ülo", "egg-1", "0.9"]),
    st.text(st.characters(max_codepoint=0x2FF, exclude_characters="\0"), max_size=4),
)
numbers = st.one_of(st.sampled_from([0, 0.5, 0.9, -1, 3, 1e300]), st.floats(-1e308, 1e308)).map(repr)
values = st.one_of(texts.map(quoted), numbers, st.sampled_from(["true", "false"]))
orders = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
days = st.dates(START.date(), (START + timedelta(days=30)).date()).map(lambda day: f'"{day}"')
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1)).map(lambda moment: f'"{moment.isoformat()}"')
names = st.sampled_from(["metrics.auc", 'metrics."val/loss (%)"', "params.opt", "params.depth", "metrics.none"])


def lists(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(of, min_size=1, max_size=3).map(lambda found: f"({', '.join(found)})")


comparisons = st.one_of(
    st.tuples(names, orders, numbers).map(" ".join),
    st.tuples(names, st.sampled_from(["=", "!="]), values).map(" ".join),
    st.tuples(names, st.sampled_from(["in", "not in"]), lists(values)).map(" ".join),
    st.tuples(st.just("params.opt"), orders, texts.map(quoted)).map(" ".join),
    st.tuples(st.sampled_from(["name", "description", "created_by_user"]), orders, texts.map(quoted)).map(" ".join),
    st.tuples(
        st.sampled_from(["name", "description", "tags", "params.opt", "metrics.auc", "collection_name"]),
        st.sampled_from(["contains", "not contains"]),
        texts.map(quoted),
    ).map(" ".join),
    st.tuples(st.just("tags"), st.sampled_from(["in", "not in"]), lists(texts.map(quoted))).map(" ".join),
    st.tuples(st.just("created_at"), orders, st.one_of(days, moments)).map(" ".join),
    st.tuples(st.just("size"), orders, numbers).map(" ".join),
    st.tuples(
        st.one_of(names, st.sampled_from(["name", "description", "tags", "updated_at"])),
        st.sampled_from(["is null", "is not null", "exists", "not exists"]),
    ).map(" ".join),
)
expressions = st.recursive(
    comparisons,
    lambda part: st.one_of(
        part.map(lambda one: f"not ({one})"),
        st.tuples(part, st.sampled_from([" and ", " or "]), part).map(lambda parts: f"({''.join(parts)})"),
    ),
    max_leaves=5,
)


def test_whatever_is_asked_python_and_postgres_agree(stage: Stage, rows: list[dict[str, Any]]) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(expressions, st.sampled_from(["created_at", "auc", "name"]))
    def agree(expression: str, sort: str) -> None:
        tree = parse(expression)
        assert found_by(stage, expression, sort_by=sort) == {row["id"] for row in rows if holds(tree, row)}

    agree()


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_parsed_or_refused_with_its_place(text: str) -> None:
    try:
        parse(text)
    except Invalid as error:
        (problem,) = error.problems
        assert problem.loc == ["query", "filter"]
        assert problem.msg.startswith("At character ")
        assert problem.msg.splitlines()[-1].strip() == "^"


FAULTS = {
    "": "An attribute, metrics.… or params.… (or 'not' or '(') was expected",
    "metrics.auc >": "A number, a text in quotes, true or false was expected, not the end",
    "metrics.auc > 0.5 metrics.f1 > 1": "'and', 'or' or the end was expected, not 'metrics.f1'",
    "auc > 0.5": "There is no attribute 'auc'. There are: name, description, type",
    "metrics.auc > '0.5'": "metrics.auc is ordered by numbers",
    'size = "big"': "size is a number",
    "size contains '1'": "size is no text",
    "name = 3": "name is a text; put the value in quotes",
    'status = "done"': "status is one of pending_upload, uploaded",
    'status > "uploaded"': "status has no order",
    'tags = "prod"': 'write tags contains "prod"',
    "tags in ()": "A text in quotes was expected",
    'created_at > "soon"': "created_at is a time",
    'created_at > "2026-02-30"': "created_at is a time",
    "created_at > 2026": "created_at is a time",
    "created_at > 2026-01-01": 'created_at is a time; write it as "2026-01-31"',
    "metrics.auc > 0.9.1": "'0.9.1' is no number",
    '(name = "a"': "'and', 'or' or ')' was expected",
    'name = "a': 'This text has no closing ".',
    "metrics.auc > 1e999": "This number is too large",
    "metrics.auc > " + "9" * 400: "This number is too large",
    "metrics.auc ~ 1": "'~' means nothing here",
    "metrics. > 1": "A name of 1 to 200 characters follows metrics.",
    f"metrics.{'x' * 201} > 1": "A name of 1 to 200 characters follows metrics.",
    "not " * 31 + "name exists": "nested too deeply",
    "(" * 31 + "name exists" + ")" * 31: "nested too deeply",
    " or ".join(["name exists"] * 51): "too many comparisons",
    f"size in ({', '.join(['1'] * (MAX_VALUES + 1))})": "The list is too long",
    "name exists " + " " * 4000: "4000",
    "name = 'a' or metrics.auc like 3": "One of = != < <= > >= contains in is exists was expected, not 'like'",
    "name not = 'a'": "'in', 'contains' or 'exists' was expected",
    "name is 3": "'null' or 'not null' was expected",
    'name = "a\0"': "A NUL character",
}


@pytest.mark.parametrize("expression", FAULTS)
def test_a_fault_is_shown_where_it_is(expression: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(expression)
    assert FAULTS[expression] in caught.value.problems[0].msg


def test_the_caret_stands_below_the_fault() -> None:
    with pytest.raises(Invalid) as caught:
        parse('tags contains "prod" and auc > 0.9')
    *_, shown, caret = caught.value.problems[0].msg.splitlines()
    assert shown[caret.index("^") :] == "auc > 0.9"
    with pytest.raises(Invalid) as caught:
        parse("name exists and " * 20 + "auc > 0.9" + " and name exists" * 20)
    *_, shown, caret = caught.value.problems[0].msg.splitlines()
    assert shown[caret.index("^") :].startswith("auc > 0.9")
    assert len(shown) < 120


def test_every_attribute_can_be_asked_for(stage: Stage) -> None:
    for name in ATTRIBUTES:
        assert found_by(stage, f"{name} exists or {name} is null") >= {stage.spare.id}


def test_a_faulty_filter_names_the_parameter_over_every_transport(api: Any, stage: Stage) -> None:
    with pytest.raises(Invalid) as caught:
        api.artifacts.list(*stage.path(), filter="auc > 1")
    assert caught.value.problems[0].loc == ["query", "filter"]
    assert "metrics.auc" in caught.value.message


def test_a_cursor_belongs_to_its_filter(stage: Stage) -> None:
    cursor = stage.alice.artifacts.list(*stage.path(), limit=1, filter="metrics.accuracy > 0").cursor
    with pytest.raises(BadRequest, match="belongs to another"):
        stage.alice.artifacts.list(*stage.path(), limit=1, filter="metrics.accuracy > 0.1", cursor=cursor)


def test_a_filter_is_never_sql(stage: Stage) -> None:
    for text in ("'; drop table artifacts; --", "%s", ":name", "\\", "$1", "{}", '"'):
        assert (
            found_by(stage, f"name = {quoted(text)} or metrics.{quoted(text)} > 1 or tags contains {quoted(text)}")
            == set()
        )
