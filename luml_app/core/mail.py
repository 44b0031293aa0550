"""Mail: the one door to the operator's mail server. Plain text only, so that nothing in it can be markup."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from urllib.parse import parse_qs, unquote, urlsplit

from luml_app.core.settings import Settings
from luml_app.schemas.errors import ConfigurationError, Invalid, LumlError, Unavailable

log = logging.getLogger(__name__)
_PORTS = {"smtp": 587, "smtps": 465}
_STARTTLS = ("required", "auto", "never")
_SECONDS = 20.0
_SUBJECT_LENGTH = 150


@dataclass(frozen=True)
class Mail:
    """A mail to one person. `number` names it to mail servers, so that one that is sent twice can be told."""

    to: str
    subject: str
    text: str
    number: str


class Refused(LumlError):  # noqa: N818
    """The mail server will never take this mail."""


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed in. `starttls`: ``required``, ``auto`` (where it is offered) or ``never``."""

    host: str
    port: int
    tls: bool
    starttls: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> MailServer:
        """Read ``smtp://user:password@host:587?starttls=required`` or ``smtps://…``.

        User and password are percent-encoded. Raises ConfigurationError, which does not repeat the address: it holds
        the password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(_NO_ADDRESS) from error
        asked = parse_qs(parts.query, keep_blank_values=True)
        starttls = asked.pop("starttls", ["never" if parts.scheme == "smtps" else "required"])[-1]
        if parts.scheme not in _PORTS or not parts.hostname or asked or parts.path not in {"", "/"}:
            raise ConfigurationError(_NO_ADDRESS)
        if starttls not in _STARTTLS:
            raise ConfigurationError(f"In LUML_SMTP_URL, starttls is one of {', '.join(_STARTTLS)}.")
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "smtps",
            starttls=starttls,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or "") if parts.username else None,
        )

    def send(self, message: EmailMessage, sender: str, to: str) -> None:
        """Hand one mail in. Raises Unavailable when it may work later, Refused when it never will."""
        try:
            with self._connected() as smtp:
                smtp.send_message(message, from_addr=sender, to_addrs=[to])
        except smtplib.SMTPRecipientsRefused as error:
            raise _meaning(*next(iter(error.recipients.values()))) from error
        except smtplib.SMTPAuthenticationError as error:
            raise Unavailable("The mail server does not take the user and password of LUML_SMTP_URL.") from error
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            raise _meaning(error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(f"The mail server {self.host}:{self.port} cannot be used: {error}") from error

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context()
        smtp: smtplib.SMTP
        if self.tls:
            smtp = smtplib.SMTP_SSL(self.host, self.port, timeout=_SECONDS, context=context)
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=_SECONDS)
        with smtp:
            smtp.ehlo()
            if self.starttls == "required" or (self.starttls == "auto" and smtp.has_extn("starttls")):
                smtp.starttls(context=context)
                smtp.ehlo()
            if self.user is not None:
                smtp.login(self.user, self.password or "")
            yield smtp


_NO_ADDRESS = (
    "LUML_SMTP_URL is no mail server: it looks like smtp://user:password@host:587 or smtps://user:password@host."
)


def _meaning(code: int, said: bytes | str) -> LumlError:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    sentence = f"The mail server said {code} {text}"[:500]
    return Refused(sentence) if code >= 500 else Unavailable(sentence)


def check_mail_settings(settings: Settings) -> None:
    """Raise ConfigurationError when mails could not be sent as the settings say."""
    if settings.smtp_url is None:
        return
    MailServer.parse(settings.smtp_url)
    if settings.mail_from is None:
        raise ConfigurationError("LUML_SMTP_URL is set, so LUML_MAIL_FROM must say who sends: an e-mail address.")
    _sender(settings.mail_from)


def deliver(mail: Mail, settings: Settings) -> str:
    """Send a mail, or, where no mail server is set, write it to the log; which of them it was: ``sent``, ``logged``.

    Raises Unavailable when another try may help, Refused or Invalid when none will.
    """
    if settings.smtp_url is None:
        log.warning(
            "No mail server is set (LUML_SMTP_URL), so this mail was not sent.\n"
            "----------------------------------------------------------------\n"
            "To: %s\nSubject: %s\n\n%s\n"
            "----------------------------------------------------------------",
            _line(mail.to),
            _line(mail.subject),
            mail.text,
        )
        return "logged"
    check_mail_settings(settings)
    sender = _sender(settings.mail_from or "")
    MailServer.parse(settings.smtp_url).send(compose(mail, sender), sender.addr_spec, mail.to)
    return "sent"


def compose(mail: Mail, sender: Address) -> EmailMessage:
    """The mail with its headers. Raises Invalid for a recipient that is no single e-mail address."""
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = sender
        message["To"] = Address(addr_spec=mail.to)
    except (ValueError, IndexError, MessageError) as error:
        raise Invalid(f"{_line(mail.to)!r} is not an e-mail address to which a mail could be sent.") from error
    message["Subject"] = _line(mail.subject)[:_SUBJECT_LENGTH]
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{mail.number}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # asks absence notes and mailing lists not to answer
    message.set_content(mail.text)
    return message


def _line(text: str) -> str:
    """The text on one line: names that others have chosen come into subjects."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _sender(text: str) -> Address:
    name, address = parseaddr(text)
    try:
        if not address or not text.isprintable():
            raise ValueError(text)
        return Address(display_name=name, addr_spec=address)
    except (ValueError, IndexError, MessageError) as error:
        raise ConfigurationError(
            f"LUML_MAIL_FROM={text!r} is no sender; it looks like luml@example.com or 'LUML <luml@example.com>'."
        ) from error
