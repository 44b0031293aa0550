"""What `luml up` prints when everything runs: one screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from luml_app.core.settings import Settings
from luml_app.embedded.access import Access
from luml_app.resources.first_steps import FirstUser
from luml_app.schemas.satellites import Satellite

INDENT = 13


@dataclass(frozen=True)
class Running:
    """What the start has found or made."""

    settings: Settings
    user: FirstUser
    link: str
    access: Access
    organization_id: UUID
    orbit_id: UUID


def screen(running: Running, satellite: Satellite | None) -> str:
    """The screen. `satellite` is None while it has not paired yet."""
    settings, key = running.settings, running.access.api_key
    lines = {
        "Dashboard": f"{running.link}\n(signs you in, once, within ten minutes)",
        "Account": _account(running.user),
        "API key": f"{key}\n({_kept(running.access)})",
        "Try": f'curl -H "Authorization: Bearer {key}" {settings.address}/v1/users/me/organizations',
        "Satellite": _described(satellite),
        "Data": str(settings.home),
        "Stop": "Ctrl-C",
    }
    rows = [f"  {name:<{INDENT - 2}}" + text.replace("\n", "\n" + " " * INDENT) for name, text in lines.items()]
    return "\n".join(["", f"LUML is running on {settings.address}", "", *rows, ""])


def _account(user: FirstUser) -> str:
    return user.email + (f", password {user.password} (shown this once)" if user.password else "")


def _kept(access: Access) -> str:
    if access.obstacle is None:
        return f"also in {_short(access.kept_in)}, where Python and `luml` find it"
    return f"{access.obstacle}; use this server with LUML_CONFIG_FILE={access.kept_in}"


def _described(satellite: Satellite | None) -> str:
    if satellite is None:
        return "still starting; it builds what its runtime needs"
    deploy = satellite.capabilities.get("deploy") or {}
    runtime, why = deploy.get("runtime"), deploy.get("runtime_reason")
    return f"{satellite.name}" + (f", runtime {runtime}" if runtime else "") + (f"\n({why})" if why else "")


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)
