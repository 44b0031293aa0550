"""What stands around every screen: the bar on top and the list of sections, as blocks."""

from __future__ import annotations

from luml_app.dashboard.addresses import ROOT, Address
from luml_app.dashboard.workspace import Place, Workspace
from luml_widgets import blocks as b
from luml_widgets.blocks import Block
from luml_widgets.places import Places

_SECTIONS = {
    "collections": "Collections",
    "artifacts": "Artifacts",
    "tracks": "Tracks",
    "deployments": "Deployments",
    "satellites": "Satellites",
}


def top(workspace: Workspace, place: Place | None, address: Address) -> list[Block]:
    """Name, switch of organization and orbit, and the person's own menu."""
    own = [b.link("Documentation", "/docs/"), b.link("API reference", "/docs/api"), b.link("Sign out", "/logout")]
    account = b.menu(workspace.email, own, name="me")
    menus = [_switch(workspace, place, address)] if place else []
    return [{"kind": "top", "home": ROOT, "menus": menus, "account": account if workspace.email else None}]


def _switch(workspace: Workspace, here: Place, address: Address) -> Block:
    section = address.section if address.section in _SECTIONS else "collections"
    items: list[Block] = []
    organization = None
    for place in workspace.places:
        if place.organization_id != organization:
            organization = place.organization_id
            items.append({"title": place.organization})
        href = Places(ROOT, place.orbit_id).section(section)
        items.append(b.link(place.orbit, href, active=place.orbit_id == here.orbit_id))
    return b.menu(f"{here.organization} / {here.orbit}", items, name="orbit", hint="Switch orbit")


def sections(place: Place | None, address: Address) -> list[Block]:
    """The list of sections; those of the orbit only when there is one."""
    items: list[Block] = [{"label": "Home", "href": ROOT, "icon": "home", "active": address.section == "home"}]
    if place:
        places = Places(ROOT, place.orbit_id)
        items.append({"title": place.orbit})
        items += [
            {"label": label, "href": places.section(name), "icon": name, "active": address.section == name}
            for name, label in _SECTIONS.items()
        ]
    return [{"kind": "nav", "items": items}]
