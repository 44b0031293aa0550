"""Accounts: how they begin, how a lost password is replaced, how they end."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import delete, exists, func, or_, select, update

from luml_app.core import tables as t
from luml_app.core.operations import Resource, operation
from luml_app.core.passwords import hash_password
from luml_app.core.throttle import MAILING, TOKENS
from luml_app.resources.account_mails import RESET_SECONDS, ask_for_mail, new_account_token, tell_of_new_password
from luml_app.resources.new_accounts import check_sign_up, insert_account
from luml_app.resources.sessions import SIGN_UP, end_sessions, forget_tokens
from luml_app.schemas.accounts import EmailAddress, NewPassword, SignUp
from luml_app.schemas.errors import BadRequest, Conflict, Forbidden
from luml_app.schemas.fields import Detail

_CHOOSE = (
    "The e-mail address is confirmed. A sign-up by somebody else may have used it, so that no password counts yet: "
    "choose one as if it were forgotten."
)
_SIGN_UP_SECONDS = 7 * 24 * 3600
_LINK_IS_OLD = "This link was used already, or has expired: {remedy}."


class Accounts(Resource):
    """How accounts begin and end. Who asks for a mail does not learn whether there is such an account."""

    @operation("POST /v1/auth/signup", by="anyone", throttle=MAILING)
    def signup(self, body: SignUp) -> Detail:
        """Sign up, with an organization of one's own. The account opens when its e-mail address is confirmed."""
        email = body.email.lower()
        check_sign_up(self.scope, email)
        hashed = hash_password(body.password)
        user_id = insert_account(
            self.scope, email=email, full_name=body.full_name, photo=body.photo, password_hash=hashed
        )
        if user_id is not None:
            self.scope.record("user.signup", user_id)
        ask_for_mail(self.scope, "signup", email, hashed)
        self.scope.cookies[SIGN_UP] = (self.scope.keys.hash(_of_sign_up(hashed)), _SIGN_UP_SECONDS)
        return Detail(detail="Please confirm your e-mail address: open the link in the mail that we have sent you.")

    @operation("POST /v1/auth/resend-confirmation", by="anyone", throttle=MAILING)
    def resend_confirmation(self, body: EmailAddress) -> Detail:
        """Ask for another mail to confirm one's e-mail address."""
        ask_for_mail(self.scope, "confirm", body.email.lower())
        return Detail(detail="If this address waits to be confirmed, a mail is on its way to it.")

    @operation("GET /v1/auth/confirm-email", by="anyone", writes=True, throttle=TOKENS)
    def confirm_email(self, confirmation_token: str, elsewhere: bool = False) -> Detail:
        """Confirm one's e-mail address by the link of the mail.

        When more than one sign-up has used the address, none of their passwords counts; a browser is led on to choose
        one, anybody else asks for it with `accounts.forgot_password`. With `elsewhere` it is the same for a sign-up in
        another browser than this one: the page to which the mail leads says so, since a stranger may have signed up.
        """
        row = self._take_tokens(confirmation_token, "confirm")
        u = t.users
        done = update(u).where(u.c.id == row.user_id, u.c.email_confirmed_at.is_(None))
        confirmed = done.values(email_confirmed_at=func.now(), updated_at=func.now()).returning(u.c.password_hash)
        user = self.db.execute(confirmed).one_or_none()
        if user is not None:
            self.scope.record("user.confirm", row.user_id)
            if user.password_hash is None or (elsewhere and not self._signed_up_here(user.password_hash)):
                return self._choose(row.user_id)
        self.scope.go_to = "/login?done=confirmed"
        return Detail(detail="The e-mail address is confirmed; you can sign in now.")

    @operation("POST /v1/auth/forgot-password", by="anyone", throttle=MAILING)
    def forgot_password(self, body: EmailAddress) -> Detail:
        """Ask for a mail with a link to choose a new password. The answer is the same for every address."""
        ask_for_mail(self.scope, "reset", body.email.lower())
        return Detail(detail="If there is an account with this address, a mail is on its way to it.")

    @operation("POST /v1/auth/reset-password", by="anyone", throttle=TOKENS)
    def reset_password(self, body: NewPassword) -> Detail:
        """Choose a new password by the link of the mail, once. It ends every session, and confirms the address."""
        row = self._take_tokens(body.reset_token, "reset")
        u = t.users
        values = {
            "password_hash": hash_password(body.new_password),
            "email_confirmed_at": func.coalesce(u.c.email_confirmed_at, func.now()),
            "updated_at": func.now(),
        }
        email = self.db.scalar(update(u).where(u.c.id == row.user_id).values(values).returning(u.c.email))
        end_sessions(self.scope, t.sessions.c.user_id == row.user_id, told=False)
        self.scope.record("user.reset_password", row.user_id)
        tell_of_new_password(self.scope, str(email))
        return Detail(detail="The password is changed; sign in with the new one.")

    @operation("DELETE /v1/auth/users/me")
    def delete_me(self) -> Detail:
        """Delete one's account, with the organizations that nobody else is in.

        Refused while one is the only owner of an organization that has other members, or of one that has orbits.
        """
        if self.scope.caller.service_of is not None:
            raise Forbidden("A service account is deleted by those who run its organization.")
        me = self.scope.user_id
        left = delete(t.organizations).where(t.organizations.c.id.in_(self._organizations_left_behind()))
        self.db.execute(delete(t.users).where(t.users.c.id == me).add_cte(left.cte("left_behind")))
        self.scope.record("user.delete", me, before={"email": self.scope.caller.name})
        forget_tokens(self.scope)
        return Detail(detail="Account deleted successfully")

    def _signed_up_here(self, password_hash: str) -> bool:
        """Whether it was the browser that asks which has chosen this password at its sign-up."""
        return self.scope.credentials.sign_up in self.scope.keys.hashes(_of_sign_up(password_hash))

    def _choose(self, user_id: UUID) -> Detail:
        """Have whoever has confirmed the address choose the password: none that was chosen before counts."""
        self.db.execute(update(t.users).where(t.users.c.id == user_id).values(password_hash=None))
        token = new_account_token(self.scope, user_id, "reset", RESET_SECONDS)
        self.scope.go_to = f"/reset?token={quote(token)}&done=choose"
        return Detail(detail=_CHOOSE)

    def _take_tokens(self, token: str, kind: str) -> Any:
        """Use a mail's token up, and with it all others of its account. Of two at once one succeeds."""
        a = t.account_tokens
        fits = (a.c.hash.in_(self.scope.keys.hashes(token)), a.c.kind == kind, a.c.expires_at > func.now())
        used = select(a.c.user_id).where(*fits).with_for_update().cte("used")
        taken = delete(a).where(a.c.user_id == used.c.user_id)
        row = self.db.execute(taken.returning(used.c.user_id)).first()
        if row is None:
            remedy = "sign in, or ask for another mail" if kind == "confirm" else "ask for another mail"
            raise BadRequest(_LINK_IS_OLD.format(remedy=remedy))
        return row

    def _organizations_left_behind(self) -> list[UUID]:
        """The organizations that end with their only member; locked, so that nobody joins them in this moment.

        One that is being deleted already is left to that deletion.
        """
        o, m, orbits = t.organizations, t.organization_members, t.orbits
        owned = select(m.c.organization_id).where(m.c.user_id == self.scope.user_id, m.c.role == "owner")
        programs = select(t.users.c.id).where(t.users.c.service_of == o.c.id)
        others = (m.c.organization_id == o.c.id) & (m.c.user_id != self.scope.user_id) & m.c.user_id.not_in(programs)
        another_owner = exists(select(1).where(others, m.c.role == "owner"))
        inside = orbits.c.organization_id == o.c.id
        facts = {
            "inhabited": exists(select(1).where(others)),
            "furnished": exists(select(1).where(inside, orbits.c.deleting_since.is_(None))),
            "being_emptied": or_(exists(select(1).where(inside)), _doomed_in(o)),
        }
        # With their owners: who stays behind as one must not cease to be one in this moment.
        owners = select(m.c.id).join(o, o.c.id == m.c.organization_id).where(o.c.id.in_(owned), m.c.role == "owner")
        self.db.execute(owners.order_by(o.c.id, m.c.id).with_for_update())
        mine = (o.c.id.in_(owned), o.c.deleting_since.is_(None), ~another_owner)
        query = select(o.c.id, o.c.name, *(fact.label(name) for name, fact in facts.items())).where(*mine)
        rows = self.db.execute(query.order_by(o.c.name, o.c.id)).all()
        for row in rows:
            _check_nothing_is_lost(row)
        return [row.id for row in rows]


def _of_sign_up(password_hash: str) -> str:
    """What the cookie of a sign-up proves, once it is hashed: it chose the password with this (salted) hash."""
    return f"sign-up {password_hash}"


def _doomed_in(organizations: Any) -> Any:
    """Whether bytes of the organization still wait to be deleted, which needs its buckets."""
    b, noted = t.buckets, t.doomed_objects
    return exists(select(1).where(noted.c.bucket_secret_id == b.c.id, b.c.organization_id == organizations.c.id))


def _check_nothing_is_lost(organization: Any) -> None:
    name = organization.name
    if organization.inhabited:
        raise Conflict(f"You are the only owner of {name!r}, and others are in it: give it to one of them.")
    if organization.furnished:
        raise Conflict(f"Your organization {name!r} has orbits: delete it first.")
    if organization.being_emptied:
        raise Conflict(f"What was in your organization {name!r} is still being deleted; try again in a moment.")
