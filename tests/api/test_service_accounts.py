"""Service accounts: users for programs, made by admins, never owners."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from luml_app.core.resolving import resolve
from luml_app.core.scope import Credentials
from luml_app.resources.identities import Identities
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound, Unauthenticated
from luml_app.schemas.identities import IdentityLink
from tests.api.stage import Stage, announced
from tests.api.together import set_limit


@pytest.fixture
def here(stage: Stage) -> Any:
    return stage.cast.here.organization_id


@pytest.fixture
def knave(stage: Stage, here: Any) -> Any:
    (found,) = stage.alice.service_accounts.list(here)
    return found


@pytest.fixture
def program(stage: Stage, here: Any, knave: Any) -> Any:
    """The knave's api, with a key of his."""
    key = stage.alice.service_accounts.create_key(here, knave.id, name="of the program").key
    return stage.house.api(Credentials(token=key))


def test_from_creation_to_deletion(
    api: Any, connect: Callable[..., Any], transport: str, stage: Stage, here: Any
) -> None:
    made = api.service_accounts.create(here, name="Nightly Training!")
    assert (made.name, made.organization_id) == ("Nightly Training!", here)
    assert made.email.startswith("nightly-training-")
    assert [one.name for one in api.service_accounts.list(here)] == ["Knave", "Nightly Training!"]
    key = api.service_accounts.create_key(here, made.id, name="cron", scopes=["api"]).key
    program = connect(key, transport)
    assert program.auth.me().full_name == "Nightly Training!"
    assert [one.role for one in program.organizations.list()] == ["member"]
    assert program.orbits.list(here) == []
    api.orbit_members.create(*stage.path(), user_id=made.id, role="member")
    stored = program.artifacts.create(*stage.path("collection_id"), **announced()).artifact
    assert stored.created_by_user == "Nightly Training!"
    api.service_accounts.delete(here, made.id)
    with pytest.raises(Unauthenticated):
        program.auth.me()
    assert api.artifacts.find(*stage.path(), stored.id).created_by_user == "Nightly Training!"
    assert made.email not in {one.user.email for one in api.members.list(here)}


def test_its_keys(stage: Stage, here: Any, knave: Any) -> None:
    accounts, account = stage.alice.service_accounts, (here, knave.id)
    key = accounts.create_key(*account, name="cron", expires_at=datetime.now(UTC) + timedelta(hours=1)).key
    (listed,) = accounts.keys(*account)
    assert (listed.name, listed.scopes, listed.hint) == ("cron", ["api", "inference"], key[-4:])
    with pytest.raises(Conflict, match="this name"):
        accounts.create_key(*account, name="cron")
    with pytest.raises(NotFound):
        accounts.delete_key(*account, stage.ids["key_id"])  # Alice's own
    accounts.delete_key(*account, listed.id)
    with pytest.raises(Unauthenticated):
        stage.house.api(Credentials(token=key)).auth.me()


def test_a_key_may_be_bound_to_an_orbit_of_the_organization(stage: Stage, here: Any, knave: Any) -> None:
    accounts, place = stage.alice.service_accounts, stage.cast.here
    with pytest.raises(NotFound, match="orbit"):
        accounts.create_key(here, knave.id, name="spy", orbit_id=stage.cast.elsewhere.orbit_id)
    with pytest.raises(Invalid, match="past"):
        accounts.create_key(here, knave.id, name="late", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    key = accounts.create_key(here, knave.id, name="bound", orbit_id=place.orbit_id).key
    stage.alice.orbit_members.create(*place.path, user_id=knave.id, role="viewer")
    other = stage.alice.orbits.create(here, name="Attic", bucket_secret_id=place.bucket_id)
    stage.alice.orbit_members.create(here, other.id, user_id=knave.id, role="admin")
    program = stage.house.api(Credentials(token=key))
    assert program.collections.list(*place.path).items
    assert program.permissions.check(permission="collection:list", orbit_id=place.orbit_id).allowed
    elsewhere = program.permissions.check(permission="collection:list", orbit_id=other.id)
    assert (elsewhere.allowed, "bound to one orbit" in elsewhere.why) == (False, True)
    assert [one.orbit_id for one in accounts.keys(here, knave.id)] == [place.orbit_id]


def test_a_person_is_no_service_account(stage: Stage, here: Any) -> None:
    for call in (stage.alice.service_accounts.delete, stage.alice.service_accounts.keys):
        with pytest.raises(NotFound, match="no such service account"):
            call(here, stage.cast.bob.id)


def test_it_has_no_password(stage: Stage, program: Any, knave: Any) -> None:
    with pytest.raises(Conflict, match="no password"):
        program.auth.update_me(password="off with their heads")
    for password in ("", "off with their heads"):
        with pytest.raises((Unauthenticated, Forbidden, Invalid)):
            stage.house.api(Credentials()).auth.signin(email=knave.email, password=password)


def test_it_leaves_no_way_in_behind(stage: Stage, program: Any) -> None:
    """Whoever had a key of it keeps nothing that outlives the key."""
    with pytest.raises(Conflict, match="sign in by browser"):
        program.auth.create_link()
    house, who = stage.house, program.credentials
    with house.database.write() as db:  # past the provider, which is asked before
        scope = resolve(db, house.service.operations["identities.link"], who, {}, house.keys, house.settings)
        with pytest.raises(Conflict, match="sign in by browser"):
            Identities(scope).link(body=IdentityLink(provider="oidc"))


def test_it_owns_nothing_and_goes_nowhere(stage: Stage, here: Any, knave: Any, program: Any) -> None:
    (member,) = (one for one in stage.alice.members.list(here) if one.user.id == knave.id)
    charlie, elsewhere = stage.house.api(Credentials(user_id=stage.cast.charlie.id)), stage.cast.elsewhere
    refused: list[tuple[type[Exception], Callable[[], Any]]] = [
        (Conflict, lambda: program.organizations.create(name="Tarts")),
        (Conflict, lambda: program.organizations.leave(here)),
        (Conflict, lambda: stage.alice.members.update(here, member.id, role="owner")),
        (Conflict, lambda: stage.alice.organizations.transfer(here, member_id=member.id)),
        (Conflict, lambda: stage.alice.members.delete(here, member.id)),
        (NotFound, lambda: charlie.members.create(elsewhere.organization_id, user_id=knave.id, role="member")),
        (Forbidden, lambda: program.service_accounts.create(here, name="Deputy")),
    ]
    for error, call in refused:
        with pytest.raises(error):
            call()
    assert [one.id for one in program.organizations.list()] == [here]


def test_it_goes_with_its_organization(stage: Stage) -> None:
    place = stage.alice.organizations.create(name="Brief").id
    made = stage.alice.service_accounts.create(place, name="Deputy")
    key = stage.alice.service_accounts.create_key(place, made.id, name="cron").key
    stage.alice.organizations.delete(place)
    with pytest.raises(Unauthenticated):
        stage.house.api(Credentials(token=key)).auth.me()


def test_it_counts_as_a_member(stage: Stage, here: Any) -> None:
    set_limit(stage, members_limit=4)
    with pytest.raises(LimitReached):
        stage.alice.service_accounts.create(here, name="Deputy")
