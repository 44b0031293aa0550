"""The pages of people's accounts: sign-in, sign-up, forgotten passwords, confirmation, one's own account.

Plain HTML that works without JavaScript. A link of a mail leads to a page with a button, never to the deed itself:
programs that look into mails open every link.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from tornado.routing import Rule, URLSpec
from tornado.template import Loader
from tornado.web import RequestHandler

from luml_app.core.service import Answer, Request
from luml_app.core.targets import HOME, own_page
from luml_app.resources.sessions import ACCESS, REFRESH
from luml_app.schemas.errors import Conflict, Invalid, LumlError, Unauthenticated, Unconfirmed
from luml_app.web.errors import status_of
from luml_app.web.house import House
from luml_app.web.paths import OperationPaths
from luml_app.web.principal import check_origin, comes_from_elsewhere, credentials_of
from luml_app.web.rest import OperationHandler, set_cookies

_POLICY = (
    "default-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_DONE = {
    "confirmed": "Your e-mail address is confirmed; sign in now.",
    "choose": "Your e-mail address is confirmed. You, or somebody else, signed up with it in another browser: "
    "choose the password that counts.",
    "reset": "The password is changed; sign in with the new one.",
    "connected": "Connected. You can sign in that way from now on.",
}
_templates = Loader(str(Path(__file__).parent / "static" / "entrance"))


def entrance_routes(house: House) -> list[Rule]:
    """The routes of these pages, and of the operations to which links lead."""
    arguments = {"house": house}
    pages = {"login": Login, "logout": Logout, "signup": SignUp, "forgot": Forgot, "reset": Reset, "confirm": Confirm}
    linked = [one for one in house.service.operations.values() if one.open_to_links and not one.reads]
    return [
        *(URLSpec(f"/{name}", page, arguments) for name, page in pages.items()),
        URLSpec("/account", Account, arguments),
        Rule(OperationPaths(linked, house=house), LinkedOperation),
    ]


class Page(RequestHandler):
    """A page that calls operations in the name of the browser that asks."""

    template = ""

    def initialize(self, house: House) -> None:
        """Tornado's constructor."""
        self.house = house

    async def call(
        self, name: str, body: Any = None, *, query: dict[str, Any] | None = None, path: dict[str, Any] | None = None
    ) -> Answer:
        """Run an operation, and give the browser the cookies that come of it."""
        operation = self.house.service.operations[name]
        credentials = credentials_of(self.request)
        answer = await self.house.call(Request(operation, path or {}, query or {}, body, credentials))
        set_cookies(self, answer, self.house.settings)
        return answer

    async def show(self, template: str = "", error: LumlError | None = None, **fields: Any) -> None:
        """Finish with a page; an error is said in its words, and is its status."""
        if error is not None:
            self.set_status(status_of(error))
            if error.retry_after is not None:
                self.set_header("Retry-After", str(int(error.retry_after) + 1))
        ways = (await self.call("identities.providers")).value
        known = {"email": "", "full_name": "", "token": "", "next": HOME, "unconfirmed": False}
        said = {"error": error and in_words(error), "done": _DONE.get(self.get_query_argument("done", ""))}
        given = {**known, **said, "ways": ways.providers, "signup": ways.signup, "quote": quote, **fields}
        write_page(self, template or self.template, given)

    def form(self, *names: str) -> dict[str, str]:
        """Fields of the form that was sent; Tornado strips what surrounds them, but passwords stay as they are."""
        return {name: self.get_body_argument(name, "", strip=name != "password") for name in names}

    async def get(self) -> None:
        """Show the form."""
        await self.show(**self.asked())

    async def post(self) -> None:
        """Take the form; what is wrong with it is said above it."""
        try:
            check_origin(self.request)
            await self.take()
        except LumlError as error:
            await self.show(error=error, unconfirmed=isinstance(error, Unconfirmed), **self.asked())

    def asked(self) -> dict[str, Any]:
        """What the form shows at first, or again."""
        return {name: self.get_argument(name, "") for name in ("email", "full_name", "token")}

    async def take(self) -> None:
        """Do what the form wants. Raises the errors of the operation."""
        raise NotImplementedError


