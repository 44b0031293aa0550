"""Deletions of whole places: collections, orbits, organizations."""

from __future__ import annotations

from luml_app.schemas.fields import UUID, Literal, Record, datetime

DeletionKind = Literal["collection", "orbit", "organization"]
DeletionStep = Literal["queued", "undeploying", "deleting artifacts", "deleting bytes", "done"]


class Deletion(Record, kw_only=True):
    """The deletion of a place with all that is in it, which goes on by itself.

    `step` is what is being done now and `remaining` how many objects that step has left; `problem` says why it does
    not go on at the moment, or, when it is done, what had to be left behind.
    """

    kind: DeletionKind
    object_id: UUID
    organization_id: UUID
    orbit_id: UUID | None = None
    name: str
    step: DeletionStep
    remaining: int | None = None
    problem: str | None = None
    requested_by_name: str | None = None
    finished_at: datetime | None = None
