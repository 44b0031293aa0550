"""The words of a filter expression: text in, tokens with their places out; and how a fault is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

from luml_app.schemas.errors import Invalid

Kind = Literal["word", "quoted", "number", "sign", "end"]
MAX_LENGTH = 4000
_SHOWN = 50  # characters on each side of a fault

# A quoted name follows the dot at once: metrics."val loss". Names without quotes may hold what metrics' names hold.
_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.]))
  | (?P<path>(?:metrics|params)\.(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`))
  | (?P<word>[^\W\d][\w./@:%-]*)
  | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<sign><=|>=|!=|<>|==|[=<>(),])
    """,
    re.VERBOSE | re.DOTALL,
)
_SPELLINGS = {"==": "=", "<>": "!="}


@dataclass(frozen=True)
class Token:
    """One word of an expression: its `kind`, what it says, how it was written, and where (counted from 0).

    `named` marks a word whose name was quoted, so that it is never taken for a keyword.
    """

    kind: Kind
    value: str
    written: str
    place: int
    named: bool = False

    @property
    def keyword(self) -> str:
        """The word in small letters, as keywords are compared; nothing for what is no plain word."""
        return self.value.lower() if self.kind == "word" and not self.named else ""


def refuse(expression: str, place: int, message: str) -> NoReturn:
    """Raise Invalid: the message, the expression, and a caret below the place."""
    start = max(0, place - _SHOWN)
    piece = expression[start : place + _SHOWN]
    shown = "".join(c if c.isprintable() else " " for c in piece)
    before = "… " if start else ""
    after = " …" if place + _SHOWN < len(expression) else ""
    caret = " " * (len(before) + place - start) + "^"
    raise Invalid.field(
        "filter", f"At character {place + 1}: {message}\n  {before}{shown}{after}\n  {caret}", where="query"
    )


def tokens_of(expression: str) -> list[Token]:
    """The words of an expression, an `end` last. Raises Invalid for one that is too long or holds what is no word."""
    if len(expression) > MAX_LENGTH:
        message = f"The expression has {len(expression)} characters; it may have {MAX_LENGTH}."
        refuse(expression, MAX_LENGTH, message)
    if "\0" in expression:
        refuse(expression, expression.index("\0"), "A NUL character cannot be searched for; remove it.")
    return [*_tokens(expression), Token("end", "", "the end of the expression", len(expression))]


def _tokens(expression: str) -> Iterator[Token]:
    place = 0
    while place < len(expression):
        found = _TOKEN.match(expression, place)
        if found is None:
            refuse(expression, place, _unknown(expression[place:]))
        if found.lastgroup != "space":
            yield _token(found, place)
        place = found.end()


def _token(found: re.Match[str], place: int) -> Token:
    written = found.group()
    match found.lastgroup:
        case "path":
            kind, _, name = written.partition(".")
            return Token("word", f"{kind}.{_unquoted(name)}", written, place, named=True)
        case "quoted":
            return Token("quoted", _unquoted(written), written, place)
        case "number":
            return Token("number", written, written, place)
        case "sign":
            return Token("sign", _SPELLINGS.get(written, written), written, place)
        case _:
            return Token("word", written, written, place)


def _unquoted(text: str) -> str:
    inside = text[1:-1]
    return inside if text[0] == "`" else re.sub(r"\\(.)", r"\1", inside, flags=re.DOTALL)


def _unknown(rest: str) -> str:
    if rest[0] in "\"'":
        return f"This text has no closing {rest[0]}."
    if rest[0].isdigit() or rest[0] in "+-.":
        word = re.match(r"\S+", rest)
        return f"{word.group()[:40] if word else rest[0]!r} is no number; put a text in quotes."
    return f"{rest[0]!r} means nothing here; put a name or a text that holds it in quotes."
