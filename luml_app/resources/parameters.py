"""Whether a deployment fits what its satellite has declared: the kinds of models it serves, and its parameters.

A satellite that declares no form of parameters checks them itself; then everything goes through.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from luml_app.schemas.errors import Conflict, Invalid, Problem
from luml_app.schemas.satellites import FormCondition, FormField, FormValidator

_FIELD = "satellite_parameters"
_LONGEST_TEXT = 1000
# A pattern comes from a satellite, and one with a repeated group, or with many repetitions, can keep a processor busy
# for years. Such patterns are left to the satellite itself.
_WILD = re.compile(r"\)[*+?{]|\\\d|\(\?[^:]")
_MOST_REPETITIONS = 3


@dataclass(frozen=True)
class ModelTraits:
    """What the conditions of a form may ask of the model."""

    variant: str = ""
    tags: frozenset[str] = frozenset()
    version: str = ""


def check_kind(able: Mapping[str, Any], model: ModelTraits) -> None:
    """Raise Conflict, with the reason, unless the satellite (`able`: its capability "deploy") serves such models."""
    variants = able.get("supported_variants")
    if variants is not None and model.variant not in variants:
        raise Conflict(f"The satellite deploys {', '.join(variants) or 'nothing'}, not {model.variant} models.")
    sets = [one for one in able.get("supported_tags_combinations") or [] if isinstance(one, list)]
    if sets and not any(model.tags.issuperset(map(str, one)) for one in sets):
        wanted = " or ".join(" with ".join(map(str, one)) for one in sets)
        raise Conflict(
            f"The satellite deploys models with the producer tags {wanted}; this one has none of these sets."
        )


def check_parameters(able: Mapping[str, Any], given: Mapping[str, Any], model: ModelTraits) -> None:
    """Raise Invalid, with a sentence for each field, unless the parameters fit the satellite's form."""
    form = form_of(able)
    if not form:
        return
    problems = [*_unknown(form, given), *_missing(form, given, model)]
    for field in form:
        value = given.get(field.name)
        if value is not None and (trouble := _trouble(field, value)):
            problems.append(_problem(field.name, trouble))
    if problems:
        raise Invalid(problems=problems)


def form_of(able: Mapping[str, Any]) -> list[FormField]:
    """The satellite's form; empty as well when not all of it can be understood."""
    try:
        return msgspec.convert(able.get("extra_fields_form_spec") or [], list[FormField])
    except msgspec.ValidationError:
        return []


def _unknown(form: list[FormField], given: Mapping[str, Any]) -> Iterable[Problem]:
    known = [field.name for field in form]
    for name in given.keys() - set(known):
        yield _problem(name, f"The satellite has no such parameter; it has {', '.join(known)}.")


def _missing(form: list[FormField], given: Mapping[str, Any], model: ModelTraits) -> Iterable[Problem]:
    for field in form:
        empty = given.get(field.name) in {None, ""} and field.default is None
        if field.required and empty and _applies(field.conditions, given, model):
            yield _problem(field.name, "The satellite needs this parameter.")


def _problem(name: str, sentence: str) -> Problem:
    return Problem(loc=["body", _FIELD, name], msg=sentence)


def _trouble(field: FormField, value: Any) -> str | None:
    """What is wrong with a value, in a sentence."""
    if field.type == "boolean":
        right = isinstance(value, bool) or str(value).lower() in {"true", "false"}
        return None if right else f"This is {value!r}; it must be true or false."
    if field.type == "number" and (_number(value) is None or (field.whole and _number(value) != int(float(value)))):
        return f"This is {value!r}; it must be a {'whole ' if field.whole else ''}number."
    if field.type == "text" and not isinstance(value, str):
        return f"This is {value!r}; it must be a text."
    if field.type == "dropdown" and str(value) not in (choices := [str(one) for one in _choices(field)]):
        return f"This is {value!r}; it must be one of {', '.join(choices)}."
    broken = next((rule for rule in field.validators if not _holds(rule, field.type, value)), None)
    return _sentence(broken, value) if broken else None


def _choices(field: FormField) -> list[Any]:
    return [one.get("value") if isinstance(one, dict) else one for one in field.values or []]


def _number(value: Any) -> float | None:
    """A number, also as text: the contract's parameters have no fractions."""
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _holds(rule: FormValidator, kind: str, value: Any) -> bool:
    """Whether a value passes; a rule that cannot be understood is the satellite's own business."""
    if rule.type in {"min", "max"}:
        bound, number = _number(rule.value), _number(value) if kind == "number" else None
        return bound is None or number is None or (number >= bound if rule.type == "min" else number <= bound)
    if rule.type == "regex":
        return _matches(str(rule.value), str(value))
    if rule.type in {"equal", "notEqual"}:
        return (str(value) == str(rule.value)) == (rule.type == "equal")
    if rule.type == "in" and isinstance(rule.value, list):
        return str(value) in {str(one) for one in rule.value}
    return True


def _matches(pattern: str, value: str) -> bool:
    if len(value) > _LONGEST_TEXT or _WILD.search(pattern) or sum(map(pattern.count, "*+{")) > _MOST_REPETITIONS:
        return True
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True


def _sentence(rule: FormValidator, value: Any) -> str:
    words = {
        "min": "at least",
        "max": "at most",
        "regex": "like",
        "equal": "",
        "notEqual": "other than",
        "in": "one of",
    }
    return f"This is {value!r}. {rule.message}" if rule.message else (
        f"This is {value!r}; it must be {words[rule.type]} {rule.value}."
    )  # fmt: skip


def _applies(conditions: list[FormCondition], given: Mapping[str, Any], model: ModelTraits) -> bool:
    """Whether a field is shown: all of its conditions hold."""
    return all(_condition_holds(one, given, model) for one in conditions)


def _condition_holds(condition: FormCondition, given: Mapping[str, Any], model: ModelTraits) -> bool:
    body = condition.body
    if isinstance(body, list):
        return _applies(body, given, model)
    name, operator, value = str(body.get("field")), str(body.get("operator")), body.get("value")
    if condition.type == "model":
        return _model_fits(name, operator, value, model)
    if operator in {"includes", "notIncludes"}:
        return (name in given) == (operator == "includes")
    return _compares(given.get(name), operator, value)


def _model_fits(name: str, operator: str, value: Any, model: ModelTraits) -> bool:
    if name == "tags":
        sets = [set(map(str, one)) for one in value if isinstance(one, list)] if isinstance(value, list) else []
        return not sets or any(one <= model.tags for one in sets) == (operator == "includes")
    found = {"variant": model.variant, "version": model.version}.get(name)
    if found is None:
        return False
    if operator in {"includes", "notIncludes"}:
        return (found in str(value)) == (operator == "includes")
    return bool(found == value) == (operator == "eq")


def _compares(found: Any, operator: str, value: Any) -> bool:
    if operator in {"equal", "notEqual"}:
        return bool(found == value) == (operator == "equal")
    left, right = _number(found), _number(value)
    if left is None or right is None:
        return False
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}.get(operator, False)
