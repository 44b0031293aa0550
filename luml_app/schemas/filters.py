"""Filter expressions over artifacts: ``metrics.auc > 0.9 and tags contains "prod" and created_at > "2026-01-01"``.

::

    expression  = both ("or" both)*
    both        = part ("and" part)*
    part        = "not" part | "(" expression ")" | comparison
    comparison  = field ("=" | "!=" | "<" | "<=" | ">" | ">=") value
                | field ["not"] "contains" text
                | field ["not"] "in" "(" value ("," value)* ")"
                | field "is" ["not"] "null" | field ["not"] "exists"
    field       = an attribute | "metrics." name | "params." name

What is missing compares as false with everything, and `!=` and `not` are the plain opposite: ``metrics.auc != 0.5``
holds for an artifact without the metric. A date without a time stands for the whole day (UTC).
`parse` makes a tree; `luml_app.resources.filtering` makes SQL of the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, NoReturn

from luml_app.schemas.filter_tokens import Token, refuse, tokens_of

FieldKind = Literal["text", "choice", "number", "time", "tags", "metric", "param"]
Order = Literal["=", "<", "<=", ">", ">="]
Value = str | float | bool | datetime | date

ATTRIBUTES: dict[str, FieldKind] = {
    "name": "text",
    "description": "text",
    "type": "choice",
    "status": "choice",
    "tags": "tags",
    "collection_name": "text",
    "created_by_user": "text",
    "file_name": "text",
    "file_hash": "text",
    "size": "number",
    "created_at": "time",
    "updated_at": "time",
}
CHOICES = {
    "type": ("model", "experiment", "dataset"),
    "status": ("pending_upload", "uploaded", "pending_deletion", "upload_failed", "deletion_failed"),
}
MAX_DEPTH = 30
MAX_COMPARISONS = 50
MAX_VALUES = 100
MAX_NAME = 200
TEXT_COMPARED = 250
"""Characters of a metric's or parameter's text that are stored for comparing; longer texts are compared by these."""


@dataclass(frozen=True)
class Field:
    """What is compared: an attribute, a metric or a parameter; the name of the latter two as ``metrics.auc``."""

    name: str
    kind: FieldKind


@dataclass(frozen=True)
class Compare:
    """A field beside one value."""

    field: Field
    order: Order
    value: Value


@dataclass(frozen=True)
class Contains:
    """A text that holds a piece, in whatever case; or tags, one of which is the piece."""

    field: Field
    piece: str


@dataclass(frozen=True)
class Among:
    """A field that equals one of the values."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Exists:
    """A field that is there: not null, and of tags at least one."""

    field: Field


@dataclass(frozen=True)
class Not:
    """The opposite."""

    part: Filter


