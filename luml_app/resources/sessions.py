"""Sessions: where somebody is signed in, and the tokens by which a browser proves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, insert, or_, select, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.keys import new_token
from luml_app.core.operations import Resource, operation
from luml_app.schemas.sessions import Session

ACCESS, REFRESH, VISIT, SIGN_UP = "access_token", "refresh_token", "provider_visit", "sign_up"
Listed = list[Session]


class Sessions(Resource):
    """Where one is signed in by browser."""

    @operation("GET /v1/auth/sessions")
    def list(self) -> Listed:
        """The places where one is signed in, the last used one first."""
        s = t.sessions
        used = func.coalesce(s.c.last_used_at, s.c.created_at)
        mine = select(s, used.label("used")).where(_alive(), s.c.user_id == self.scope.user_id)
        current = current_session(self.scope)
        return [_session(row, current) for row in self.db.execute(mine.order_by(used.desc(), s.c.id.desc()))]

    @operation("DELETE /v1/auth/sessions/{session_id}", status=204)
    def delete(self, session_id: UUID) -> None:
        """Sign out elsewhere: end one of one's sessions."""
        end_sessions(self.scope, t.sessions.c.id == session_id)

    @operation("DELETE /v1/auth/sessions", status=204)
    def delete_others(self) -> None:
        """Sign out everywhere else: end all of one's sessions but the one that asks."""
        mine = t.sessions.c.user_id == self.scope.user_id
        current = current_session(self.scope)
        end_sessions(self.scope, mine if current is None else mine & (t.sessions.c.id != current))


def current_session(scope: Any) -> UUID | None:
    """The session that asks; None for an API key."""
    found: UUID | None = scope.caller.columns.get("session_id")
    return found


def open_session(scope: Any, user_id: UUID) -> UUID:
    """Begin a session and give its tokens to the caller as cookies: one statement."""
    session_id, lifetimes = new_id(), scope.settings
    access = _token(scope, ACCESS, lifetimes.access_token_seconds)
    refresh = _token(scope, REFRESH, lifetimes.refresh_token_seconds)
    add_session(scope, session_id, user_id, access, refresh)
    return session_id


def add_session(scope: Any, session_id: UUID, user_id: UUID, *tokens: dict[str, Any]) -> None:
    """Store a session with its first tokens: one statement."""
    who = scope.credentials
    row = {"id": session_id, "user_id": user_id, "ip": who.ip, "user_agent": (who.user_agent or "")[:300]}
    new = insert(t.sessions).values(row).returning(t.sessions.c.id).cte("new")
    rows = [{**token, "session_id": select(new.c.id).scalar_subquery()} for token in tokens]
    scope.db.execute(insert(t.session_tokens).values(rows).add_cte(new))


def give_tokens(scope: Any, session_id: UUID) -> None:
    """Give new tokens of a session to the caller as cookies: one statement."""
    lifetimes = scope.settings
    given = {ACCESS: lifetimes.access_token_seconds, REFRESH: lifetimes.refresh_token_seconds}
    rows = [{**_token(scope, cookie, seconds), "session_id": session_id} for cookie, seconds in given.items()]
    used = update(t.sessions).where(t.sessions.c.id == session_id).values(last_used_at=func.now())
    scope.db.execute(insert(t.session_tokens).values(rows).add_cte(used.cte("used")))


def _token(scope: Any, cookie: str, seconds: int) -> dict[str, Any]:
    token = new_token()
    scope.cookies[cookie] = (token, seconds)
    return token_row(scope, token, cookie.removesuffix("_token"), seconds)


def token_row(scope: Any, token: str, kind: str, seconds: float) -> dict[str, Any]:
    """A token as it is stored, but for its session."""
    return {"hash": scope.keys.hash(token), "kind": kind, "expires_at": datetime.now(UTC) + timedelta(seconds=seconds)}


def forget_tokens(scope: Any) -> None:
    """Take the caller's cookies away."""
    scope.cookies.update({ACCESS: ("", 0), REFRESH: ("", 0)})


def spend_token(scope: Any, token: str, kind: str) -> Any:
    """Mark a token as used, once; None for one that does not exist.

    The row says whether the token was `fresh`: in time, of a living session, never used.
    """
    st, s = t.session_tokens, t.sessions
    hashes = st.c.hash.in_(scope.keys.hashes(token))
    old = select(st.c.hash, st.c.used_at).where(hashes, st.c.kind == kind).with_for_update().cte("old")
    fresh = old.c.used_at.is_(None) & (st.c.expires_at > func.now()) & s.c.revoked_at.is_(None)
    spent = (
        update(st)
        .where(st.c.hash == old.c.hash, s.c.id == st.c.session_id)
        .values(used_at=func.coalesce(st.c.used_at, func.clock_timestamp()))
    )
    found = spent.returning(s.c.id.label("session_id"), s.c.user_id, fresh.label("fresh"))
    return scope.db.execute(found).one_or_none()


def end_sessions(scope: Any, which: Any, *, told: bool = True) -> None:
    """End sessions; each that lived leaves an event, unless it is `told` otherwise."""
    s = t.sessions
    ended = update(s).where(which, s.c.revoked_at.is_(None)).values(revoked_at=func.now())
    rows = scope.db.execute(ended.returning(s.c.id, s.c.user_id)).all()
    if rows and told:
        ids = sorted(str(row.id) for row in rows)
        scope.record("user.signout", rows[0].user_id, after={"session_ids": ids})


def _alive() -> Any:
    """Not revoked, and with a token that can still bring it back."""
    st, s = t.session_tokens, t.sessions
    hope = (st.c.session_id == s.c.id) & (st.c.expires_at > func.now())
    return s.c.revoked_at.is_(None) & exists(select(1).where(hope, or_(st.c.used_at.is_(None), st.c.kind == "access")))


def _session(row: Any, current: UUID | None) -> Session:
    return Session(
        id=row.id,
        created_at=row.created_at,
        last_used_at=row.used,
        ip=row.ip,
        device=device_of(row.user_agent),
        user_agent=row.user_agent or None,
        current=row.id == current,
    )


# Edge and Opera call themselves Chrome, too, and Chrome calls itself Safari: who says more comes first.
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device_of(user_agent: str | None) -> str:
    """A browser's name for itself in words that its owner knows: ``Firefox on Linux``."""
    text = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if mark in text), None)
    if browser is None:
        return text.split("/")[0].split(" ")[0][:40] or "unknown"
    return f"{browser} on {system}" if system else browser
