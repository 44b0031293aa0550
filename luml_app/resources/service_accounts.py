"""Service accounts: an organization's users for programs, with API keys and without a password."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.keys import USER_KEY, new_token
from luml_app.core.operations import Resource, operation
from luml_app.resources.api_keys import check_end, key_of, within
from luml_app.resources.limits import check_limit
from luml_app.schemas.errors import NotFound
from luml_app.schemas.service_accounts import ServiceAccount, ServiceAccountCreate
from luml_app.schemas.users import ApiKey, ApiKeyCreate, ApiKeyCreated

_ALL = "/v1/organizations/{organization_id}/service-accounts"
_ONE = _ALL + "/{account_id}"
_DOMAIN = "@service.invalid"
Listed = list[ServiceAccount]
Keys = list[ApiKey]


class ServiceAccounts(Resource):
    """Users for programs: members of one organization and of any of its orbits, who never own anything."""

    @operation(f"GET {_ALL}", needs="service_account:list")
    def list(self) -> Listed:
        """The service accounts of an organization."""
        u = t.users
        query = select(u).where(u.c.service_of == self.scope.organization_id)
        return [_account(row) for row in self.db.execute(query.order_by(u.c.created_at, u.c.id))]

    @operation(f"POST {_ALL}", needs="service_account:create")
    def create(self, body: ServiceAccountCreate) -> ServiceAccount:
        """Create a service account, a member of the organization. Put it into orbits to let it do something."""
        check_limit(self.scope, "members")
        here, account_id = self.scope.organization_id, new_id()
        row = {"id": account_id, "email": _address(body.name, account_id.hex), "full_name": body.name}
        new = insert(t.users).values(**row, service_of=here).returning(t.users).cte("new")
        place = {"id": new_id(), "organization_id": here, "user_id": account_id, "role": "member"}
        member = insert(t.organization_members).values(place).cte("member")
        account = _account(self.db.execute(select(new).add_cte(member)).one())
        self.scope.record("service_account.create", account_id, after={"name": body.name, "email": row["email"]})
        return account

    @operation(f"DELETE {_ONE}", needs="service_account:delete", status=204)
    def delete(self) -> None:
        """Delete a service account with its API keys; what it has made stays."""
        one = self.scope.row(t.users)
        self.db.execute(delete(t.users).where(t.users.c.id == one.id))
        self.scope.record("service_account.delete", one.id, before={"name": one.full_name, "email": one.email})

    @operation(f"GET {_ONE}/api-keys", needs="service_account:read")
    def keys(self) -> Keys:
        """The API keys of a service account, without the keys themselves."""
        k = t.api_keys
        query = select(k).where(k.c.user_id == self.scope.row(t.users).id).order_by(k.c.created_at.desc(), k.c.id)
        return [key_of(row) for row in self.db.execute(query)]

    @operation(f"POST {_ONE}/api-keys", needs="service_account:update")
    def create_key(self, body: ApiKeyCreate) -> ApiKeyCreated:
        """Make an API key for a service account; it is shown this once."""
        check_end(body.expires_at)
        self._check_orbit(body.orbit_id)
        one, key, key_id = self.scope.row(t.users), new_token(USER_KEY), new_id()
        scopes, end = within(self.scope, body.scopes, body.expires_at)
        chosen: dict[str, Any] = {"name": body.name, "scopes": scopes}
        chosen |= {"orbit_id": body.orbit_id, "expires_at": end}
        row = {"id": key_id, "user_id": one.id, "key_hash": self.scope.keys.hash(key), "hint": key[-4:], **chosen}
        self.db.execute(insert(t.api_keys).values(row))
        after = {"name": body.name, "scopes": row["scopes"], "user_id": str(one.id)}
        self.scope.record("api_key.create", key_id, after=after)
        return ApiKeyCreated(key=key)

    @operation(f"DELETE {_ONE}/api-keys/{{key_id}}", needs="service_account:update", status=204)
    def delete_key(self) -> None:
        """Delete an API key of a service account; it stops working at once."""
        one = self.scope.row(t.api_keys)
        self.db.execute(delete(t.api_keys).where(t.api_keys.c.id == one.id))
        self.scope.record("api_key.delete", one.id, before={"name": one.name, "user_id": str(one.user_id)})

    def _check_orbit(self, orbit_id: UUID | None) -> None:
        o = t.orbits
        here = select(o.c.id).where(o.c.id == orbit_id, o.c.organization_id == self.scope.organization_id)
        if orbit_id is not None and self.db.scalar(here) is None:
            raise NotFound("There is no such orbit in this organization.")


def is_service_address(email: str) -> bool:
    """Whether this is the address of a service account; no mail can reach such."""
    return email.endswith(_DOMAIN)


def _address(name: str, identity: str) -> str:
    """A unique address that says whose it is; its domain is reserved for names that never resolve."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "service"
    return f"{plain}-{identity[-8:]}{_DOMAIN}"


def _account(row: Any) -> ServiceAccount:
    columns = {name: getattr(row, name) for name in ("id", "email", "created_at")}
    return ServiceAccount(**columns, organization_id=row.service_of, name=row.full_name)
