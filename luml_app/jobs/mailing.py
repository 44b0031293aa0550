"""Mails leave as chores: queued with the change that they tell of, tried again while the mail server is away."""

from __future__ import annotations

from typing import Any

import msgspec

from luml_app.core.ids import new_id
from luml_app.core.mail import Mail, Refused, deliver
from luml_app.jobs.chores import Errand, Hopeless, chore, queue_chore
from luml_app.schemas.errors import Invalid


@chore("mail.send", attempts=12, pauses=(2, 10, 30, 120, 600, 1800))
def send_mail(errand: Errand) -> str:
    """Send the mail of the payload; how it went out. About five hours of an absent mail server are waited for."""
    mail = msgspec.json.decode(errand.keys.decrypt(errand.payload["sealed"].encode()), type=Mail)
    try:
        return deliver(mail, errand.settings)
    except (Refused, Invalid) as error:
        raise Hopeless(error.message) from error


def queue_mail(scope: Any, to: str, subject: str, text: str) -> None:
    """Queue a mail in the scope's transaction: one statement. It leaves when the change is kept, and only then.

    `scope` is anything with `db` and `keys`. The mail lies encrypted in the job table: its link opens an account.
    """
    mail = Mail(to=to, subject=subject, text=text, number=str(new_id()))
    sealed = scope.keys.encrypt(msgspec.json.encode(mail).decode()).decode()
    queue_chore(scope.db, send_mail, {"sealed": sealed})