def write_page(handler: RequestHandler, template: str, fields: dict[str, Any]) -> None:
    """Finish with a page of this house."""
    handler.set_header("Content-Type", "text/html; charset=utf-8")
    handler.set_header("Cache-Control", "no-store")
    handler.set_header("Referrer-Policy", "no-referrer")
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.set_header("Content-Security-Policy", _POLICY)
    handler.finish(_templates.load(f"{template}.html").generate(**fields))


def in_words(error: LumlError) -> str:
    """An error for somebody who fills in a form."""
    if not isinstance(error, Invalid) or not error.problems:
        return error.message
    field = str(error.problems[0].loc[-1])
    return _FIELDS.get(field, error.message)


_FIELDS = {
    "email": "This is no e-mail address to which a mail could be sent.",
    "password": "A password has 8 to 128 characters.",
    "new_password": "A password has 8 to 128 characters.",
    "full_name": "A name has at most 100 characters.",
}


class Login(Page):
    """Sign in, by e-mail and password or by a one-time link."""

    template = "login"

    async def get(self) -> None:
        """The form; with ``?token=`` sign in by the link; with a refresh token that is still good, quietly."""
        token = self.get_query_argument("token", None)
        if token and comes_from_elsewhere(self.request):
            # Who is led here unawares would be signed in as somebody else, and leave what is theirs there.
            lead = "A page elsewhere has led you to a link that signs you in. Go on only if the link is yours."
            fields = {"head": "Sign in by a link", "lead": lead, "url": own_page(self.request.uri or HOME)}
            write_page(self, "onward", {**fields, "button": "Sign in"})
        elif token:
            await self._enter_by_link(token)
        elif not (credentials_of(self.request).refresh_token and await self._go_on()):
            await self.show(**self.asked())

    async def take(self) -> None:
        """Sign in by the form's e-mail and password."""
        try:
            await self.call("auth.signin", self.form("email", "password"))
        except Invalid as error:
            raise Unauthenticated("Give the e-mail address and the password of your account.") from error
        self.redirect(self._next())

    def asked(self) -> dict[str, Any]:
        """The address that was typed, and where to go afterwards."""
        return {"email": self.get_body_argument("email", ""), "next": self._next()}

    def _next(self) -> str:
        return own_page(self.get_argument("next", HOME))

    async def _enter_by_link(self, token: str) -> None:
        try:
            await self.call("auth.use_link", query={"token": token})
        except LumlError as error:
            await self.show(error=error, **self.asked())
        else:
            self.redirect(self._next())

    async def _go_on(self) -> bool:
        """Whether an open session could go on."""
        try:
            await self.call("auth.refresh")
        except Unauthenticated:
            self.clear_cookie(REFRESH, path="/")
            return False
        except Conflict:  # another window does the same at this moment: its cookies will do for this one, too
            self.set_header("Refresh", f"1; url={quote(self._next(), safe='/?=&%#')}")
            said = {"head": "Welcome back", "lead": "One moment.", "button": "Go on"}
            write_page(self, "onward", {**said, "url": self._next()})
            return True
        except LumlError:  # the database is away for a moment; the session may still be good
            return False
        self.redirect(self._next())
        return True


class Logout(Page):
    """End the session."""

    async def get(self) -> None:
        """Revoke the session, forget the cookies, and show the form again; ask first who is led here from elsewhere."""
        if comes_from_elsewhere(self.request):
            fields = {"head": "Sign out?", "lead": "A page elsewhere has led you here.", "url": "/logout"}
            write_page(self, "onward", {**fields, "button": "Sign out"})
            return
        await self.call("auth.logout")
        for cookie in (ACCESS, REFRESH):
            self.clear_cookie(cookie, path="/")
        self.redirect("/login")


class SignUp(Page):
    """Make an account."""

    template = "signup"

    async def take(self) -> None:
        """Sign up, and say that a mail is on its way."""
        body: dict[str, Any] = self.form("email", "password", "full_name")
        answer = await self.call("accounts.signup", {**body, "full_name": body["full_name"] or None})
        await self.show("mailed", done=answer.value.detail, again=f"/confirm?email={quote(body['email'], safe='')}")


