"""Searching by a piece of text."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, func
from sqlalchemy.dialects.postgresql import ARRAY


def contains(column: Any, piece: str | BindParameter[str]) -> ColumnElement[bool]:
    """Whether the column's text, or one of its texts, holds `piece`, in whatever case; wildcards mean nothing.

    The value of a parameter in place of the piece is one that `literally` has made.
    """
    text = func.array_to_string(column, " ") if isinstance(column.type, ARRAY) else column
    found: ColumnElement[bool] = text.icontains(literally(piece) if isinstance(piece, str) else piece, escape="/")
    return found


def literally(piece: str) -> str:
    """A piece of text in a pattern in which wildcards mean nothing."""
    return piece.replace("/", "//").replace("%", "/%").replace("_", "/_")
