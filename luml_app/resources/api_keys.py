"""API keys: what scripts, notebooks and the CLI sign in with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, or_, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.keys import USER_KEY, new_token
from luml_app.core.operations import Resource, operation
from luml_app.resources.changes import sent
from luml_app.schemas.errors import Forbidden, Invalid, NotFound
from luml_app.schemas.users import ApiKey, ApiKeyCreate, ApiKeyCreated, ApiKeyUpdate

DEFAULT = "default"
EVERYTHING = ["api", "inference"]
_LONGER = "The API key that you use ends at {end:%Y-%m-%d %H:%M %Z}, and so does all that it makes; sign in for more."
Keys = list[ApiKey]


class ApiKeys(Resource):
    """One's own API keys. The old route keeps one, named "default"; others have names, scopes and an end."""

    @operation("POST /v1/users/me/api-keys")
    def create_default(self) -> ApiKeyCreated:
        """Make one's default API key; an older default key stops working."""
        scopes, end = within(self.scope, None, None)
        self._delete(t.api_keys.c.name == DEFAULT)
        return self._new(DEFAULT, scopes=scopes, expires_at=end)

    @operation("DELETE /v1/users/me/api-keys", status=204)
    def delete_default(self) -> None:
        """Delete one's default API key."""
        self._delete(t.api_keys.c.name == DEFAULT)

    @operation("GET /v1/users/me/api-keys")
    def list(self) -> Keys:
        """One's API keys, without the keys themselves."""
        k = t.api_keys
        rows = self.db.execute(select(k).where(k.c.user_id == self.scope.user_id).order_by(k.c.created_at.desc()))
        return [key_of(row) for row in rows]

    @operation("POST /v1/users/me/api-keys/named")
    def create(self, body: ApiKeyCreate) -> ApiKeyCreated:
        """Make a named API key; with `orbit_id` it opens this orbit and nothing else.

        A key that is made with another opens no more than that one, and for no longer.
        """
        check_end(body.expires_at)
        if body.orbit_id is not None:
            self._check_orbit(body.orbit_id)
        scopes, end = within(self.scope, body.scopes, body.expires_at)
        return self._new(body.name, scopes=scopes, orbit_id=body.orbit_id, expires_at=end)

    @operation("PATCH /v1/users/me/api-keys/{key_id}")
    def update(self, body: ApiKeyUpdate) -> ApiKey:
        """Change an API key's name, scopes or end. What it opens in the orbit it is bound to stays.

        With another key, or itself, it can be given no more and no longer than that one has.
        """
        key, k = self.scope.row(t.api_keys), t.api_keys
        wanted = sent(body, k)
        if "scopes" in wanted:
            wanted["scopes"] = sorted(set(wanted["scopes"]))
        before, changed = difference(key.columns, wanted)
        if not changed:
            return key_of(key)
        check_end(changed.get("expires_at"))
        self._check_not_widened(changed)
        row = self.db.execute(update(k).where(k.c.id == key.id).values(changed).returning(k)).one()
        self.scope.record("api_key.update", key.id, before=before, after=changed)
        return key_of(row)

    @operation("DELETE /v1/users/me/api-keys/{key_id}", status=204)
    def delete(self, key_id: UUID) -> None:
        """Delete an API key; it stops working at once."""
        if not self._delete(t.api_keys.c.id == key_id):
            raise NotFound("There is no such API key.")

    @operation("GET /v1/auth/api-keys/validate", status=204)
    def validate(self) -> None:
        """Answer whether the credential is valid."""

    def _check_not_widened(self, changed: dict[str, Any]) -> None:
        _, end = within(self.scope, changed.get("scopes"), changed.get("expires_at"))
        if "expires_at" in changed and changed["expires_at"] is None and end is not None:
            raise Forbidden(_LONGER.format(end=end))

    def _check_orbit(self, orbit_id: UUID) -> None:
        """One can bind a key only to an orbit that one may enter oneself."""
        o, om, mine = t.orbits, t.organization_members, t.orbit_members
        me = self.scope.user_id
        query = (
            select(o.c.id)
            .join(om, (om.c.organization_id == o.c.organization_id) & (om.c.user_id == me))
            .outerjoin(mine, (mine.c.orbit_id == o.c.id) & (mine.c.user_id == me))
            .where(o.c.id == orbit_id, or_(om.c.role != "member", mine.c.id.is_not(None)))
        )
        if self.db.scalar(query) is None:
            raise NotFound("There is no such orbit.")

    def _new(self, name: str, **columns: Any) -> ApiKeyCreated:
        key, key_id = new_token(USER_KEY), new_id()
        hashed = self.scope.keys.hash(key)
        own = {"id": key_id, "user_id": self.scope.user_id, "name": name, "key_hash": hashed, "hint": key[-4:]}
        self.db.execute(insert(t.api_keys).values(own | columns))
        told = {"name": name, **{field: value for field, value in columns.items() if value is not None}}
        self.scope.record("api_key.create", key_id, after=told)
        return ApiKeyCreated(key=key)

    def _delete(self, which: Any) -> bool:
        k = t.api_keys
        gone = self.db.execute(
            delete(k).where(k.c.user_id == self.scope.user_id, which).returning(k.c.id, k.c.name)
        ).all()
        for row in gone:
            self.scope.record("api_key.delete", row.id, before={"name": row.name})
        return bool(gone)


def opened_by(scopes: Sequence[str]) -> set[str]:
    """All that a key with these scopes opens: whoever may read everything of a deployment may read its logs."""
    return {*scopes, "logs"} if "api" in scopes else set(scopes)


def within(scope: Any, scopes: Sequence[str] | None, end: datetime | None) -> tuple[Sequence[str], datetime | None]:
    """What a key may open and until when that the caller makes: with a key, no more and no longer than that one.

    What is not said is as much as may be. Raises Forbidden for more.
    """
    own = scope.caller.columns
    if "key_id" not in own:
        return sorted(set(scopes or EVERYTHING)), end
    may, last = own["scopes"], own["expires_at"]
    if more := set(scopes or ()) - opened_by(may):
        raise Forbidden(
            f"The API key that you use is not for {' and '.join(sorted(more))}, so it makes no key that is."
        )
    if last is not None and end is not None and end > last:
        raise Forbidden(_LONGER.format(end=last))
    return sorted(set(scopes or may)), end or last


def check_unbounded(scope: Any, doing: str) -> None:
    """Raise Forbidden for a key that ends, or is for some things only, where what comes of it would not be."""
    own = scope.caller.columns
    if "key_id" in own and (own["expires_at"] is not None or set(own["scopes"]) != set(EVERYTHING)):
        raise Forbidden(f"An API key that ends, or is for some things only, cannot {doing}; sign in for this.")


def check_end(moment: datetime | None) -> None:
    """Raise Invalid for a key that would never work."""
    if moment is not None and moment <= datetime.now(UTC):
        raise Invalid.field("expires_at", "This moment is past: the key would never work.")


def key_of(row: Any) -> ApiKey:
    """An API key from its row, without the key itself."""
    return ApiKey(**{name: getattr(row, name) for name in ApiKey.__struct_fields__})
