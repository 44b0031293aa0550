"""Sign-up, and mails about accounts."""

from __future__ import annotations

from luml_app.schemas.fields import Annotated, Email, MaybeName, Meta, NewEmail, Password, Struct

Token = Annotated[str, Meta(max_length=255)]


class SignUp(Struct, kw_only=True):
    """A new account."""

    email: NewEmail
    password: Password
    full_name: MaybeName | None = None
    photo: Annotated[str, Meta(max_length=2048)] | None = None


class EmailAddress(Struct, kw_only=True):
    """An e-mail address to which a mail shall go."""

    email: Email


class NewPassword(Struct, kw_only=True):
    """A new password, and the token of the mail that allows to choose it."""

    reset_token: Token
    new_password: Password
