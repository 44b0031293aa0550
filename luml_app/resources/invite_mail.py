"""The mail that tells somebody of an invite."""

from __future__ import annotations

from typing import Any

from luml_app.jobs.mailing import queue_mail
from luml_app.schemas.organizations import OrganizationInvite

_TEXT = """\
{inviter} invites you to the organization {organization} on LUML, as {role}.

To accept, sign in at {address} with this very address, {email}. If you have no account yet, sign up with it.
On the command line: luml invites accept

The invitation is good until {until:%Y-%m-%d %H:%M} UTC. If you do not know what this is about, do nothing.
"""


def queue_invite_mail(scope: Any, invite: OrganizationInvite) -> None:
    """Queue the mail in the transaction of the invite: one statement."""
    organization = _line(invite.organization.name if invite.organization else "an organization")
    text = _TEXT.format(
        inviter=_line(scope.caller.full_name or scope.caller.name),
        organization=organization,
        role=invite.role,
        address=scope.settings.address,
        email=invite.email,
        until=invite.expires_at,
    )
    queue_mail(scope, invite.email, f"Invitation to {organization}", text)


def _line(text: str) -> str:
    """The text on one line: whoever chooses a name shall not write the rest of the mail."""
    return " ".join(text.split())
