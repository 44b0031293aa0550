"""Calls about the caller: signing in, accounts, sessions, identities, API keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
from sqlalchemy import insert, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.keys import new_token
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.resources.sessions import VISIT
from tests.api.cases.playing import OPERATIONS, Case, case, plain
from tests.api.stage import Stage
from tests.cast import PASSWORD, add_person
from tests.provider import IdentityProvider, shared_provider


def _signed_in(stage: Stage) -> dict[str, str]:
    body = {"email": stage.cast.alice.email, "password": PASSWORD}
    answer = stage.house.service.call(Request(OPERATIONS["auth.signin"], body=body))
    return {name: value for name, (value, _) in answer.cookies.items()}


plain("auth.signin", {"email": "alice@example.org", "password": PASSWORD})
plain("auth.create_link")
plain("auth.me")
plain("auth.update_me", {"full_name": "Alice Liddell", "password": "through the looking glass"})


@case("auth.refresh")
def _(stage: Stage) -> Case:
    return Case(refresh_token=_signed_in(stage)["refresh_token"])


plain("accounts.signup", {"email": "Ada@example.org", "password": "analytical engine", "full_name": "Ada"})
plain("accounts.resend_confirmation", {"email": "alice@example.org"})
plain("accounts.forgot_password", {"email": "alice@example.org"})


def _mailed_token(stage: Stage, kind: str, *, confirmed: bool) -> str:
    """What a mail to Alice would have brought."""
    token, u, tokens = new_token(), t.users, t.account_tokens
    moment = datetime.now(UTC) + timedelta(hours=1)
    row = {"hash": stage.house.keys.hash(token), "user_id": stage.cast.alice.id, "kind": kind, "expires_at": moment}
    with stage.house.database.write() as db:
        db.execute(insert(tokens).values(row))
        if not confirmed:
            db.execute(update(u).where(u.c.id == stage.cast.alice.id).values(email_confirmed_at=None))
    return token


@case("accounts.confirm_email")
def _(stage: Stage) -> Case:
    return Case(query={"confirmation_token": _mailed_token(stage, "confirm", confirmed=False), "elsewhere": True})


@case("accounts.reset_password")
def _(stage: Stage) -> Case:
    _signed_in(stage)
    token = _mailed_token(stage, "reset", confirmed=True)
    return Case({"reset_token": token, "new_password": "through the looking glass"})


@case("accounts.delete_me")
def _(stage: Stage) -> Case:
    ada = add_person(stage.house.database, "ada")
    stage.house.api(Credentials(token=ada.api_key)).organizations.create(name="Engines")
    return Case(token=ada.api_key)


@case("sessions.list")
def _(stage: Stage) -> Case:
    _signed_in(stage)
    return Case()


@case("sessions.delete")
def _(stage: Stage) -> Case:
    _signed_in(stage)
    return Case(path={"session_id": stage.alice.sessions.list()[0].id})


@case("sessions.delete_others")
def _(stage: Stage) -> Case:
    _signed_in(stage)
    return Case()


plain("identities.providers")
plain("identities.list")


def _with_providers(stage: Stage) -> IdentityProvider:
    """Set all providers up, as one that signs everybody in as Grace."""
    provider = shared_provider()
    ways = [provider.settings(name) for name in ("google", "microsoft", "oidc")]
    stage.house.know(replace(stage.house.settings, **{name: value for way in ways for name, value in way.items()}))
    return provider


def _returning(stage: Stage, way: str) -> Case:
    """Somebody who has been here before comes back from a provider."""
    provider = _with_providers(stage)
    provider.tenants = way == "microsoft"
    provider.be(tid="tenant")
    cases = []
    for _ in range(2):
        left = stage.house.service.call(Request(OPERATIONS[f"identities.{way}_login"]))
        back = parse_qs(urlsplit(httpx.get(left.value.url).headers["Location"]).query)
        cases.append(Case(query={name: values[0] for name, values in back.items()}, visit=left.cookies[VISIT][0]))
    first = Credentials(visit=cases[0].visit)
    stage.house.service.call(Request(OPERATIONS[f"identities.{way}_callback"], {}, cases[0].query, None, first))
    return cases[1]


for _way in ("google", "microsoft", "oidc"):

    @case(f"identities.{_way}_login")
    def _(stage: Stage, way: str = _way) -> Case:
        _with_providers(stage).tenants = way == "microsoft"
        return Case()

    @case(f"identities.{_way}_callback")
    def _(stage: Stage, way: str = _way) -> Case:
        return _returning(stage, way)


@case("identities.link")
def _(stage: Stage) -> Case:
    _with_providers(stage).tenants = False
    return Case({"provider": "oidc"})


@case("identities.delete")
def _(stage: Stage) -> Case:
    identity_id, i = new_id(), t.identities
    row = {"id": identity_id, "user_id": stage.cast.alice.id, "provider": "oidc", "issuer": "x", "subject": "y"}
    with stage.house.database.write() as db:
        db.execute(insert(i).values(row))
    return Case(path={"identity_id": identity_id})


@case("auth.use_link")
def _(stage: Stage) -> Case:
    return Case(query={"token": stage.alice.auth.create_link().path.partition("token=")[2]})


@case("auth.logout")
def _(stage: Stage) -> Case:
    return Case(refresh_token=_signed_in(stage)["refresh_token"])


@case("api_keys.create_default")
def _(stage: Stage) -> Case:
    stage.alice.api_keys.create_default()
    return Case()


@case("api_keys.delete_default")
def _(stage: Stage) -> Case:
    stage.alice.api_keys.create_default()
    return Case()


plain("api_keys.list")
plain("api_keys.create", {"name": "of the notebook", "scopes": ["api"]})
plain("api_keys.update", {"name": "renamed"})
plain("api_keys.delete")
plain("api_keys.validate")
