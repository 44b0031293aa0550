"""Sign-in, and one's own account."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, exists, func, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.keys import new_token
from luml_app.core.operations import Resource, operation
from luml_app.core.passwords import check_password, hash_password
from luml_app.core.prepared import Prepared
from luml_app.core.throttle import SIGN_IN, TOKENS
from luml_app.resources.account_mails import tell_of_new_password
from luml_app.resources.api_keys import check_unbounded
from luml_app.resources.changes import sent
from luml_app.resources.membership import check_person
from luml_app.resources.sessions import (
    add_session,
    end_sessions,
    forget_tokens,
    give_tokens,
    open_session,
    spend_token,
    token_row,
)
from luml_app.schemas.errors import Forbidden, Unauthenticated, Unconfirmed
from luml_app.schemas.fields import Detail
from luml_app.schemas.users import LoginLink, SignedIn, SignIn, User, UserUpdate

LINK_SECONDS = 600
_HAS_KEY = exists().where(t.api_keys.c.user_id == t.users.c.id).label("has_api_key")
_ME = Prepared(select(t.users, _HAS_KEY).where(t.users.c.id == bindparam("user_id")))


class Auth(Resource):
    """Sign-in by e-mail and password, and one's own account."""

    @operation("POST /v1/auth/signin", by="anyone", throttle=SIGN_IN)
    def signin(self, body: SignIn) -> SignedIn:
        """Sign in; the tokens come as cookies."""
        user = self.db.execute(select(t.users).where(t.users.c.email == body.email.lower())).one_or_none()
        if not check_password(user and user.password_hash, body.password) or user is None:
            raise Unauthenticated("The e-mail address or the password is wrong.")
        if user.disabled:
            raise Forbidden("This account is disabled; ask the operator of the server.")
        if user.email_confirmed_at is None:
            raise Unconfirmed
        return self._signed_in(user.id, open_session(self.scope, user.id))

    @operation("POST /v1/auth/link", by="anyone", throttle=TOKENS)
    def use_link(self, token: str) -> SignedIn:
        """Sign in by a one-time link, such as `luml up` prints."""
        row = spend_token(self.scope, token, "link")
        if row is None or not row.fresh:
            raise Unauthenticated("This link is used or has expired; sign in, or ask for a new one.")
        give_tokens(self.scope, row.session_id)
        return self._signed_in(row.user_id, row.session_id)

    @operation("POST /v1/auth/links")
    def create_link(self) -> LoginLink:
        """Make a one-time link that signs its bearer in as oneself, in a session of its own."""
        # Its keys are what its organization sees and takes away; a session would go on behind their back.
        check_person(self.scope.caller.service_of, "sign in by browser")
        check_unbounded(self.scope, "make a link that signs in")
        token, session_id = new_token(), new_id()
        row = token_row(self.scope, token, "link", LINK_SECONDS)
        add_session(self.scope, session_id, self.scope.user_id, row)
        self.scope.record("user.create_link", self.scope.user_id, after={"session_id": session_id})
        return LoginLink(path=f"/login?token={token}", expires_at=row["expires_at"])

    @operation("POST /v1/auth/refresh", by="anyone", throttle=TOKENS)
    def refresh(self) -> Detail:
        """Exchange the refresh token for new tokens, once. One that comes again ends its session: it was stolen."""
        token = self.scope.credentials.refresh_token
        row = spend_token(self.scope, token, "refresh") if token else None
        if row is None:
            raise Unauthenticated("Sign in again: there is no valid refresh token.")
        if row.fresh:
            give_tokens(self.scope, row.session_id)
            return Detail(detail="Token refreshed successfully")
        end_sessions(self.scope, t.sessions.c.id == row.session_id)
        self.scope.refusal = Unauthenticated("This refresh token has been used before, or is too old; sign in again.")
        return Detail(detail="")

    @operation("POST /v1/auth/logout", by="anyone")
    def logout(self) -> Detail:
        """End the session."""
        shown, keys, st = self.scope.credentials, self.scope.keys, t.session_tokens
        hashes = [known for token in (shown.token, shown.refresh_token) if token for known in keys.hashes(token)]
        if hashes:
            end_sessions(self.scope, t.sessions.c.id.in_(select(st.c.session_id).where(st.c.hash.in_(hashes))))
        forget_tokens(self.scope)
        return Detail(detail="Successfully logged out")

    @operation("GET /v1/auth/users/me")
    def me(self) -> User:
        """Oneself."""
        return user_of(_ME.one(self.db, user_id=self.scope.user_id))

    @operation("PATCH /v1/auth/users/me")
    def update_me(self, body: UserUpdate) -> Detail:
        """Change one's name, photo or password. A new password ends every session; API keys go on."""
        values: dict[str, Any] = sent(body, t.users)
        mine = t.users.c.id == self.scope.user_id
        if isinstance(body.password, str):
            check_unbounded(self.scope, "change the password")
            values["password_hash"] = hash_password(body.password)
            end_sessions(self.scope, t.sessions.c.user_id == self.scope.user_id, told=False)
            tell_of_new_password(self.scope, self.scope.caller.name)
        if values:
            self.db.execute(update(t.users).where(mine).values(**values, updated_at=func.now()))
            self.scope.record("user.update", self.scope.user_id, after={"fields": sorted(values)})
        return Detail(detail="User updated successfully")

    def _signed_in(self, user_id: Any, session_id: Any) -> SignedIn:
        self.scope.record("user.signin", user_id, after={"session_id": session_id})
        return SignedIn(detail="Successfully logged in", user_id=user_id)


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
