"""Deployments that do not fit what their satellite has declared are refused, with the field and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from luml_app.core import tables as t
from luml_app.resources.parameters import ModelTraits, check_parameters
from luml_app.schemas.errors import Conflict, Invalid
from tests.api.stage import Stage

FORM: list[dict[str, Any]] = [
    {"name": "size", "type": "dropdown", "required": True, "validators": [], "conditions": [],
     "values": [{"label": "Small", "value": "s"}, {"label": "Large", "value": "l"}]},
    {"name": "cpus", "type": "number", "values": None, "required": False, "conditions": [],
     "validators": [{"type": "min", "value": 1, "message": "One at least."}, {"type": "max", "value": 8}]},
    {"name": "zone", "type": "text", "values": None, "required": True, "validators": [
        {"type": "regex", "value": "^[a-z]+-[0-9]$", "message": "Zones look like eu-1."}],
     "conditions": [{"type": "field", "body": {"field": "size", "operator": "equal", "value": "l"}}]},
    {"name": "spot", "type": "boolean", "values": None, "required": False, "validators": [], "conditions": []},
]  # fmt: skip


def declare(stage: Stage, **deploy: Any) -> None:
    with stage.house.database.write() as db:
        db.execute(update(t.satellites).values(capabilities={"deploy": {"version": 1, **deploy}}))


def deploy(stage: Stage, **parameters: Any) -> Any:
    parts = {name: stage.ids[name] for name in ("satellite_id", "artifact_id")}
    return stage.alice.deployments.create(*stage.path(), **parts, name="Pythia", satellite_parameters=parameters)


def test_what_fits_is_deployed(stage: Stage) -> None:
    declare(stage, extra_fields_form_spec=FORM)
    made = deploy(stage, size="l", zone="eu-1", cpus="2.5", spot=True)
    assert made.satellite_parameters == {"size": "l", "zone": "eu-1", "cpus": "2.5", "spot": True}
    deploy(stage, size="s", cpus=8)


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({}, "size", "needs this parameter"),
        ({"size": "m"}, "size", "one of s, l"),
        ({"size": "s", "cpus": 0}, "cpus", "One at least"),
        ({"size": "s", "cpus": 9}, "cpus", "at most 8"),
        ({"size": "s", "cpus": "many"}, "cpus", "a number"),
        ({"size": "l"}, "zone", "needs this parameter"),
        ({"size": "l", "zone": "EU"}, "zone", "Zones look like eu-1"),
        ({"size": "l", "zone": 1}, "zone", "a text"),
        ({"size": "s", "spot": "perhaps"}, "spot", "true or false"),
        ({"size": "s", "speed": 1}, "speed", "has size, cpus, zone, spot"),
    ],
)
def test_what_does_not_fit_names_field_and_remedy(stage: Stage, given: dict[str, Any], field: str, said: str) -> None:
    declare(stage, extra_fields_form_spec=FORM)
    with pytest.raises(Invalid, match=said) as refused:
        deploy(stage, **given)
    assert [problem.loc for problem in refused.value.problems] == [["body", "satellite_parameters", field]]


@pytest.mark.parametrize("form", [None, [], [{"name": "x"}], [{"name": "x", "type": "color"}]])
def test_a_form_that_says_nothing_lets_everything_through(stage: Stage, form: Any) -> None:
    declare(stage, extra_fields_form_spec=form)
    assert deploy(stage, anything=1).satellite_parameters == {"anything": 1}


@pytest.mark.parametrize(
    ("able", "said"),
    [
        ({"supported_tags_combinations": [["sklearn", "tabular"], ["onnx"]]}, "sklearn with tabular or onnx"),
        ({"supported_variants": ["pipeline"]}, "deploys pipeline, not pyfunc"),
    ],
)
def test_a_model_of_another_kind_is_refused(stage: Stage, able: dict[str, Any], said: str) -> None:
    declare(stage, **able)
    with pytest.raises(Conflict, match=said):
        deploy(stage)


@pytest.mark.parametrize("combinations", [None, [], [["tests:1"]], [["other"], ["tests:1"]]])
def test_a_model_with_one_of_the_sets_of_tags_is_deployed(stage: Stage, combinations: Any) -> None:
    declare(stage, supported_variants=["pyfunc"], supported_tags_combinations=combinations)
    assert deploy(stage).status == "pending"


@pytest.mark.parametrize(
    ("condition", "shown"),
    [
        ({"type": "model", "body": {"field": "tags", "operator": "includes", "value": [["a", "b"], ["c"]]}}, True),
        ({"type": "model", "body": {"field": "tags", "operator": "includes", "value": [["a", "c"]]}}, False),
        ({"type": "model", "body": {"field": "variant", "operator": "neq", "value": "pyfunc"}}, False),
        ({"type": "model", "body": {"field": "variant", "operator": "includes", "value": "pyfunc,pipeline"}}, True),
        ({"type": "field", "body": {"field": "n", "operator": "gte", "value": 2}}, True),
        ({"type": "field", "body": {"field": "n", "operator": "lt", "value": 2}}, False),
        ({"type": "field", "body": {"field": "m", "operator": "includes", "value": None}}, False),
        ({"type": "field", "body": [{"type": "field", "body": {"field": "n", "operator": "equal", "value": 2}}]}, True),
    ],
)
def test_a_needed_field_is_needed_only_where_its_conditions_hold(condition: dict[str, Any], shown: bool) -> None:
    form = [
        {"name": "n", "type": "number"},
        {"name": "m", "type": "number", "required": True, "conditions": [condition]},
    ]
    model = ModelTraits("pyfunc", frozenset({"a", "b"}))
    if shown:
        with pytest.raises(Invalid, match="m: The satellite needs"):
            check_parameters({"extra_fields_form_spec": form}, {"n": 2}, model)
    else:
        check_parameters({"extra_fields_form_spec": form}, {"n": 2}, model)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|a)*b", "a*a*a*a*a*b", "(", "(?=a)b"])
def test_a_satellites_pattern_cannot_keep_the_server_busy(pattern: str) -> None:
    """Tried as it is, most of them would not be done with this text before the sun burns out."""
    form = [{"name": "x", "type": "text", "validators": [{"type": "regex", "value": pattern}]}]
    check_parameters({"extra_fields_form_spec": form}, {"x": "a" * 1000 + "!"}, ModelTraits())
