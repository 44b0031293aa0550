"""API keys: what scripts, notebooks and the CLI sign in with."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.keys import USER_KEY, new_token
from luml_app.core.operations import Resource, operation
from luml_app.schemas.errors import NotFound
from luml_app.schemas.users import ApiKey, ApiKeyCreate, ApiKeyCreated

DEFAULT = "default"
EVERYTHING = ["api", "inference"]
Keys = list[ApiKey]


class ApiKeys(Resource):
    """One's own API keys. The old route keeps one, named "default"; others have names, scopes and an end."""

    @operation("POST /v1/users/me/api-keys")
    def create_default(self) -> ApiKeyCreated:
        """Make one's default API key; an older default key stops working."""
        self._delete(t.api_keys.c.name == DEFAULT)
        return self._new(DEFAULT, scopes=EVERYTHING)

    @operation("DELETE /v1/users/me/api-keys", status=204)
    def delete_default(self) -> None:
        """Delete one's default API key."""
        self._delete(t.api_keys.c.name == DEFAULT)

    @operation("GET /v1/users/me/api-keys")
    def list(self) -> Keys:
        """One's API keys, without the keys themselves."""
        k = t.api_keys
        rows = self.db.execute(select(k).where(k.c.user_id == self.scope.user_id).order_by(k.c.created_at.desc()))
        names = ApiKey.__struct_fields__
        return [ApiKey(**{name: getattr(row, name) for name in names}) for row in rows]

    @operation("POST /v1/users/me/api-keys/named")
    def create(self, body: ApiKeyCreate) -> ApiKeyCreated:
        """Make a named API key."""
        return self._new(body.name, scopes=body.scopes or EVERYTHING, expires_at=body.expires_at)

    @operation("DELETE /v1/users/me/api-keys/{key_id}", status=204)
    def delete(self, key_id: UUID) -> None:
        """Delete an API key; it stops working at once."""
        if not self._delete(t.api_keys.c.id == key_id):
            raise NotFound("There is no such API key.")

    @operation("GET /v1/auth/api-keys/validate", status=204)
    def validate(self) -> None:
        """Answer whether the credential is valid."""

    def _new(self, name: str, **columns: Any) -> ApiKeyCreated:
        key, key_id = new_token(USER_KEY), new_id()
        hashed = self.scope.keys.hash(key)
        row = {
            "id": key_id,
            "user_id": self.scope.user_id,
            "name": name,
            "key_hash": hashed,
            "hint": key[-4:],
            **columns,
        }
        self.db.execute(insert(t.api_keys).values(row))
        self.scope.record("api_key.create", key_id, after={"name": name, "scopes": columns["scopes"]})
        return ApiKeyCreated(key=key)

    def _delete(self, which: Any) -> bool:
        k = t.api_keys
        gone = self.db.execute(
            delete(k).where(k.c.user_id == self.scope.user_id, which).returning(k.c.id, k.c.name)
        ).all()
        for row in gone:
            self.scope.record("api_key.delete", row.id, before={"name": row.name})
        return bool(gone)