class Forgot(Page):
    """Ask for a link to choose a new password."""

    template = "forgot"

    async def take(self) -> None:
        """Ask for the mail."""
        answer = await self.call("accounts.forgot_password", self.form("email"))
        await self.show("mailed", done=answer.value.detail, again="/forgot")


class Reset(Page):
    """Choose a new password by the link of the mail."""

    template = "reset"

    async def take(self) -> None:
        """Change it, and go to the sign-in page."""
        form = self.form("token", "password")
        body = {"reset_token": form["token"], "new_password": form["password"]}
        await self.call("accounts.reset_password", body)
        self.redirect("/login?done=reset")


class Confirm(Page):
    """Confirm one's address by the link of the mail, or ask for another."""

    template = "confirm"

    async def take(self) -> None:
        """Confirm the address by the token, or ask for another mail to it."""
        form = self.form("token", "email")
        if form["token"]:
            asked = {"confirmation_token": form["token"], "elsewhere": True}
            answer = await self.call("accounts.confirm_email", query=asked)
            self.redirect(answer.go_to or "/login")
            return
        answer = await self.call("accounts.resend_confirmation", {"email": form["email"]})
        await self.show("mailed", done=answer.value.detail, again="/confirm")


class Account(Page):
    """One's own account: ways to sign in, sessions, password."""

    template = "account"

    async def show(self, template: str = "", error: LumlError | None = None, **fields: Any) -> None:
        """Show all of it; who is not signed in signs in first."""
        if template:
            await super().show(template, error, **fields)
            return
        try:
            me, identities, sessions = [
                (await self.call(name)).value for name in ("auth.me", "identities.list", "sessions.list")
            ]
        except Unauthenticated:
            self.redirect("/login?next=/account")
            return
        ways = (await self.call("identities.providers")).value.providers
        labels = {way.name: way.label for way in ways}
        connected = {one.provider for one in identities}
        unconnected = [way for way in ways if way.name not in connected]
        shown = {**fields, "me": me, "identities": identities, "sessions": sessions}
        shown |= {"labels": labels, "unconnected": unconnected}
        await super().show(template, error, **shown)

    async def take(self) -> None:
        """Do what one of the page's buttons says."""
        form = self.form("connect", "disconnect", "session", "password")
        if form["connect"]:
            await self._connect(form["connect"])
            return
        if form["disconnect"]:
            await self.call("identities.delete", path={"identity_id": form["disconnect"]})
        elif form["session"] == "others":
            await self.call("sessions.delete_others")
        elif form["session"]:
            await self.call("sessions.delete", path={"session_id": form["session"]})
        else:
            await self.call("auth.update_me", {"password": form["password"]})
            self.redirect("/login?done=reset")
            return
        self.redirect("/account")

    async def _connect(self, provider: str) -> None:
        # Not a redirect: the page's own policy lets forms lead to this server only.
        answer = await self.call("identities.link", {"provider": provider, "next": "/account?done=connected"})
        lead = "You sign in there once, and come back connected."
        await super().show("onward", head="Connect your account", lead=lead, url=answer.value.url, button="Go on")


class LinkedOperation(OperationHandler):
    """An operation to which a browser comes by a link, from a mail or back from a provider.

    The browser goes on to a page, or is told on one what went wrong; programs get JSON, as from every operation.
    """

    _done: Answer | None = None

    async def _answer(self, request: Request) -> Answer:
        self._done = await super()._answer(request)
        return self._done

    def write_json(self, value: Any, status: int = 200) -> None:
        """The answer, or the way on."""
        if self._done is not None and self._done.go_to is not None and self._is_browser():
            self.redirect(self._done.go_to, status=303)
        else:
            super().write_json(value, status)

    def write_failure(self, error: LumlError) -> None:
        """The error, or a page that says it and helps on."""
        if not self._is_browser():
            super().write_failure(error)
            return
        self.set_status(status_of(error))
        fields = {"head": "That did not work", "lead": in_words(error), "url": "/login", "button": "Sign in"}
        write_page(self, "onward", fields)

    def _is_browser(self) -> bool:
        return "text/html" in self.request.headers.get("Accept", "")
