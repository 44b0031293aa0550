"""What nobody can use any more is forgotten: old tokens and invites, ended sessions, limits that are whole again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, exists, func, or_, select

from luml_app.core import tables as t
from luml_app.jobs.chores import Errand, chore

KEPT = timedelta(days=1)
"""For so long after its end a token is still known: an old refresh token that comes back ends its session."""
INVITES_KEPT = timedelta(days=30)
"""For so long after its end an invite can still be seen, and sent again."""
_AT_ONCE = 5_000


@chore("accounts.prune", every=3600)
def prune_accounts(errand: Errand) -> dict[str, int]:
    """Delete them, some thousands in each transaction; how many of which table."""
    return {name: _pruned(errand, *old) for name, old in _old().items()}


def _old() -> dict[str, tuple[Any, Any]]:
    """By table: its key, and which of its rows are old."""
    s, tokens = t.sessions, t.session_tokens
    past = func.now() - KEPT
    known = exists(select(1).where(tokens.c.session_id == s.c.id))
    of_ended = tokens.c.session_id.in_(select(s.c.id).where(s.c.revoked_at < past))
    return {
        "session_tokens": (tokens.c.hash, or_(tokens.c.expires_at < past, of_ended)),
        "sessions": (s.c.id, ~known & (s.c.created_at < past)),
        "account_tokens": (t.account_tokens.c.hash, t.account_tokens.c.expires_at < func.now()),
        "provider_visits": (t.provider_visits.c.state_hash, t.provider_visits.c.expires_at < func.now()),
        "invites": (t.invites.c.id, t.invites.c.expires_at < func.now() - INVITES_KEPT),
        "throttles": (t.throttles.c.key, t.throttles.c.whole_at < func.now()),
    }


def _pruned(errand: Errand, key: Any, old: Any) -> int:
    some = select(key).where(old).limit(_AT_ONCE)
    total = 0
    while not errand.is_lost():
        with errand.database.write() as db:
            deleted = db.execute(delete(key.table).where(key.in_(some))).rowcount
        total += deleted
        if deleted < _AT_ONCE:
            break
    return total