@dataclass(frozen=True)
class Both:
    """All of the parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Either:
    """At least one of the parts."""

    parts: tuple[Filter, ...]


Comparison = Compare | Contains | Among | Exists
Filter = Comparison | Not | Both | Either


def parse(expression: str) -> Filter:
    """The tree of an expression. Raises Invalid, which shows where and says what was expected."""
    return _Parser(expression).whole()


class _Parser:
    """Recursive descent, one method per rule of the grammar."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = tokens_of(expression)
        self._next = 0
        self._depth = 0
        self._comparisons = 0

    def whole(self) -> Filter:
        found = self._expression_of("either")
        if self._token.kind != "end":
            self._expected("'and', 'or' or the end")
        return found

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _expression_of(self, level: Literal["either", "both"]) -> Filter:
        word, kind = ("or", Either) if level == "either" else ("and", Both)
        parts = [self._below(level)]
        while self._took(word):
            parts.append(self._below(level))
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _below(self, level: Literal["either", "both"]) -> Filter:
        return self._expression_of("both") if level == "either" else self._part()

    def _part(self) -> Filter:
        opening = self._token
        if not (opening.keyword == "not" or (opening.value == "(" and opening.kind == "sign")):
            return self._comparison()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._refuse(opening, f"The expression is nested too deeply; {MAX_DEPTH} levels are allowed.")
        self._next += 1
        found = Not(self._part()) if opening.keyword == "not" else self._in_parentheses()
        self._depth -= 1
        return found

    def _in_parentheses(self) -> Filter:
        found = self._expression_of("either")
        self._take(")", "'and', 'or' or ')'")
        return found

    def _comparison(self) -> Filter:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            self._refuse(self._token, f"The expression has too many comparisons; {MAX_COMPARISONS} are allowed.")
        field = self._field()
        if self._took("is"):
            return self._null(field)
        negated = self._took("not")
        found = self._set_comparison(field) or (None if negated else self._order(field))
        if found is None:
            self._expected("'in', 'contains' or 'exists'" if negated else _OPERATORS)
        return Not(found) if negated else found

    def _null(self, field: Field) -> Filter:
        negated = self._took("not")
        self._take("null", "'null'" if negated else "'null' or 'not null'")
        return Exists(field) if negated else Not(Exists(field))

    def _set_comparison(self, field: Field) -> Filter | None:
        operator = self._token
        if self._took("exists"):
            return Exists(field)
        if self._took("contains"):
            if field.kind in ("number", "time", "choice"):
                self._refuse(operator, f"{field.name} is no text; compare it with = != < <= > >= or in (…).")
            return Contains(field, self._text(field))
        return Among(field, self._values(field)) if self._took("in") else None

    def _order(self, field: Field) -> Filter | None:
        operator = self._token
        if operator.kind != "sign" or operator.value not in _SIGNS:
            return None
        if field.kind == "tags":
            self._refuse(operator, 'tags is a list; write tags contains "prod" or tags in ("prod", "test").')
        if field.kind == "choice" and operator.value not in ("=", "!="):
            self._refuse(operator, f"{field.name} has no order; compare it with =, != or in (…).")
        self._next += 1
        if operator.value == "!=":
            return Not(Compare(field, "=", self._value(field)))
        return Compare(field, _SIGNS[operator.value], self._value(field, ordered=operator.value != "="))

    def _field(self) -> Field:
        token = self._token
        if token.kind != "word" or token.keyword in _KEYWORDS:
            self._expected(
                "an attribute, metrics.… or params.…" + (" (or 'not' or '(')" if token.kind == "end" else "")
            )
        self._next += 1
        group, _, name = token.value.partition(".")
        if group in ("metrics", "params"):
            if not 1 <= len(name) <= MAX_NAME:
                self._refuse(token, f"A name of 1 to {MAX_NAME} characters follows {group}., in quotes if it is odd.")
            return Field(token.value, "metric" if group == "metrics" else "param")
        if token.value not in ATTRIBUTES:
            self._refuse(token, _unknown_attribute(token.value))
        return Field(token.value, ATTRIBUTES[token.value])

    def _values(self, field: Field) -> tuple[Value, ...]:
        self._take("(", "'(' and a list of values")
        values = [self._value(field)]
        while self._took(","):
            if len(values) == MAX_VALUES:
                self._refuse(self._token, f"The list is too long; {MAX_VALUES} values are allowed.")
            values.append(self._value(field))
        self._take(")", "',' or ')'")
        return tuple(values)

    def _text(self, field: Field) -> str:
        token = self._token
        if token.kind != "quoted":
            self._expected("a text in quotes")
        self._next += 1
        return token.value

    def _value(self, field: Field, *, ordered: bool = False) -> Value:
        token = self._token
        if token.kind not in ("quoted", "number") and token.keyword not in ("true", "false"):
            self._expected(_WANTED[field.kind])
        self._next += 1
        match field.kind:
            case "number":
                return self._number(token, f"{field.name} is a number")
            case "time":
                return self._time(token, field)
            case "metric" | "param":
                return self._free_value(token, field, ordered)
            case _:
                return self._own_text(token, field)

    def _number(self, token: Token, why: str) -> float:
        if token.kind != "number":
            self._refuse(token, f"{why}; write it without quotes, as in 0.9.")
        value = float(token.value)
        if abs(value) == float("inf"):
            self._refuse(token, "This number is too large; numbers go up to 1.7e308.")
        return value

    def _time(self, token: Token, field: Field) -> Value:
        try:
            return _moment(token.value if token.kind == "quoted" else "")
        except (ValueError, OverflowError):
            self._refuse(token, f'{field.name} is a time; write it as "2026-01-31" or "2026-01-31T12:00:00+01:00".')

    def _free_value(self, token: Token, field: Field, ordered: bool) -> Value:
        if token.kind == "number":
            return self._number(token, "")
        if ordered and (field.kind == "metric" or token.kind == "word"):
            self._refuse(token, f"{field.name} is ordered by numbers; write one without quotes, as in 0.9.")
        return token.value if token.kind == "quoted" else token.keyword == "true"

    def _own_text(self, token: Token, field: Field) -> str:
        if token.kind != "quoted":
            self._refuse(token, f"{field.name} is a text; put the value in quotes.")
        choices = CHOICES.get(field.name)
        if choices and token.value not in choices:
            self._refuse(token, f"{field.name} is one of {', '.join(choices)}.")
        return token.value

    def _took(self, word: str) -> bool:
        token = self._token
        found = token.keyword == word or (token.kind == "sign" and token.value == word)
        self._next += found
        return found

    def _take(self, word: str, expected: str) -> None:
        if not self._took(word):
            self._expected(expected)

    def _expected(self, what: str) -> NoReturn:
        token = self._token
        found = token.written if token.kind == "end" else repr(token.written[:40])
        self._refuse(token, f"{what[0].upper()}{what[1:]} was expected, not {found}.")

    def _refuse(self, token: Token, message: str) -> NoReturn:
        refuse(self._expression, token.place, message)


_SIGNS: dict[str, Any] = {sign: sign for sign in ("=", "!=", "<", "<=", ">", ">=")}
_OPERATORS = "one of = != < <= > >= contains in is exists"
_KEYWORDS = {"and", "or", "not", "in", "contains", "is", "null", "exists", "true", "false"}
_WANTED: dict[FieldKind, str] = {
    "text": "a text in quotes",
    "choice": "a text in quotes",
    "tags": "a text in quotes",
    "number": "a number",
    "time": 'a date in quotes, such as "2026-01-31",',
    "metric": "a number, a text in quotes, true or false",
    "param": "a number, a text in quotes, true or false",
}


def _moment(text: str) -> datetime | date:
    """A day, or a moment, which is of UTC unless it says otherwise. Raises ValueError, and OverflowError for a moment
    that is not in the calendar in UTC.
    """
    if len(text) == len("2026-01-31"):
        return date.fromisoformat(text)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _unknown_attribute(name: str) -> str:
    known, shown = ", ".join(ATTRIBUTES), name[:60]
    return (
        f"There is no attribute {shown!r}. There are: {known}; "
        f"a metric is written metrics.{shown}, a parameter params.{shown}."
    )
