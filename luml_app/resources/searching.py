"""Searching by a piece of text."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func
from sqlalchemy.dialects.postgresql import ARRAY


def contains(column: Any, piece: str) -> ColumnElement[bool]:
    """Whether the column's text, or one of its texts, holds `piece`, in whatever case; wildcards mean nothing."""
    text = func.array_to_string(column, " ") if isinstance(column.type, ARRAY) else column
    found: ColumnElement[bool] = text.icontains(piece, autoescape=True)
    return found
