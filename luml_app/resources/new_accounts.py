"""A new account, and who may have one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, exists, func, insert, literal, select
from sqlalchemy.dialects import postgresql

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.oidc import Person
from luml_app.resources.buckets import builtin_row
from luml_app.schemas.errors import Forbidden


def check_sign_up(scope: Any, email: str, *, of_the_house: bool = False) -> None:
    """Raise Forbidden unless somebody with this address may have an account (``LUML_SIGNUP``).

    `of_the_house`: they come from the operator's own identity provider.
    """
    rule = scope.settings.signup
    if rule == "open" or (rule == "invited" and of_the_house):
        return
    if rule == "invited" and scope.db.scalar(_INVITED, {"email": email}):
        return
    if rule == "closed":
        raise Forbidden("New accounts are made by the operator of this server only; ask them.")
    raise Forbidden("Accounts on this server are for invited people; ask somebody in your team to invite this address.")


_I = t.invites
_INVITED = select(exists().where(_I.c.email == bindparam("email"), _I.c.expires_at > func.now()))


def insert_account(
    scope: Any,
    *,
    email: str,
    full_name: str | None,
    confirmed: bool = False,
    identity: dict[str, Any] | None = None,
    **columns: Any,
) -> UUID | None:
    """Create a user with an organization of their own, which has its built-in bucket: one statement.

    `identity` is the row of the account elsewhere with which they sign in. The id of the user; None, and nothing is
    changed, when the address has an account already.
    """
    user_id, organization_id = new_id(), new_id()
    user = {"id": user_id, "email": email, "full_name": full_name, **columns}
    if confirmed:
        user["email_confirmed_at"] = func.now()
    fresh = postgresql.insert(t.users).values(user).on_conflict_do_nothing(index_elements=["email"])
    made = fresh.returning(t.users.c.id).cte("made")
    organization = {"id": organization_id, "name": organization_of(full_name, email)}
    member = {"id": new_id(), "organization_id": organization_id, "user_id": user_id, "role": "owner"}
    steps = [
        _where(made, t.organizations, organization).cte("organization"),
        _where(made, t.organization_members, member).cte("member"),
        _where(made, t.buckets, builtin_row(scope.settings, organization_id)).cte("bucket"),
    ]
    if identity is not None:
        steps.append(_where(made, t.identities, {**identity, "user_id": user_id}).cte("identity"))
    found: UUID | None = scope.db.scalar(select(made.c.id).add_cte(*steps))
    return found


def _where(made: Any, table: Any, row: dict[str, Any]) -> Any:
    """Insert a row only if the user was made."""
    columns = [literal(value, table.c[name].type).label(name) for name, value in row.items()]
    return insert(table).from_select(list(row), select(*columns).select_from(made))


def identity_row(provider: str, person: Person) -> dict[str, Any]:
    """Somebody's account elsewhere as a row, but for whose it is here."""
    known = {"issuer": person.issuer, "subject": person.subject, "email": person.email}
    return {"id": new_id(), "provider": provider, **known}


def organization_of(full_name: str | None, email: str) -> str:
    """What somebody's own organization is called at first."""
    name = (full_name or "").strip() or email.partition("@")[0]
    return f"{name[:80]}'s organization"
