"""Secrets of an orbit: values that deployments refer to by id, encrypted where they rest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.events import difference
from luml_app.core.ids import new_id
from luml_app.core.operations import Resource, operation
from luml_app.core.references import uses_of_secret
from luml_app.jobs.chores import queue_chore
from luml_app.resources.changes import sent
from luml_app.resources.rotation import renew_secret
from luml_app.schemas.errors import Conflict
from luml_app.schemas.secrets import Secret, SecretCreate, SecretUpdate

_ALL = "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets"
_ONE = _ALL + "/{secret_id}"
Listed = list[Secret]


class Secrets(Resource):
    """Values for deployments, such as passwords. Only `get` shows one, and leaves a trace of it in the events."""

    @operation(f"GET {_ALL}", needs="secret:list")
    def list(self) -> Listed:
        """The secrets of an orbit by name, without their values."""
        s = t.orbit_secrets
        query = select(s).where(s.c.orbit_id == self.scope.orbit_id).order_by(s.c.name, s.c.id)
        return [secret_of(row) for row in self.db.execute(query)]

    @operation(f"POST {_ALL}", needs="secret:create")
    def create(self, body: SecretCreate) -> Secret:
        """Store a secret; its value is encrypted."""
        s = t.orbit_secrets
        open_ = {"name": body.name, "tags": body.tags}
        row = {"id": new_id(), "orbit_id": self.scope.orbit_id, "value": self.scope.keys.encrypt(body.value), **open_}
        made = self.db.execute(insert(s).values(row).returning(s)).one()
        self.scope.record("secret.create", made.id, after=open_)
        return secret_of(made)

    @operation(f"GET {_ONE}", needs="secret:read", writes=True)
    def get(self) -> Secret:
        """A secret with its value."""
        one = self.scope.row(t.orbit_secrets)
        self.scope.record("secret.read", one.id, after={"name": one.name})
        return secret_of(one, value=self.scope.keys.decrypt(one.value))

    @operation(f"PATCH {_ONE}", needs="secret:update")
    def update(self, body: SecretUpdate) -> Secret:
        """Change name, value or tags; deployments that use it take a new value over by themselves."""
        s, one = t.orbit_secrets, self.scope.row(t.orbit_secrets)
        wanted = sent(body, s)
        # Lists show an empty value, and forms send back what they were shown.
        value = wanted.pop("value", None)
        before, after = difference(one.columns, wanted)
        changed: dict[str, Any] = dict(after)
        if value and value != self.scope.keys.decrypt(one.value):
            changed["value"], after["value"] = self.scope.keys.encrypt(value), "replaced"
            changed["version"] = s.c.version + 1
            queue_chore(self.db, renew_secret, {"secret_id": str(one.id)}, key=str(one.id))
        if not changed:
            return secret_of(one)
        new = update(s).where(s.c.id == one.id).values(**changed, updated_at=func.now()).returning(s)
        row = self.db.execute(new).one()
        self.scope.record("secret.update", one.id, before=before, after=after)
        return secret_of(row)

    @operation(f"DELETE {_ONE}", needs="secret:delete", status=204)
    def delete(self) -> None:
        """Delete a secret; refused while a deployment refers to it."""
        s, one = t.orbit_secrets, self.scope.row(t.orbit_secrets)
        # Locked first: a deployment that is created in the same moment holds the secret until it is there.
        self.db.execute(select(s.c.id).where(s.c.id == one.id).with_for_update())
        if user := self.db.execute(uses_of_secret(one.id).limit(1)).first():
            raise Conflict(f"The deployment {user.name!r} uses this secret; delete the deployment first.")
        self.db.execute(delete(s).where(s.c.id == one.id))
        self.scope.record("secret.delete", one.id, before={"name": one.name})


def secret_of(row: Any, *, value: str = "") -> Secret:
    """A secret from its row, without its value unless that is given."""
    columns = {name: getattr(row, name) for name in Secret.__struct_fields__ if name != "value"}
    return Secret(**columns, value=value)
