"""The courier carries events to webhooks, in threads of its own: slow receivers hold up neither requests nor chores."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from luml_app.core.db import Database
from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.jobs import deliveries
from luml_app.jobs.addresses import AddressRules
from luml_app.jobs.posting import Outcome, Poster
from luml_app.jobs.signing import signed_headers
from luml_app.jobs.workers import Workers
from luml_app.schemas.errors import ConfigurationError
from luml_app.schemas.events import Event
from luml_app.schemas.webhooks import Message

WORKERS = 8
CONNECTIONS = 4
TURN_SECONDS = 5.0
"""For so long a worker stays with one webhook that has much to get; then others have their turn."""


class Courier(Workers):
    """Delivers what is due. `start` and `stop` for a server; `run_due` for whoever wants it done now."""

    def __init__(self, database: Database, keys: Keys, settings: Settings) -> None:
        super().__init__("luml-courier", Database(database.url, pool_size=CONNECTIONS), WORKERS)
        self._keys = keys
        self._poster = Poster(AddressRules(settings.webhook_networks), settings.webhook_ca_file)

    def do_next(self) -> bool:
        """Take one webhook with messages that are due, and send them; whether there was one."""
        with self.database.write() as db:
            webhook = deliveries.claim_webhook(db)
        if webhook is None:
            return False
        turn_ends = time.monotonic() + TURN_SECONDS
        while self._send_next(webhook) and time.monotonic() < turn_ends and not self.stopping:
            pass
        with self.database.write() as db:
            deliveries.release(db, webhook)
        return True

    def until_next(self) -> float:
        """Seconds until the next message is due."""
        with self.database.read() as db:
            return deliveries.seconds_until_due(db)

    def _send_next(self, webhook: Any) -> bool:
        with self.database.read() as db:
            due = deliveries.next_due(db, webhook)
        if due is None:
            return False
        if due.event_at is None:
            with self.database.write() as db:
                deliveries.end_without_event(db, due)
            return True
        outcome = self._send(webhook, due)
        with self.database.write() as db:
            return deliveries.note_outcome(db, webhook, due, outcome)

    def _send(self, webhook: Any, due: Any) -> Outcome:
        body = message_of(due)
        try:
            keys = [self._keys.decrypt(sealed) for sealed in _secrets(webhook)]
        except ConfigurationError as error:
            return Outcome(0, error=error.message)
        headers = signed_headers(str(due.event_id), int(time.time()), body, keys)
        return self._poster.post(webhook.url, body, {**headers, **_HEADERS})


_HEADERS = {"Content-Type": "application/json", "User-Agent": "LUML-Webhooks/1"}


def message_of(due: Any) -> bytes:
    """The body of a message; the same for each attempt."""
    told = {name: getattr(due, f"event_{name}") for name in Event.__struct_fields__ if name != "ip"}
    return msgspec.json.encode(Message(type=due.event_action, timestamp=due.event_at, data=told))


def _secrets(webhook: Any) -> list[bytes]:
    """The secrets to sign with: the newest first, and the one before while it is still good."""
    old = webhook.old_secret if webhook.old_secret_until and webhook.old_secret_until > datetime.now(UTC) else None
    return [webhook.secret, *([old] if old else [])]
