"""Mails about accounts. Which one somebody gets, or none, is decided by a chore: whoever asks over the network learns
neither from the answer nor from its time whether there is an account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from luml_app.core import events
from luml_app.core import tables as t
from luml_app.core.keys import Keys, new_token
from luml_app.core.settings import Settings
from luml_app.core.throttle import MAILS_TO_ONE, charge
from luml_app.jobs.chores import Errand, chore, queue_chore
from luml_app.jobs.mailing import queue_mail

Wish = Literal["signup", "confirm", "reset"]
CONFIRM_SECONDS, RESET_SECONDS = 24 * 3600, 3600


class Asked(msgspec.Struct):
    """Somebody has asked for a mail to `email`; `password_hash` is that of a sign-up."""

    wish: Wish
    email: str
    password_hash: str | None = None


@dataclass(frozen=True)
class _Writing:
    """What is needed to write a mail: the means of a scope, outside of a request."""

    db: Connection
    keys: Keys
    settings: Settings


def ask_for_mail(scope: Any, wish: Wish, email: str, password_hash: str | None = None) -> None:
    """Let the account of this address, if there is one, get the mail it needs: one statement, whoever it is."""
    asked = Asked(wish=wish, email=email, password_hash=password_hash)
    queue_chore(scope.db, write_account_mail, {"sealed": _sealed(scope.keys, asked)})


def _sealed(keys: Keys, asked: Asked) -> str:
    return keys.encrypt(msgspec.json.encode(asked).decode()).decode()


@chore("account.mail", attempts=10)
def write_account_mail(errand: Errand) -> None:
    """Find the account, make the token, queue the mail. The job shows nothing of it: not even whether there was one."""
    asked = msgspec.json.decode(errand.keys.decrypt(errand.payload["sealed"].encode()), type=Asked)
    with errand.database.write() as db:
        u = t.users
        people = (u.c.disabled.is_(False), u.c.service_of.is_(None))
        user = db.execute(select(u).where(u.c.email == asked.email, *people)).one_or_none()
        if user is not None and asked.password_hash not in {None, user.password_hash}:
            _forget_password_of_sign_up(db, user.id)
        if user is not None and charge(db, [(errand.keys.hash(f"mails to {asked.email}"), MAILS_TO_ONE)]) is None:
            _write(_Writing(db, errand.keys, errand.settings), user, asked)


def _write(means: _Writing, user: Any, asked: Asked) -> None:
    confirmed = user.email_confirmed_at is not None
    if asked.wish == "reset":
        token = new_account_token(means, user.id, "reset", RESET_SECONDS)
        _send(means, user.email, "Choose a new password for LUML", _RESET, _link(means, "/reset", token))
        _note(means, "user.forgot_password", user)
    elif not confirmed:
        token = new_account_token(means, user.id, "confirm", CONFIRM_SECONDS)
        _send(means, user.email, "Confirm your e-mail address for LUML", _CONFIRM, _link(means, "/confirm", token))
        _note(means, "user.ask_confirmation", user)
    else:
        _send(means, user.email, "You have a LUML account already", _KNOWN, f"{means.settings.address}/login")


def _forget_password_of_sign_up(db: Connection, user_id: Any) -> None:
    """Somebody signs up again with an address that is not confirmed: who confirms it may be either of them, and must
    not open the account to the other. So nobody's password counts; who confirms the address chooses one (`accounts`).
    """
    u = t.users
    unconfirmed = update(u).where(u.c.id == user_id, u.c.email_confirmed_at.is_(None))
    db.execute(unconfirmed.values(password_hash=None))


def new_account_token(means: Any, user_id: Any, kind: str, seconds: int) -> str:
    """Make a token for a link to somebody's mailbox; `means` is a scope, or as much of one."""
    token = new_token()
    row = {"hash": means.keys.hash(token), "user_id": user_id, "kind": kind}
    means.db.execute(insert(t.account_tokens).values(**row, expires_at=func.now() + timedelta(seconds=seconds)))
    return token


def _link(means: _Writing, page: str, token: str) -> str:
    return f"{means.settings.address}{page}?token={quote(token)}"


def _note(means: _Writing, action: str, user: Any) -> None:
    events.record(means.db, action, object_id=user.id, actor_kind="anyone")


def tell_of_new_password(scope: Any, email: str) -> None:
    """Tell somebody that their password was changed: if it was not them, they want to know."""
    _send(scope, email, "Your LUML password was changed", _CHANGED, f"{scope.settings.address}/forgot")


def _send(means: Any, to: str, subject: str, text: str, link: str) -> None:
    # Nothing that somebody else may have typed stands in these mails, not even a name.
    queue_mail(means, to, subject, text.format(link=link, server=means.settings.address))


_FOOT = """
--
LUML, {server}
"""
_CONFIRM = (
    """Hello,

somebody, most likely you, has signed up for LUML with this address.
To confirm that it is yours, open

    {link}

The link is good for 24 hours. If it was not you, do nothing.
"""
    + _FOOT
)
_RESET = (
    """Hello,

to choose a new password for your LUML account, open

    {link}

The link is good for one hour, and once. If you did not ask for it,
do nothing: your password stays as it is.
"""
    + _FOOT
)
_KNOWN = (
    """Hello,

somebody, perhaps you, has tried to sign up for LUML with this address,
or asked for another mail to confirm it. You have an account already,
and it is confirmed. Sign in at

    {link}

If you have forgotten your password, the same page helps.
"""
    + _FOOT
)
_CHANGED = (
    """Hello,

the password of your LUML account was changed just now, and you were
signed out everywhere. If it was not you, choose a new one at once:

    {link}

Then look at your API keys, too: they go on with a new password.
"""
    + _FOOT
)
