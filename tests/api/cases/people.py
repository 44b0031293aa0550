"""Calls about who belongs where: organizations and orbits with their members, invites, service accounts."""

from __future__ import annotations

from typing import Any

from luml_app.core.scope import Credentials
from tests.api.cases.playing import CASES, Case, case, plain
from tests.api.stage import Stage
from tests.cast import join_organization

plain("organizations.list")
plain("organizations.create", {"name": "Looking glass"})
plain("organizations.get")
plain("organizations.update", {"name": "Through the looking glass"})


@case("organizations.delete")
def _(stage: Stage) -> Case:
    return Case(path={"organization_id": stage.alice.organizations.create(name="Empty").id})


@case("organizations.leave")
def _(stage: Stage) -> Case:
    """Victor's own organization, of which Alice is an admin: she cannot leave hers, which she owns."""
    victor = stage.house.api(Credentials(token=stage.cast.victor.api_key))
    organization_id = victor.organizations.create(name="Looking glass").id
    join_organization(stage.house.database, organization_id, stage.cast.alice.id, "admin")
    return Case(path={"organization_id": organization_id})


CASES["organizations.transfer"] = lambda stage: Case({"member_id": str(stage.ids["member_id"])})
CASES["permissions.check"] = lambda stage: Case(
    query={"permission": "deployment:create", "orbit_id": str(stage.cast.here.orbit_id)}
)

plain("members.list")
CASES["members.create"] = lambda stage: Case({"user_id": str(stage.cast.charlie.id), "role": "member"})
plain("members.update", {"role": "admin"})
plain("members.delete")

plain("invites.list")
plain("invites.create", {"email": "Gryphon@example.org", "role": "member"})
plain("invites.resend")
plain("invites.delete")
plain("invitations.list")


def _alices_invitation(stage: Stage) -> Case:
    """To Charlie's organization, which is not hers yet."""
    charlie = stage.house.api(Credentials(token=stage.cast.charlie.api_key))
    place = stage.cast.elsewhere.organization_id
    return Case(path={"invite_id": charlie.invites.create(place, email=stage.cast.alice.email, role="member").id})


CASES["invitations.accept"] = _alices_invitation
CASES["invitations.reject"] = _alices_invitation

plain("service_accounts.list")
plain("service_accounts.create", {"name": "Card soldier"})
plain("service_accounts.delete")
plain("service_accounts.keys")
plain("service_accounts.create_key", {"name": "of the spade", "scopes": ["api"]})


@case("service_accounts.delete_key")
def _(stage: Stage) -> Case:
    account = (stage.cast.here.organization_id, stage.ids["account_id"])
    stage.alice.service_accounts.create_key(*account, name="of the heart")
    return Case(path={"key_id": stage.alice.service_accounts.keys(*account)[0].id})


plain("orbit_members.list")
CASES["orbit_members.update"] = lambda stage: Case({"role": "viewer"}, path=_bob_in_the_orbit(stage))
CASES["orbit_members.delete"] = lambda stage: Case(path=_bob_in_the_orbit(stage))


def _bob_in_the_orbit(stage: Stage) -> dict[str, Any]:
    return {"member_id": stage.ids["orbit_member_id"]}


@case("orbit_members.create")
def _(stage: Stage) -> Case:
    return Case({"user_id": str(stage.ids["account_id"]), "role": "member"})
