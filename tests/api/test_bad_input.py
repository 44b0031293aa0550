"""Every field of every operation refuses what it may not hold, and says which field it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import inspect as kinds

from luml_app.core.service import Request
from luml_app.schemas.errors import Invalid
from tests.api.bad_values import bad_values, changed, fields_of, members
from tests.api.cases import CASES, OPERATIONS, request_of
from tests.api.stage import Stage
from tests.api.test_strangers import contents

WITH_BODY = [name for name, one in OPERATIONS.items() if one.body is not None]
WITH_QUERY = [name for name, one in OPERATIONS.items() if one.query]
BAD_UTF8 = "@bad-utf8@"


@pytest.fixture
def refused(stage: Stage) -> Callable[[Request, str], None]:
    """Calls, and wants the field to be named."""

    def call(request: Request, what: str, name: str) -> None:
        try:
            stage.house.service.call(request)
        except Invalid as error:
            assert any(name in map(str, problem.loc) for problem in error.problems), (what, error.problems)
            assert all(len(problem.msg) < 500 for problem in error.problems)
        else:
            pytest.fail(f"{what}, and it was taken")

    return call


@pytest.mark.parametrize("name", WITH_BODY)
def test_every_field_of_a_body(name: str, stage: Stage, refused: Any) -> None:
    operation = OPERATIONS[name]
    request = request_of(stage, operation)
    sample = request.body
    before = contents(stage.house)
    for place, kind in fields_of(operation.body, sample):
        field = ".".join(map(str, place))
        for what, value in bad_values(kind):
            request.body = json.dumps(changed(sample, place, value)).encode()
            refused(request, f"{field}: {what}", str(place[-1]))
        if any(isinstance(one, kinds.StrType) for one in members(kind)):
            request.body = json.dumps(changed(sample, place, BAD_UTF8)).encode().replace(BAD_UTF8.encode(), b"\xff")
            refused(request, f"{field} is not UTF-8", str(place[-1]))
    assert contents(stage.house) == before


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_field_that_is_nested_too_deeply(name: str, stage: Stage, refused: Any) -> None:
    request = request_of(stage, OPERATIONS[name])
    sample = request.body
    for field in kinds.type_info(OPERATIONS[name].body).fields:  # type: ignore[attr-defined]
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = opening * 100_000 + "1" + closing * 100_000
            text = json.dumps({**sample, field.encode_name: BAD_UTF8})
            request.body = text.replace(f'"{BAD_UTF8}"', nested).encode()
            refused(request, f"{field.name} is deep", field.encode_name)


@pytest.mark.parametrize("name", WITH_QUERY)
def test_every_parameter_of_a_query(name: str, stage: Stage, refused: Any) -> None:
    operation = OPERATIONS[name]
    request = request_of(stage, operation)
    sample = request.query
    for parameter, declared in operation.query.items():
        allowed = members(kinds.type_info(declared.annotation))
        items = [item for one in allowed if isinstance(one, kinds.ListType) for item in members(one.item_type)]
        text = any(isinstance(one, kinds.StrType) for one in (*allowed, *items))
        of_list = any(isinstance(one, kinds.ListType) for one in allowed)
        for value in ["x" * 20_000] if text else ["x", "", "1e400", "9" * 400, "nan", "\N{SNOWMAN}"]:
            request.query = sample | {parameter: [value] if of_list else value}
            refused(request, f"{parameter} is {value[:20]!r}", parameter)


def test_every_text_number_and_list_that_comes_in_has_a_limit() -> None:
    """Nobody may fill the database, or the memory, by one field."""
    unlimited = []
    for name in WITH_BODY:
        for field in _all_fields(kinds.type_info(OPERATIONS[name].body), (name,)):
            unlimited.append(field)
    assert not unlimited


def _all_fields(kind: Any, place: tuple[str, ...]) -> list[str]:
    found = []
    for one in members(kind):
        if isinstance(one, kinds.StructType):
            for field in one.fields:
                found += _all_fields(field.type, (*place, field.name))
        elif isinstance(one, kinds.ListType):
            found += [".".join(place)] if one.max_length is None else []
            found += _all_fields(one.item_type, (*place, "[]"))
        elif isinstance(one, kinds.StrType):
            found += [".".join(place)] if one.max_length is None else []
        elif isinstance(one, kinds.IntType):
            found += [".".join(place)] if one.le is None or one.ge is None else []
    return found


__all__ = ["CASES"]
