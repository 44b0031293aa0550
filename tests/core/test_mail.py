"""Mails: how they are written, sent, tried again, and kept from saying what they should not."""

from __future__ import annotations

import datetime
import logging
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.core.mail import MailServer
from luml_app.core.settings import Settings
from luml_app.jobs.mailing import queue_mail
from luml_app.schemas.errors import ConfigurationError
from luml_app.web.house import House
from tests import mailbox
from tests.mailbox import Mailbox

LINK = "https://luml.example.com/reset?token=very-secret"


@pytest.fixture
def open_box() -> Iterator[Callable[..., Mailbox]]:
    boxes: list[Mailbox] = []

    def build(**options: Any) -> Mailbox:
        boxes.append(Mailbox(**options))
        return boxes[-1]

    yield build
    for one in boxes:
        one.stop()


@pytest.fixture
def box(open_box: Callable[..., Mailbox]) -> Mailbox:
    return open_box()


@pytest.fixture
def mailing(build_house: Callable[..., House], box: Mailbox) -> House:
    return build_house(smtp_url=box.url, mail_from="LUML <luml@example.com>")


def post(house: House, to: str = "ada@example.org", subject: str = "Hello", text: str = f"Open {LINK}\n") -> None:
    with house.database.write() as db:
        queue_mail(SimpleNamespace(db=db, keys=house.keys), to, subject, text)


def the_job(house: House) -> Any:
    with house.database.read() as db:
        return db.execute(select(t.jobs).where(t.jobs.c.type == "mail.send")).one()


def make_due(house: House) -> None:
    with house.database.write() as db:
        db.execute(update(t.jobs).values(scheduled_at=func.now()))


def test_a_mail_arrives_with_its_headers_and_in_plain_text(mailing: House, box: Mailbox) -> None:
    post(mailing, subject="Réinitialiser", text="Bonjour Zoë,\n\n.\n<b>not bold</b>\n")
    mailing.housekeeper.run_due()
    (mail,) = box.mails
    assert (mail["To"], mail["From"], mail["Subject"]) == (
        "ada@example.org",
        "LUML <luml@example.com>",
        "Réinitialiser",
    )
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n") == "Bonjour Zoë,\n\n.\n<b>not bold</b>\n"
    assert mail["Message-ID"].endswith("@example.com>")
    assert mail["Date"]
    assert mail["Auto-Submitted"] == "auto-generated"


def test_the_job_table_does_not_show_the_mail(mailing: House) -> None:
    post(mailing)
    for _ in range(2):
        row = str(the_job(mailing)._mapping)
        assert "very-secret" not in row
        assert "ada@example.org" not in row
        mailing.housekeeper.run_due()
    assert the_job(mailing).result == {"result": "sent"}


def test_nothing_in_a_name_becomes_a_header_or_another_recipient(mailing: House, box: Mailbox) -> None:
    post(mailing, subject="Join Evil\r\nBcc: all@example.org\r\n\r\nbody", text="x\r\nBcc: others@example.org\n")
    mailing.housekeeper.run_due()
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Join Evil Bcc: all@example.org body"
    assert box.recipients == [["ada@example.org"]]


@pytest.mark.parametrize("to", ["a,b@example.org", "x\r\nBcc: b@example.org", "<b@example.org>", "nobody", "a@b, c@d"])
def test_what_is_no_single_address_is_given_up_at_once(to: str, mailing: House, box: Mailbox) -> None:
    post(mailing, to=to)
    mailing.housekeeper.run_due()
    assert the_job(mailing).state == "failed"
    assert box.mails == []


def test_a_mail_waits_until_the_server_is_back(
    build_house: Callable[..., House], open_box: Callable[..., Mailbox]
) -> None:
    away = open_box()
    house = build_house(smtp_url=away.url, mail_from="luml@example.com")
    away.stop()
    post(house)
    house.housekeeper.run_due()
    assert the_job(house).state == "queued"
    back = open_box(port=away.port)
    make_due(house)
    house.housekeeper.run_due()
    assert the_job(house).state == "succeeded"
    assert LINK in back.to("ada@example.org").get_content()


def test_what_the_server_says_decides_whether_to_try_again(mailing: House, box: Mailbox) -> None:
    box.answer = "451 come back later"
    post(mailing)
    mailing.housekeeper.run_due()
    assert the_job(mailing).state == "queued"
    box.answer = "550 no such user"
    make_due(mailing)
    mailing.housekeeper.run_due()
    assert the_job(mailing).state == "failed"
    assert "550" in the_job(mailing).result["error"]


def test_without_a_server_the_mail_stands_in_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    post(house, subject="Hi\nthere")
    with caplog.at_level(logging.WARNING):
        house.housekeeper.run_due()
    assert "To: ada@example.org\nSubject: Hi there\n" in caplog.text
    assert LINK in caplog.text
    assert the_job(house).result == {"result": "logged"}


def test_it_signs_in_and_encrypts(
    build_house: Callable[..., House],
    open_box: Callable[..., Mailbox],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box = open_box(tls=own_certificate(tmp_path), needs_sign_in=True)
    user, password = (quote(text, safe="") for text in (mailbox.USER.decode(), mailbox.PASSWORD.decode()))
    house = build_house(smtp_url=f"smtp://{user}:{password}@localhost:{box.port}", mail_from="luml@example.com")
    post(house)
    house.housekeeper.run_due()
    assert "certificate" in the_job(house).result["error"].lower(), "nobody vouches for this server yet"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    make_due(house)
    house.housekeeper.run_due()
    assert the_job(house).state == "succeeded"
    assert len(box.mails) == 1


def test_a_password_never_goes_over_an_open_line(
    build_house: Callable[..., House], open_box: Callable[..., Mailbox]
) -> None:
    box = open_box(needs_sign_in=True)
    house = build_house(smtp_url=f"smtp://user:secret@127.0.0.1:{box.port}", mail_from="luml@example.com")
    post(house)
    house.housekeeper.run_due()
    assert "STARTTLS" in the_job(house).result["error"]
    assert "secret" not in str(the_job(house).result)


@pytest.mark.parametrize(
    "url",
    ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://h:port", "smtp://h/path", "smtp://h?tls=1"],
)
def test_an_address_that_is_none_is_said_at_the_start(url: str, build_house: Callable[..., House]) -> None:
    with pytest.raises(ConfigurationError, match="LUML_SMTP_URL"):
        build_house(smtp_url=url, mail_from="luml@example.com")


def test_who_sends_must_be_said_and_be_an_address(build_house: Callable[..., House]) -> None:
    for sender in (None, "nobody", "a@b\nBcc: c@d", "<>"):
        with pytest.raises(ConfigurationError, match="LUML_MAIL_FROM"):
            build_house(smtp_url="smtp://localhost", mail_from=sender)


def test_the_password_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        MailServer.parse("smtp://user:secret@host:port")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(MailServer.parse("smtp://user:secret@host"))
    assert "hidden" not in repr(Settings(smtp_url="smtp://user:hidden@host", secret_keys="hidden"))


def own_certificate(folder: Path) -> ssl.SSLContext:
    """The context of a server at localhost, whose certificate lies in the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
