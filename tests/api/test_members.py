"""Members of organizations and orbits: who comes, goes and becomes what, and that somebody always owns the place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.schemas.errors import Conflict, Forbidden, LimitReached, NotFound
from luml_app.web.house import House
from tests.api.stage import Stage
from tests.api.together import MANY, set_limit, together
from tests.cast import Person, add_person, join_organization


@pytest.fixture
def as_(stage: Stage) -> Callable[[Person], Any]:
    return lambda who: stage.house.api(Credentials(user_id=who.id))


@pytest.fixture
def here(stage: Stage) -> Any:
    return stage.cast.here.organization_id


def admin(stage: Stage, name: str = "queen", role: str = "admin") -> Person:
    person = add_person(stage.house.database, name)
    join_organization(stage.house.database, stage.cast.here.organization_id, person.id, role)
    return person


def member_of(stage: Stage, who: Person) -> Any:
    (found,) = (one for one in stage.alice.members.list(stage.cast.here.organization_id) if one.user.id == who.id)
    return found


def roles(stage: Stage) -> dict[str, str]:
    m, u = t.organization_members, t.users
    query = select(u.c.email, m.c.role).join(m, m.c.user_id == u.c.id)
    with stage.house.database.read() as db:
        found = db.execute(query.where(m.c.organization_id == stage.cast.here.organization_id))
        return {row.email.partition("@")[0]: row.role for row in found if "service" not in row.email}


class TestOrganization:
    def test_from_joining_to_leaving(self, api: Any, connect: Any, transport: str, stage: Stage, here: Any) -> None:
        charlie = stage.cast.charlie
        made = api.members.create(here, user_id=charlie.id, role="member")
        assert (made.role, made.user.email, made.organization_id) == ("member", charlie.email, here)
        assert [one.user.email for one in api.members.list(here)][-1] == charlie.email
        changed = api.members.update(here, made.id, role="admin")
        assert (changed.role, changed.id) == ("admin", made.id)
        assert changed.updated_at is not None
        assert api.members.update(here, made.id, role="admin").updated_at == changed.updated_at
        theirs = connect(charlie, transport)
        assert here in {one.id for one in theirs.organizations.list()}
        theirs.organizations.leave(here)
        with pytest.raises(NotFound):
            theirs.organizations.get(here)

    def test_who_is_a_member_already_or_nobody(self, stage: Stage, here: Any) -> None:
        with pytest.raises(Conflict, match="already"):
            stage.alice.members.create(here, user_id=stage.cast.bob.id, role="member")
        for nobody in (here, stage.ids["account_id"]):
            with pytest.raises(NotFound, match="no such user"):
                stage.alice.members.create(here, user_id=nobody, role="member")

    def test_only_an_owner_makes_or_changes_an_admin(self, stage: Stage, here: Any, as_: Any) -> None:
        queen = as_(admin(stage))
        bob, second = member_of(stage, stage.cast.bob), member_of(stage, admin(stage, "king"))
        owner = member_of(stage, stage.cast.alice)
        refused: list[Callable[[], Any]] = [
            lambda: queen.members.create(here, user_id=stage.cast.charlie.id, role="admin"),
            lambda: queen.members.create(here, user_id=stage.cast.charlie.id, role="owner"),
            lambda: queen.members.update(here, bob.id, role="admin"),
            lambda: queen.members.update(here, bob.id, role="owner"),
            lambda: queen.members.update(here, second.id, role="member"),
            lambda: queen.members.update(here, owner.id, role="member"),
            lambda: queen.members.delete(here, second.id),
            lambda: queen.members.delete(here, owner.id),
            lambda: queen.organizations.transfer(here, member_id=bob.id),
        ]
        before = roles(stage)
        for call in refused:
            with pytest.raises(Forbidden, match=r"[Oo]nly an owner|organization's owner"):
                call()
        assert roles(stage) == before
        assert queen.members.create(here, user_id=stage.cast.charlie.id, role="member").role == "member"
        queen.members.delete(here, bob.id)

    def test_nobody_changes_themselves(self, stage: Stage, here: Any, as_: Any) -> None:
        for who, api in ((stage.cast.alice, stage.alice), (admin(stage), as_(admin(stage, "king")))):
            me = member_of(stage, stage.cast.alice if who is stage.cast.alice else Person("king", api.auth.me().id, ""))
            for role in ("owner", "admin", "member"):
                with pytest.raises(Forbidden, match="Nobody changes"):
                    api.members.update(here, me.id, role=role)
            with pytest.raises(Forbidden, match="leave"):
                api.members.delete(here, me.id)

    def test_an_owner_cannot_leave_but_hand_over(self, stage: Stage, here: Any, as_: Any) -> None:
        with pytest.raises(Forbidden, match="you are an owner"):
            stage.alice.organizations.leave(here)
        bob = member_of(stage, stage.cast.bob)
        owner = stage.alice.organizations.transfer(here, member_id=bob.id)
        assert (owner.user.email, owner.role) == (stage.cast.bob.email, "owner")
        assert {name: role for name, role in roles(stage).items() if role != "member"} == {
            "alice": "admin",
            "bob": "owner",
        }
        with pytest.raises(Forbidden):
            stage.alice.organizations.transfer(here, member_id=bob.id)
        stage.alice.organizations.leave(here)
        assert "alice" not in roles(stage)
        with pytest.raises(Conflict, match="owner already"):
            as_(stage.cast.bob).organizations.transfer(here, member_id=bob.id)

    def test_a_transfer_stays_in_the_organization(self, stage: Stage, here: Any, as_: Any) -> None:
        charlie = as_(stage.cast.charlie)
        (stranger,) = charlie.members.list(stage.cast.elsewhere.organization_id)
        for other in (stranger.id, here):
            with pytest.raises(NotFound):
                stage.alice.organizations.transfer(here, member_id=other)
        assert roles(stage)["alice"] == "owner"

    @pytest.mark.parametrize("way", ["removed", "left"])
    def test_who_goes_goes_from_the_orbits_too(self, way: str, stage: Stage, here: Any, as_: Any) -> None:
        bob = stage.cast.bob
        as_(bob).organizations.create(name="His own")
        if way == "left":
            as_(bob).organizations.leave(here)
        else:
            stage.alice.members.delete(here, member_of(stage, bob).id)
        assert bob.email not in {one.user.email for one in stage.alice.orbit_members.list(*stage.path())}
        stage.alice.members.create(here, user_id=bob.id, role="member")
        with pytest.raises(NotFound):
            as_(bob).collections.list(*stage.path())
        assert [one.name for one in as_(bob).organizations.list()] == ["Wonderland", "His own"]

    def test_the_details_show_members_and_invites(self, stage: Stage, here: Any) -> None:
        details = stage.alice.organizations.get(here)
        assert [one.email for one in details.invites] == ["dodo@example.org"]
        assert details.invites == stage.alice.invites.list(here)
        assert details.members == stage.alice.members.list(here)
        assert details.members_by_role == {"owner": 1, "member": 3}


class TestOrbit:
    def test_from_joining_to_leaving(self, api: Any, stage: Stage) -> None:
        queen, where = admin(stage), stage.path()
        made = api.orbit_members.create(*where, user_id=queen.id, role="viewer")
        assert (made.role, made.orbit_id, made.user.email) == ("viewer", where[1], queen.email)
        assert api.orbit_members.update(*where, made.id, role="admin").role == "admin"
        assert {one.user.email: one.role for one in api.orbit_members.list(*where)}[queen.email] == "admin"
        api.orbit_members.delete(*where, made.id)
        assert queen.email not in {one.user.email for one in api.orbit_members.list(*where)}

    def test_only_people_of_the_organization_come_in(self, stage: Stage) -> None:
        with pytest.raises(NotFound, match="not a member"):
            stage.alice.orbit_members.create(*stage.path(), user_id=stage.cast.charlie.id, role="viewer")
        with pytest.raises(Conflict, match="already"):
            stage.alice.orbit_members.create(*stage.path(), user_id=stage.cast.bob.id, role="viewer")

    def test_an_admin_of_the_orbit_changes_others_and_not_themselves(self, stage: Stage, as_: Any) -> None:
        where = stage.path()
        stage.alice.orbit_members.update(*where, stage.ids["orbit_member_id"], role="admin")
        bob = as_(stage.cast.bob)
        (victor,) = (one for one in bob.orbit_members.list(*where) if one.user.id == stage.cast.victor.id)
        assert bob.orbit_members.update(*where, victor.id, role="member").role == "member"
        for call in (
            lambda: bob.orbit_members.update(*where, stage.ids["orbit_member_id"], role="viewer"),
            lambda: bob.orbit_members.delete(*where, stage.ids["orbit_member_id"]),
        ):
            with pytest.raises(Forbidden, match="Nobody changes"):
                call()
        bob.orbit_members.delete(*where, victor.id)


class TestManyAtOnce:
    @pytest.fixture
    def house(self, build_house: Callable[..., House]) -> House:
        return build_house(pool_size=MANY)

    def test_a_limit_of_members_holds(self, stage: Stage, here: Any) -> None:
        people = [add_person(stage.house.database, f"card-{n}-of-hearts") for n in range(MANY)]
        set_limit(stage, members_limit=9)  # four are in, the knave among them
        answers = together(lambda n: stage.alice.members.create(here, user_id=people[n].id, role="member"))
        assert answers.count(LimitReached) == MANY - 5
        with stage.house.database.read() as db:
            inside = t.organization_members.c.organization_id == here
            assert db.scalar(select(func.count()).where(inside)) == 9

    def test_owners_who_demote_each_other_leave_one(self, stage: Stage, here: Any, as_: Any) -> None:
        people = [stage.cast.alice, *(admin(stage, f"queen-{n}-of-spades", "owner") for n in range(MANY - 1))]
        members = {one.user.id: one.id for one in stage.alice.members.list(here)}

        def demote_the_next(number: int) -> Any:
            return as_(people[number]).members.update(here, members[people[(number + 1) % MANY].id], role="member")

        answers = together(demote_the_next)
        assert {one for one in answers if isinstance(one, type)} == {Forbidden}
        assert "owner" in roles(stage).values()

    def test_owners_who_remove_each_other_leave_one(self, stage: Stage, here: Any, as_: Any) -> None:
        people = [stage.cast.alice, *(admin(stage, f"queen-{n}-of-spades", "owner") for n in range(MANY - 1))]
        members = {one.user.id: one.id for one in stage.alice.members.list(here)}
        together(lambda n: as_(people[n]).members.delete(here, members[people[(n + 1) % MANY].id]))
        assert "owner" in roles(stage).values()

    def test_a_transfer_to_somebody_who_leaves(self, stage: Stage, here: Any, as_: Any) -> None:
        bob = member_of(stage, stage.cast.bob)

        def act(number: int) -> Any:
            if number % 2:
                return stage.alice.organizations.transfer(here, member_id=bob.id)
            return as_(stage.cast.bob).organizations.leave(here)

        together(act)
        assert list(roles(stage).values()).count("owner") == 1

    def test_who_is_removed_while_being_let_into_an_orbit(self, stage: Stage, here: Any) -> None:
        people = [admin(stage, f"card-{n}-of-hearts", "member") for n in range(MANY // 2)]
        members = {one.user.id: one.id for one in stage.alice.members.list(here)}

        def act(number: int) -> Any:
            person = people[number // 2]
            if number % 2:
                return stage.alice.members.delete(here, members[person.id])
            return stage.alice.orbit_members.create(*stage.path(), user_id=person.id, role="member")

        together(act)
        left = {one.user.id for one in stage.alice.orbit_members.list(*stage.path())}
        assert not left & {person.id for person in people}

    def test_everybody_may_own_so_many_organizations(self, build_house: Callable[..., House], stage: Stage) -> None:
        house = build_house(pool_size=MANY, organizations_per_user=4)
        api = house.api(Credentials(user_id=stage.cast.alice.id))
        answers = together(lambda n: api.organizations.create(name=f"{n}"))
        assert answers.count(LimitReached) == MANY - 3
        assert len(api.organizations.list()) == 4
