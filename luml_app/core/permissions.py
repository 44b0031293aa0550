"""Who may do what: one table, read by every operation, by the screens, and by people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

OrganizationRole = Literal["owner", "admin", "member"]
OrbitRole = Literal["admin", "member", "viewer"]

_ROLES = ("owner", "admin", "member", "orbit admin", "orbit member", "orbit viewer")

# L list, R read, C create, U update, D delete, X leave, T transfer the ownership. A dot: nothing.
_TABLE = """
resource             owner   admin   member  orbit admin  orbit member  orbit viewer
organization         RUDT    RUX     X       .            .             .
organization_member  LRCUD   LRCUD   .       .            .             .
invite               LRCUD   LRCUD   .       .            .             .
service_account      LRCUD   LRCUD   .       .            .             .
bucket               LRCUD   LRCUD   .       .            .             .
orbit                LRCUD   LRCU    L       LRUD         LR            LR
orbit_member         LRCUD   LRCUD   .       LRCUD        .             .
collection           LRCUD   LRCUD   .       LRCUD        LRCU          LR
artifact             LRCUD   LRCUD   .       LRCUD        LRCU          LR
track                LRCUD   LRCUD   .       LRCUD        LRCU          LR
protected_stage      CUD     CUD     .       CUD          .             .
satellite            LRCUD   LRCUD   .       LRCUD        LR            LR
deployment           LRCUD   LRCUD   .       LRCUD        LRCU          LR
secret               LRCUD   LRCUD   .       LRCUD        LC            L
event                L       L       .       L            .             .
webhook              LRCUD   LRCUD   .       .            .             .
"""
_VERBS = {"list": "L", "read": "R", "create": "C", "update": "U", "delete": "D", "leave": "X", "transfer": "T"}


def _read_table() -> dict[str, dict[str, str]]:
    rows = [line.split() for line in _TABLE.strip().splitlines()[1:]]
    return {row[0]: dict(zip(_ROLES, row[1:], strict=True)) for row in rows}


MATRIX = _read_table()


def is_permission(text: str) -> bool:
    """Whether the table knows this permission, as ``"collection:create"`` is one."""
    resource, _, verb = text.partition(":")
    return resource in MATRIX and verb in _VERBS


@dataclass(frozen=True)
class Decision:
    """Yes or no, and why: a sentence for the person."""

    allowed: bool
    why: str

    def __bool__(self) -> bool:
        return self.allowed


def decide(permission: str, organization_role: str | None, orbit_role: str | None = None) -> Decision:
    """Whether somebody with these roles holds `permission` (``"collection:create"``).

    Raises KeyError for a permission that does not exist.
    """
    resource, verb = permission.split(":")
    row, letter = MATRIX[resource], _VERBS[verb]
    roles = [role for role in (organization_role, orbit_role and f"orbit {orbit_role}") if role]
    able = [role for role in _ROLES if letter in row[role]]
    if enough := [role for role in roles if role in able]:
        return Decision(True, f"You are {_either(enough[:1])}.")
    mine = f"you are {_article(roles[-1])}" if roles else "you are not a member"
    return Decision(False, f"To {verb} {_article(resource.replace('_', ' '))} you need to be {_either(able)}; {mine}.")


def is_held_in_orbits(permission: str) -> bool:
    """Whether a role in an orbit can hold `permission`; one that none can is about the organization as a whole."""
    resource, verb = permission.split(":")
    return any(_VERBS[verb] in MATRIX[resource][role] for role in _ROLES if role.startswith("orbit"))


def granted(organization_role: str | None, orbit_role: str | None = None) -> dict[str, list[str]]:
    """All that these roles may do, as ``{"collection": ["list", "read"], …}``: advice for screens."""
    return {resource: list(verbs) for resource, verbs in _granted(organization_role, orbit_role).items()}


@cache
def _granted(organization_role: str | None, orbit_role: str | None) -> dict[str, tuple[str, ...]]:
    """Every row of a list says so, and there are only a few pairs of roles."""
    return {
        resource: verbs
        for resource in MATRIX
        if (verbs := tuple(v for v in _VERBS if decide(f"{resource}:{v}", organization_role, orbit_role)))
    }


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def _either(roles: list[str]) -> str:
    named = [
        f"{'an' if role[0] in 'aeio' else 'a'} {role}" if "orbit" in role else f"the organization's {role}"
        for role in roles
    ]
    if not named:
        return "somebody else"
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} or {named[-1]}"
