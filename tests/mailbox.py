"""A mail server that keeps what it is given."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from tests.serving import LoopThread, until

USER, PASSWORD = b"lum/l", b"p@ss:word"


@dataclass
class Mailbox:
    """Listens on a free port. `answer`, if set, is said instead of taking a mail, as ``"550 no such user"``."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    needs_sign_in: bool = False
    answer: str | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopped = False
        self._thread = LoopThread("mailbox")
        self._server: Any = self._thread.run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?starttls=never"

    def to(self, address: str, count: int = 1) -> EmailMessage:
        """The newest mail to an address, of which there are to be so many; waits for it."""
        until(lambda: self._count(address) >= count, f"{address} got {count} mails")
        return next(one for one in reversed(self.mails) if address in str(one["To"]))

    def _count(self, address: str) -> int:
        return sum(address in str(one["To"]) for one in self.mails)

    def stop(self) -> None:
        """End; a second time does nothing."""
        if not self._stopped:
            self._stopped = True
            self._thread.run(self._close())
            self._thread.stop()

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.answer:
            return self.answer
        self.recipients.append(list(envelope.rcpt_tos))
        self.mails.append(message_from_bytes(envelope.content or b"", policy=policy.default))  # type: ignore[arg-type]
        return "250 kept"

    async def _listen(self) -> Any:
        return await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", self.port)

    async def _close(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def _protocol(self) -> SMTP:
        return SMTP(
            self,
            hostname="mailbox",
            tls_context=self.tls,
            auth_required=self.needs_sign_in,
            auth_require_tls=False,
            authenticator=lambda _server, _session, _envelope, _how, data: AuthResult(
                success=(data.login, data.password) == (USER, PASSWORD)
            ),
        )


def link_in(mail: EmailMessage, path: str) -> str:
    """The link to a page of the server that stands in a mail."""
    (found,) = re.findall(rf"https?://\S+{re.escape(path)}\S*", mail.get_content())
    return str(found)
