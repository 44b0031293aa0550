"""Sign-in by Google, Microsoft or the operator's own OpenID Connect provider.

An account is found by issuer and subject, never by its e-mail address: who can make a provider say "alice@example.org"
does not get Alice's account. Alice connects the provider herself, from her account.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, insert, select, update

from luml_app.core import tables as t
from luml_app.core.keys import new_token
from luml_app.core.oidc import Conversation, Person, conversation, providers
from luml_app.core.operations import Resource, operation
from luml_app.core.outside import Question
from luml_app.core.settings import Settings
from luml_app.core.targets import HOME, own_page
from luml_app.core.throttle import VISITS
from luml_app.resources.api_keys import check_unbounded
from luml_app.resources.membership import check_person
from luml_app.resources.new_accounts import check_sign_up, identity_row, insert_account
from luml_app.resources.sessions import VISIT, open_session
from luml_app.schemas.errors import Conflict, Forbidden, NotFound, Unauthenticated
from luml_app.schemas.identities import Identity, IdentityLink, ProviderVisit, SignInProvider, WaysIn
from luml_app.schemas.users import SignedIn

VISIT_SECONDS = 600
Listed = list[Identity]


class Luggage(msgspec.Struct):
    """What belongs to a visit, and comes back only with it."""

    nonce: str
    verifier: str
    next: str


class Returned(msgspec.Struct):
    """Who has come back from a provider, and what for: `user_id` wants to connect the provider to their account."""

    provider: str
    person: Person
    next: str
    user_id: UUID | None


def _leave(name: str | None = None) -> Callable[..., Conversation]:
    """Asks, if need be, what must be known of the provider before the browser is sent there."""

    def fetch(service: Any, arguments: dict[str, Any], _who: Any) -> Conversation:
        found = _conversation(service.settings, name or arguments["body"].provider)
        if not found.is_known():
            raise Question(found.provider.name, "visit", lambda: _acquainted(found))
        return found

    return fetch


def _acquainted(talk: Conversation) -> Conversation:
    talk.question(state="", nonce="", verifier="", redirect_uri="")
    return talk


def _come_back(name: str) -> Callable[..., NoReturn]:
    """Uses the visit up, then asks the provider who came: the answer is a `Returned`."""

    def fetch(service: Any, arguments: dict[str, Any], who: Any) -> NoReturn:
        talk = _conversation(service.settings, name)
        visit = _spend_visit(service, name, arguments["state"], who.visit)
        luggage = msgspec.json.decode(service.keys.decrypt(visit.luggage), type=Luggage)
        _check_answer(talk, arguments)
        uri = _redirect_uri(service.settings, name)
        shown = {"code": arguments["code"], "nonce": luggage.nonce, "verifier": luggage.verifier, "redirect_uri": uri}

        def ask() -> Returned:
            person = talk.answer(**shown)
            return Returned(provider=name, person=person, next=luggage.next, user_id=visit.user_id)

        raise Question(name, "visit", ask)

    return fetch


class Identities(Resource):
    """Accounts elsewhere with which one signs in here."""

    @operation("GET /v1/auth/providers", by="anyone")
    def providers(self) -> WaysIn:
        """The ways in: providers that are set up here, and who may sign up."""
        known = providers(self.scope.settings).values()
        ways = [SignInProvider(name=p.name, label=p.label, path=f"/v1/auth/{p.name}/login") for p in known]
        return WaysIn(providers=ways, signup=self.scope.settings.signup)

    @operation("GET /v1/auth/google/login", by="anyone", writes=True, throttle=VISITS, fetch=_leave("google"))
    def google_login(self, next: str = HOME) -> ProviderVisit:
        """Sign in by Google: a browser is sent there, a program is told where that is."""
        return self._visit(next)

    @operation("GET /v1/auth/google/callback", by="anyone", writes=True, throttle=VISITS, fetch=_come_back("google"))
    def google_callback(
        self, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from Google."""
        return self._returned()

    @operation("GET /v1/auth/microsoft/login", by="anyone", writes=True, throttle=VISITS, fetch=_leave("microsoft"))
    def microsoft_login(self, next: str = HOME) -> ProviderVisit:
        """Sign in by Microsoft: a browser is sent there, a program is told where that is."""
        return self._visit(next)

    @operation(
        "GET /v1/auth/microsoft/callback", by="anyone", writes=True, throttle=VISITS, fetch=_come_back("microsoft")
    )
    def microsoft_callback(
        self, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from Microsoft."""
        return self._returned()

    @operation("GET /v1/auth/oidc/login", by="anyone", writes=True, throttle=VISITS, fetch=_leave("oidc"))
    def oidc_login(self, next: str = HOME) -> ProviderVisit:
        """Sign in by the operator's own provider: a browser is sent there, a program is told where that is."""
        return self._visit(next)

    @operation("GET /v1/auth/oidc/callback", by="anyone", writes=True, throttle=VISITS, fetch=_come_back("oidc"))
    def oidc_callback(
        self, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from the operator's own provider."""
        return self._returned()

    @operation("GET /v1/auth/identities")
    def list(self) -> Listed:
        """The accounts elsewhere with which one signs in here."""
        i = t.identities
        mine = select(i).where(i.c.user_id == self.scope.user_id).order_by(i.c.created_at, i.c.id)
        return [
            Identity(**{name: getattr(row, name) for name in Identity.__struct_fields__})
            for row in self.db.execute(mine)
        ]

    @operation("POST /v1/auth/identities", throttle=VISITS, fetch=_leave())
    def link(self, body: IdentityLink) -> ProviderVisit:
        """Begin to connect an account elsewhere to one's own: the browser goes to `url`, and comes back connected."""
        check_person(self.scope.caller.service_of, "sign in by browser")
        check_unbounded(self.scope, "connect a way to sign in")
        return self._visit(body.next, self.scope.user_id)

    @operation("DELETE /v1/auth/identities/{identity_id}", status=204)
    def delete(self, identity_id: UUID) -> None:
        """Disconnect an account elsewhere; refused when it is the only way to sign in."""
        i, u, me = t.identities, t.users, self.scope.user_id
        # Locked, so that two that are taken away at once do not both count on the other.
        has_password = self.db.scalar(select(u.c.password_hash.is_not(None)).where(u.c.id == me).with_for_update())
        others = self.db.scalar(select(func.count()).where(i.c.user_id == me, i.c.id != identity_id))
        if not has_password and not others:
            raise Conflict("This is your only way to sign in: choose a password first (by 'forgot password').")
        gone = self.scope.row(i)
        self.db.execute(delete(i).where(i.c.id == identity_id))
        told = {"provider": gone.provider, "issuer": gone.issuer, "subject": gone.subject}
        self.scope.record("user.unlink_identity", me, before=told)

    def _visit(self, target: str, user_id: UUID | None = None) -> ProviderVisit:
        """Note that this browser has left for the provider, and give it what it must come back with."""
        scope, talk = self.scope, self.scope.answer
        state, browser = new_token(), new_token()
        luggage = Luggage(nonce=new_token(), verifier=new_token() + new_token(), next=own_page(target))
        row = {
            "state_hash": scope.keys.hash(state),
            "browser_hash": scope.keys.hash(browser),
            "provider": talk.provider.name,
            "user_id": user_id,
            "luggage": scope.keys.encrypt(msgspec.json.encode(luggage).decode()),
        }
        expires = func.now() + timedelta(seconds=VISIT_SECONDS)
        self.db.execute(insert(t.provider_visits).values(**row, expires_at=expires))
        scope.cookies[VISIT] = (browser, VISIT_SECONDS)
        uri = _redirect_uri(scope.settings, talk.provider.name)
        scope.go_to = talk.question(state=state, nonce=luggage.nonce, verifier=luggage.verifier, redirect_uri=uri)
        return ProviderVisit(url=scope.go_to)

    def _returned(self) -> SignedIn:
        back: Returned = self.scope.answer
        self.scope.cookies[VISIT] = ("", 0)
        self.scope.go_to = back.next
        known = self._known(back.person)
        if back.user_id is not None:
            self._connect(back, known)
            return SignedIn(detail="Successfully connected", user_id=back.user_id)
        if known is not None and known.disabled:
            raise Forbidden("This account is disabled; ask the operator of the server.")
        user_id = known.user_id if known is not None else self._sign_up(back)
        session_id = open_session(self.scope, user_id)
        action = "user.signin" if known is not None else "user.signup"
        self.scope.record(action, user_id, after={"session_id": session_id, "provider": back.provider})
        return SignedIn(detail="Successfully logged in", user_id=user_id)

    def _known(self, person: Person) -> Any:
        """Whose identity this is; it is noted that it was used."""
        i, u = t.identities, t.users
        mine = (i.c.issuer == person.issuer) & (i.c.subject == person.subject) & (u.c.id == i.c.user_id)
        used = update(i).where(mine).values(last_used_at=func.now())
        return self.db.execute(used.returning(i.c.user_id, u.c.disabled)).one_or_none()

    def _sign_up(self, back: Returned) -> UUID:
        person, provider = back.person, providers(self.scope.settings)[back.provider]
        if person.email is None:
            raise Forbidden(
                f"{provider.label} does not say that your e-mail address is verified; verify it there, then sign in."
            )
        check_sign_up(self.scope, person.email, of_the_house=provider.own)
        user_id: UUID | None = insert_account(
            self.scope,
            email=person.email,
            full_name=person.full_name and person.full_name[:100],
            confirmed=True,
            identity=identity_row(back.provider, person),
            auth_method=back.provider.upper(),
        )
        if user_id is None:
            raise Conflict(
                f"There is an account with the address {person.email} already. Sign in to it as before, then connect "
                f"{provider.label} on the page 'Your account'."
            )
        return user_id

    def _connect(self, back: Returned, known: Any) -> None:
        if known is not None and known.user_id != back.user_id:
            raise Conflict("This account elsewhere is connected to another account here; disconnect it there first.")
        if known is None:
            row = {**identity_row(back.provider, back.person), "user_id": back.user_id}
            self.db.execute(insert(t.identities).values(row))
            told = {name: row[name] for name in ("provider", "issuer", "subject")}
            self.scope.record("user.link_identity", back.user_id, after=told)


def _conversation(settings: Settings, name: str) -> Conversation:
    found = providers(settings).get(name)
    if found is None:
        raise NotFound("This way to sign in is not set up here; the operator of the server can.")
    return conversation(found)


def _redirect_uri(settings: Settings, name: str) -> str:
    return f"{settings.address}/v1/auth/{name}/callback"


def _spend_visit(service: Any, name: str, state: str, browser: str | None) -> Any:
    """Take the visit out, in a transaction of its own: whatever comes of it, it is used."""
    v, keys = t.provider_visits, service.keys
    belongs = (v.c.state_hash.in_(keys.hashes(state)), v.c.browser_hash.in_(keys.hashes(browser or "")))
    spent = delete(v).where(*belongs, v.c.provider == name, v.c.expires_at > func.now())
    with service.database.write() as db:
        row = db.execute(spent.returning(v.c.luggage, v.c.user_id)).one_or_none()
    if row is None:
        raise Unauthenticated("This sign-in was not begun in this browser, or is over already: begin once more.")
    return row


def _check_answer(talk: Conversation, arguments: dict[str, Any]) -> None:
    if arguments["error"] is not None or not arguments["code"]:
        raise Unauthenticated(f"{talk.provider.label} did not sign you in; begin once more, or sign in otherwise.")
    if arguments["iss"] is not None and arguments["iss"] != talk.provider.issuer and not talk.provider.many_tenants:
        raise Unauthenticated("The answer comes from another provider than the one that was asked: begin once more.")
