"""Sign-in, sessions, and one's own account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, exists, func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.keys import new_token
from luml_app.core.operations import Resource, operation
from luml_app.core.passwords import check_password, hash_password
from luml_app.core.prepared import Prepared
from luml_app.resources.changes import sent
from luml_app.schemas.errors import Forbidden, Unauthenticated
from luml_app.schemas.fields import Detail
from luml_app.schemas.users import LoginLink, SignedIn, SignIn, User, UserUpdate

ACCESS, REFRESH = "access_token", "refresh_token"
LINK_SECONDS = 600
Times = list[datetime]
_HAS_KEY = exists().where(t.api_keys.c.user_id == t.users.c.id).label("has_api_key")
_ME = Prepared(select(t.users, _HAS_KEY).where(t.users.c.id == bindparam("user_id")))


class Auth(Resource):
    """Sign-in by e-mail and password, sessions, and one's own account."""

    @operation("POST /v1/auth/signin", by="anyone")
    def signin(self, body: SignIn) -> SignedIn:
        """Sign in; the tokens come as cookies."""
        user = self.db.execute(select(t.users).where(t.users.c.email == body.email.lower())).one_or_none()
        if not check_password(user and user.password_hash, body.password) or user is None:
            raise Unauthenticated("The e-mail address or the password is wrong.")
        if user.disabled:
            raise Forbidden("This account is disabled; ask the operator of the server.")
        session_id = self._new_session(user.id)
        self._give_tokens(session_id)
        self.scope.record("user.signin", user.id, after={"session_id": session_id})
        return SignedIn(detail="Successfully logged in", user_id=user.id)

    @operation("POST /v1/auth/link", by="anyone")
    def use_link(self, token: str) -> SignedIn:
        """Sign in by a one-time link, such as `luml up` prints."""
        row = self._spend(token, "link")
        if row is None or not row.fresh:
            raise Unauthenticated("This link is used or has expired; sign in, or ask for a new one.")
        self._give_tokens(row.session_id)
        self.scope.record("user.signin", row.user_id, after={"session_id": row.session_id})
        return SignedIn(detail="Successfully logged in", user_id=row.user_id)

    @operation("POST /v1/auth/links")
    def create_link(self) -> LoginLink:
        """Make a one-time link that signs its bearer in as oneself, in a session of its own."""
        token, session_id = new_token(), self._new_session(self.scope.user_id)
        (expires,) = self._add_tokens(session_id, (token, "link", LINK_SECONDS))
        self.scope.record("user.create_link", self.scope.user_id, after={"session_id": session_id})
        return LoginLink(path=f"/login?token={token}", expires_at=expires)

    @operation("POST /v1/auth/refresh", by="anyone")
    def refresh(self) -> Detail:
        """Exchange the refresh token for new tokens. A refresh token that is used twice ends its session."""
        token = self.scope.credentials.refresh_token
        row = self._spend(token, "refresh") if token else None
        if row is None:
            raise Unauthenticated("Sign in again: there is no valid refresh token.")
        if not row.fresh:
            self._revoke([row.session_id])
            self.scope.refusal = Unauthenticated(
                "This refresh token has been used before, or is too old; sign in again."
            )
            return Detail(detail="")
        self._give_tokens(row.session_id)
        return Detail(detail="Token refreshed successfully")

    @operation("POST /v1/auth/logout", by="anyone")
    def logout(self) -> Detail:
        """End the session."""
        shown, keys, st = self.scope.credentials, self.scope.keys, t.session_tokens
        hashes = [known for token in (shown.token, shown.refresh_token) if token for known in keys.hashes(token)]
        if hashes:
            self._revoke(select(st.c.session_id).where(st.c.hash.in_(hashes)))
        self.scope.cookies.update({ACCESS: ("", 0), REFRESH: ("", 0)})
        return Detail(detail="Successfully logged out")

    @operation("GET /v1/auth/users/me")
    def me(self) -> User:
        """Oneself."""
        return user_of(_ME.one(self.db, user_id=self.scope.user_id))

    @operation("PATCH /v1/auth/users/me")
    def update_me(self, body: UserUpdate) -> Detail:
        """Change one's name, photo or password. A new password ends every session."""
        values: dict[str, Any] = sent(body, t.users)
        mine = t.users.c.id == self.scope.user_id
        if isinstance(body.password, str):
            values["password_hash"] = hash_password(body.password)
            of_mine = t.sessions.c.user_id == self.scope.user_id
            self.db.execute(update(t.sessions).where(of_mine).values(revoked_at=func.now()))
        if values:
            self.db.execute(update(t.users).where(mine).values(**values, updated_at=func.now()))
            self.scope.record("user.update", self.scope.user_id, after={"fields": sorted(values)})
        return Detail(detail="User updated successfully")

    def _new_session(self, user_id: UUID) -> UUID:
        session_id, who = new_id(), self.scope.credentials
        self.db.execute(
            insert(t.sessions).values(
                id=session_id, user_id=user_id, ip=who.ip, user_agent=(who.user_agent or "")[:300]
            )
        )
        return session_id

    def _give_tokens(self, session_id: UUID) -> None:
        lifetimes = self.scope.settings
        given = {ACCESS: lifetimes.access_token_seconds, REFRESH: lifetimes.refresh_token_seconds}
        self.scope.cookies.update({cookie: (new_token(), seconds) for cookie, seconds in given.items()})
        tokens = [(*self.scope.cookies[cookie], cookie.removesuffix("_token")) for cookie in given]
        self._add_tokens(session_id, *((token, kind, seconds) for token, seconds, kind in tokens))

    def _add_tokens(self, session_id: UUID, *tokens: tuple[str, str, int]) -> Times:
        """Store tokens (each with its kind and its seconds to live); when they expire."""
        now, keys = datetime.now(UTC), self.scope.keys
        rows = [
            {"hash": keys.hash(token), "kind": kind, "expires_at": now + timedelta(seconds=seconds)}
            for token, kind, seconds in tokens
        ]
        self.db.execute(insert(t.session_tokens).values([{**row, "session_id": session_id} for row in rows]))
        return [row["expires_at"] for row in rows]

    def _spend(self, token: str, kind: str) -> Any:
        """Mark a token as used. The row says whether it was `fresh`: in time, of a living session, never used."""
        st, s = t.session_tokens, t.sessions
        mine = (st.c.hash.in_(self.scope.keys.hashes(token)), st.c.kind == kind, s.c.id == st.c.session_id)
        before = select(st.c.hash, st.c.used_at).where(st.c.hash.in_(self.scope.keys.hashes(token))).with_for_update()
        old = before.cte("old")
        fresh = old.c.used_at.is_(None) & (st.c.expires_at > func.now()) & s.c.revoked_at.is_(None)
        spent = update(st).where(*mine, old.c.hash == st.c.hash).values(used_at=func.now())
        return self.db.execute(
            spent.returning(s.c.id.label("session_id"), s.c.user_id, fresh.label("fresh"))
        ).one_or_none()

    def _revoke(self, session_ids: Any) -> None:
        s = t.sessions
        ended = update(s).where(s.c.id.in_(session_ids), s.c.revoked_at.is_(None)).values(revoked_at=func.now())
        for row in self.db.execute(ended.returning(s.c.id, s.c.user_id)).all():
            self.scope.record("user.signout", row.user_id, after={"session_id": row.id})


def user_of(row: Any) -> User:
    """A user as others may see it."""
    return User(
        id=row.id,
        email=row.email,
        full_name=row.full_name,
        disabled=row.disabled,
        photo=row.photo,
        has_api_key=bool(getattr(row, "has_api_key", False)),
    )
