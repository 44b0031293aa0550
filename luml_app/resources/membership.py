"""The rules of who may make whom a member of what.

An organization always has an owner, for three reasons: only owners change owners; nobody changes themselves, and owners
do not leave; and the row of whoever changes another one is locked with that one's, and read again, so that of two
owners who demote each other one comes too late.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select

from luml_app.core import tables as t
from luml_app.schemas.errors import Conflict, Forbidden, NotFound

_HIGH = {"owner", "admin"}


def lock_member(scope: Any, permission: str, member_id: UUID | None = None) -> Any:
    """The member to be changed (None: oneself), whose row and the caller's stay so until the transaction ends.

    Raises NotFound when one of them has gone meanwhile, Forbidden when the caller has lost the `permission`.
    """
    m, u = t.organization_members, t.users
    both = (m.c.id == member_id) | (m.c.user_id == scope.user_id)
    query = select(m.c.id, m.c.user_id, m.c.role, u.c.service_of).join(u, u.c.id == m.c.user_id)
    here = query.where(m.c.organization_id == scope.organization_id, both)
    rows = scope.db.execute(here.order_by(m.c.id).with_for_update(of=m)).all()
    mine = next((row for row in rows if row.user_id == scope.user_id), None)
    member = mine if member_id is None else next((row for row in rows if row.id == member_id), None)
    if mine is None:
        raise NotFound("There is no such organization.")
    scope.organization_role = mine.role
    scope.require(permission)
    if member is None:
        raise NotFound("There is no such organization member.")
    return member


def may_make(role: str | None, *roles: str) -> bool:
    """Whether somebody of this role may give and take the others."""
    return role == "owner" or (role == "admin" and not _HIGH & {*roles})


def check_rank(scope: Any, *roles: str) -> None:
    """Raise Forbidden when one of the roles, present or future, is not the caller's to give or take."""
    if not may_make(scope.organization_role, *roles):
        raise Forbidden("Only an owner of the organization makes or changes an admin or an owner.")


def check_other(scope: Any, user_id: UUID, remedy: str) -> None:
    """Raise Forbidden when somebody changes themselves."""
    if user_id == scope.user_id:
        raise Forbidden(f"Nobody changes their own membership; {remedy}.")


def check_person(service_of: UUID | None, what: str) -> None:
    """Raise Conflict for a service account, which is not all that a person is."""
    if service_of is not None:
        raise Conflict(f"A service account cannot {what}.")


def remove_member(scope: Any, member: Any) -> None:
    """Delete a membership that `lock_member` has locked, and all that the person was in the organization's orbits."""
    m, mine = t.organization_members, t.orbit_members
    orbits = select(t.orbits.c.id).where(t.orbits.c.organization_id == scope.organization_id)
    inside = delete(mine).where(mine.c.user_id == member.user_id, mine.c.orbit_id.in_(orbits))
    scope.db.execute(delete(m).where(m.c.id == member.id).add_cte(inside.cte("inside")))
