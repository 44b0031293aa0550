"""The kinds of fields that the schemas are made of, with the contract's limits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

Item = TypeVar("Item")

Name = Annotated[str, Meta(min_length=1, max_length=100)]
# A name that may as well be missing: forms send an empty one for that.
MaybeName = Annotated[str, Meta(max_length=100)]
LongName = Annotated[str, Meta(min_length=1, max_length=255)]
Description = Annotated[str, Meta(max_length=1000)]
LongDescription = Annotated[str, Meta(max_length=10_000)]
Tag = Annotated[str, Meta(max_length=64)]
Tags = Annotated[list[Tag], Meta(max_length=50)]
ManyTags = Annotated[list[Annotated[str, Meta(max_length=255)]], Meta(max_length=500)]
Short = Annotated[str, Meta(max_length=255)]
Credential = Annotated[str, Meta(max_length=8192)]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
LongUrl = Annotated[str, Meta(min_length=1, max_length=2083)]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
# An address to which a mail can go: one, without the characters that mean something in a header.
NewEmail = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=r'^[^@\s<>()\[\],;:\\"]+@[^@\s<>()\[\],;:\\"]+(?![\s\S])')
]
Password = Annotated[str, Meta(min_length=8, max_length=128)]
Limit = Annotated[int, Meta(gt=0, le=100)]
Many = Annotated[int, Meta(gt=0, le=1000)]
Wait = Annotated[float, Meta(ge=0, le=60)]
Moment = Annotated[datetime, Meta(tz=True)]
Why = Annotated[str, Meta(max_length=1000)]

SortOrder = Literal["asc", "desc"]
Document = dict[str, Any]


class Record(Struct, kw_only=True):
    """What every stored object has."""

    id: UUID
    created_at: datetime
    updated_at: datetime | None = None


class Page(Struct, Generic[Item], kw_only=True):
    """One page of a list, and the `cursor` that asks for the next one (None: this was the last)."""

    items: list[Item]
    cursor: str | None = None


class Detail(Struct, kw_only=True):
    """A sentence for a person."""

    detail: str


__all__ = [
    "UNSET",
    "UUID",
    "Annotated",
    "Any",
    "Credential",
    "Description",
    "Detail",
    "Document",
    "Email",
    "Limit",
    "Literal",
    "LongDescription",
    "LongName",
    "LongUrl",
    "Many",
    "ManyTags",
    "MaybeName",
    "Meta",
    "Moment",
    "Name",
    "NewEmail",
    "Page",
    "Password",
    "Record",
    "Short",
    "SortOrder",
    "Struct",
    "Tag",
    "Tags",
    "UnsetType",
    "Url",
    "Wait",
    "Why",
    "datetime",
]
