"""Invites: sent, waiting, answered, expired, sent again, taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.jobs.chores import Errand
from luml_app.resources.pruning import prune_accounts
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound
from luml_app.web.house import House
from tests.api.cases import OPERATIONS
from tests.api.stage import Stage
from tests.api.together import MANY, set_limit, together
from tests.cast import Person, add_person, join_organization
from tests.mailbox import Mailbox


@pytest.fixture
def here(stage: Stage) -> Any:
    return stage.cast.here.organization_id


@pytest.fixture
def charlie(stage: Stage) -> Any:
    return stage.house.api(Credentials(user_id=stage.cast.charlie.id))


@pytest.fixture
def invited(stage: Stage, here: Any) -> Any:
    """Charlie's invitation."""
    return stage.alice.invites.create(here, email=stage.cast.charlie.email, role="member")


def expire(stage: Stage, invite: Any) -> None:
    with stage.house.database.write() as db:
        past = datetime.now(UTC) - timedelta(seconds=1)
        db.execute(update(t.invites).where(t.invites.c.id == invite.id).values(expires_at=past))


def last_event(stage: Stage) -> Any:
    with stage.house.database.read() as db:
        return db.execute(select(t.events).order_by(t.events.c.at.desc(), t.events.c.id.desc())).first()


def addresses(stage: Stage, here: Any) -> set[str]:
    return {one.user.email for one in stage.alice.members.list(here)}


def test_from_the_invitation_to_the_membership(
    api: Any, connect: Callable[..., Any], transport: str, stage: Stage, here: Any
) -> None:
    made = api.invites.create(here, email="Charlie@Example.org", role="admin")
    assert (made.email, made.role, made.organization.name) == ("charlie@example.org", "admin", "Wonderland")
    assert made.invited_by_user.email == stage.cast.alice.email
    assert timedelta(days=6, hours=23) < made.expires_at - datetime.now(UTC) < timedelta(days=7)
    theirs = connect(stage.cast.charlie, transport)
    (found,) = theirs.invitations.list()
    assert found == made
    member = theirs.invitations.accept(made.id)
    assert (member.role, member.organization_id, member.user.email) == ("admin", here, stage.cast.charlie.email)
    assert theirs.invitations.list() == []
    assert made.id not in {one.id for one in api.invites.list(here)}
    assert theirs.organizations.get(here).total_members == 5


def test_it_waits_for_somebody_without_an_account(stage: Stage, here: Any) -> None:
    stage.alice.invites.create(here, email="Gryphon@example.org", role="member")
    gryphon = stage.house.api(Credentials(user_id=add_person(stage.house.database, "gryphon").id))
    (found,) = gryphon.invitations.list()
    gryphon.invitations.accept(found.id)
    assert "gryphon@example.org" in addresses(stage, here)


def test_an_invited_address_may_sign_up(build_house: Callable[..., House], stage: Stage, here: Any) -> None:
    house = build_house(signup="invited")

    def sign_up(email: str) -> None:
        body = {"email": email, "password": "lobster quadrille", "full_name": "Gryphon"}
        house.service.call(Request(OPERATIONS["accounts.signup"], body=body))

    invite = stage.alice.invites.create(here, email="gryphon@example.org", role="member")
    sign_up("Gryphon@example.org")
    for nobody in ("turtle@example.org", "gryphon@example.com"):
        with pytest.raises(Forbidden, match="invited"):
            sign_up(nobody)
    expire(stage, invite)
    with pytest.raises(Forbidden, match="invited"):
        sign_up("gryphon@example.org")


class TestMail:
    @pytest.fixture
    def post(self) -> Iterator[Mailbox]:
        box = Mailbox()
        yield box
        box.stop()

    @pytest.fixture
    def house(self, build_house: Callable[..., House], post: Mailbox) -> House:
        return build_house(smtp_url=post.url, mail_from="luml@example.org", public_url="https://luml.example.org")

    def test_the_invited_hear_of_it_each_time(self, post: Mailbox, stage: Stage, here: Any) -> None:
        stage.alice.organizations.update(here, name="Wonder\nland")
        made = stage.alice.invites.create(here, email="gryphon@example.org", role="member")
        stage.house.housekeeper.run_due()
        mail = post.to("gryphon@example.org")
        text = mail.get_content()
        assert mail["Subject"] == "Invitation to Wonder land"
        for said in ("Alice invites you", "Wonder land on LUML, as member", "https://luml.example.org", made.email):
            assert said in text
        stage.alice.invites.resend(here, made.id)
        stage.house.housekeeper.run_due()
        post.to("gryphon@example.org", count=2)

    def test_nobody_hears_of_what_was_refused(self, post: Mailbox, stage: Stage, here: Any) -> None:
        with pytest.raises(Conflict):
            stage.alice.invites.create(here, email=stage.cast.bob.email, role="member")
        stage.house.housekeeper.run_due()
        assert stage.cast.bob.email not in {to for one in post.recipients for to in one}


def test_an_event_says_who_was_invited(stage: Stage, here: Any, invited: Any) -> None:
    for action, call in (("invite.create", None), ("invite.resend", stage.alice.invites.resend)):
        told = invited if call is None else call(here, invited.id)
        event = last_event(stage)
        assert (event.action, event.object_id, event.organization_id) == (action, invited.id, here)
        assert event.after["email"] == stage.cast.charlie.email
        assert datetime.fromisoformat(event.after["expires_at"]) == told.expires_at


def test_it_is_good_once(charlie: Any, invited: Any) -> None:
    charlie.invitations.accept(invited.id)
    for again in (charlie.invitations.accept, charlie.invitations.reject):
        with pytest.raises(NotFound):
            again(invited.id)


def test_it_is_good_for_the_one_who_is_invited(stage: Stage, here: Any, invited: Any) -> None:
    for person in (stage.cast.alice, stage.cast.bob, add_person(stage.house.database, "duchess")):
        api = stage.house.api(Credentials(user_id=person.id))
        assert api.invitations.list() == []
        for answer in (api.invitations.accept, api.invitations.reject):
            with pytest.raises(NotFound):
                answer(invited.id)
    assert invited.id in {one.id for one in stage.alice.invites.list(here)}


def test_it_is_rejected(stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
    charlie.invitations.reject(invited.id)
    assert last_event(stage).action == "invite.reject"
    assert charlie.invitations.list() == []
    assert stage.cast.charlie.email not in addresses(stage, here)
    assert stage.alice.invites.create(here, email=stage.cast.charlie.email, role="member").id != invited.id


def test_it_is_taken_back(stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
    stage.alice.invites.delete(here, invited.id)
    with pytest.raises(NotFound):
        charlie.invitations.accept(invited.id)


def test_a_place_that_is_being_deleted_takes_nobody_in(stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
    stage.alice.organizations.force_delete(here, confirm="Wonderland")
    assert charlie.invitations.list() == []
    with pytest.raises(NotFound, match="being deleted"):
        charlie.invitations.accept(invited.id)
    for place in ({"organization_id": here}, {"orbit_id": stage.cast.here.orbit_id}):
        with pytest.raises(NotFound):
            stage.alice.permissions.check(permission="orbit:read", **place)


class TestExpiry:
    def test_an_expired_one_is_no_good(self, stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
        expire(stage, invited)
        assert charlie.invitations.list() == []
        assert invited.id in {one.id for one in stage.alice.invites.list(here)}
        with pytest.raises(Conflict, match=r"expired on \d{4}-\d\d-\d\d; ask"):
            charlie.invitations.accept(invited.id)

    def test_sent_again_it_is(self, stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
        expire(stage, invited)
        again = stage.alice.invites.resend(here, invited.id)
        assert (again.id, again.expires_at > invited.expires_at) == (invited.id, True)
        charlie.invitations.accept(invited.id)

    def test_a_new_one_takes_its_place(self, stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
        with pytest.raises(Conflict, match="invited already"):
            stage.alice.invites.create(here, email=stage.cast.charlie.email, role="admin")
        expire(stage, invited)
        assert stage.alice.invites.create(here, email=stage.cast.charlie.email, role="admin").role == "admin"
        assert charlie.invitations.accept(invited.id).role == "admin"

    def test_the_operator_says_how_long(self, build_house: Callable[..., House], stage: Stage, here: Any) -> None:
        api = build_house(invite_days=1).api(Credentials(user_id=stage.cast.alice.id))
        made = api.invites.create(here, email="gryphon@example.org", role="member")
        assert made.expires_at - datetime.now(UTC) < timedelta(days=1)


class TestWhoInvites:
    @pytest.fixture
    def queen(self, stage: Stage, here: Any) -> Person:
        person = add_person(stage.house.database, "queen")
        join_organization(stage.house.database, here, person.id, "admin")
        return person

    def test_only_an_owner_invites_an_admin(self, stage: Stage, here: Any, queen: Person) -> None:
        api = stage.house.api(Credentials(user_id=queen.id))
        for role in ("admin", "owner"):
            with pytest.raises(Forbidden, match="Only an owner"):
                api.invites.create(here, email="king@example.org", role=role)
            made = stage.alice.invites.create(here, email=f"{role}@example.org", role=role)
            with pytest.raises(Forbidden, match="Only an owner"):
                api.invites.resend(here, made.id)
        assert api.invites.create(here, email="king@example.org", role="member").invited_by_user.id == queen.id

    @pytest.mark.parametrize("fate", ["removed", "demoted", "left"])
    def test_it_is_as_good_as_the_one_who_sent_it(
        self, fate: str, stage: Stage, here: Any, charlie: Any, queen: Person
    ) -> None:
        api = stage.house.api(Credentials(user_id=queen.id))
        invite = api.invites.create(here, email=stage.cast.charlie.email, role="member")
        (member,) = (one for one in stage.alice.members.list(here) if one.user.id == queen.id)
        if fate == "removed":
            stage.alice.members.delete(here, member.id)
        elif fate == "demoted":
            stage.alice.members.update(here, member.id, role="member")
        else:
            api.organizations.leave(here)
        with pytest.raises(Conflict, match="ask for a new one"):
            charlie.invitations.accept(invite.id)
        assert stage.alice.invites.resend(here, invite.id).invited_by_user.id == stage.cast.alice.id
        charlie.invitations.accept(invite.id)

    def test_a_former_owner_makes_no_admins(self, stage: Stage, here: Any, charlie: Any) -> None:
        invite = stage.alice.invites.create(here, email=stage.cast.charlie.email, role="owner")
        stage.alice.organizations.transfer(here, member_id=stage.ids["member_id"])
        with pytest.raises(Conflict, match="ask for a new one"):
            charlie.invitations.accept(invite.id)


def test_who_is_in_already_is_not_invited(stage: Stage, here: Any) -> None:
    with pytest.raises(Conflict, match=r"bob@example\.org is a member"):
        stage.alice.invites.create(here, email="BOB@example.org", role="member")
    knave = next(one for one in stage.alice.service_accounts.list(here) if one.name == "Knave")
    with pytest.raises(Invalid, match="service account"):
        stage.alice.invites.create(here, email=knave.email, role="member")


def test_who_joins_another_way_has_used_their_invitation(stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
    stage.alice.members.create(here, user_id=stage.cast.charlie.id, role="member")
    assert charlie.invitations.list() == []
    with pytest.raises(NotFound):
        charlie.invitations.accept(invited.id)


@pytest.mark.parametrize("email", ["", "nobody", "a b@example.org", "a@", "x" * 250 + "@example.org", None, 7])
def test_what_is_no_address(email: Any, stage: Stage, here: Any) -> None:
    with pytest.raises(Invalid, match="email"):
        stage.alice.invites.create(here, email=email, role="member")


class TestLimit:
    def test_a_full_organization_invites_nobody(self, stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
        set_limit(stage, members_limit=4)
        with pytest.raises(LimitReached, match="4 members"):
            stage.alice.invites.create(here, email="gryphon@example.org", role="member")
        with pytest.raises(LimitReached, match="4 members"):
            charlie.invitations.accept(invited.id)
        assert [one.id for one in charlie.invitations.list()] == [invited.id]
        stage.alice.members.delete(here, stage.ids["member_id"])
        charlie.invitations.accept(invited.id)


class TestManyAtOnce:
    @pytest.fixture
    def house(self, build_house: Callable[..., House]) -> House:
        return build_house(pool_size=MANY)

    def test_one_of_many_acceptances_counts(self, stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
        answers = together(lambda _: charlie.invitations.accept(invited.id))
        assert Counter(one if isinstance(one, type) else "in" for one in answers) == {"in": 1, NotFound: MANY - 1}
        assert len(stage.alice.members.list(here)) == 5

    def test_a_limit_holds_while_many_accept(self, stage: Stage, here: Any) -> None:
        people = [add_person(stage.house.database, f"card-{n}-of-clubs") for n in range(MANY)]
        invites = [stage.alice.invites.create(here, email=one.email, role="member") for one in people]
        set_limit(stage, members_limit=9)

        def accept(number: int) -> Any:
            api = stage.house.api(Credentials(user_id=people[number].id))
            return api.invitations.accept(invites[number].id)

        assert together(accept).count(LimitReached) == MANY - 5
        assert len(stage.alice.members.list(here)) == 9

    def test_an_address_is_invited_once(self, stage: Stage, here: Any) -> None:
        answers = together(lambda _: stage.alice.invites.create(here, email="gryphon@example.org", role="member"))
        assert answers.count(Conflict) == MANY - 1

    def test_accepted_while_taken_back(self, stage: Stage, here: Any, charlie: Any, invited: Any) -> None:
        def act(number: int) -> Any:
            if number % 2:
                return charlie.invitations.accept(invited.id)
            return stage.alice.invites.delete(here, invited.id)

        together(act)
        assert invited.id not in {one.id for one in stage.alice.invites.list(here)}


def test_what_ended_long_ago_is_forgotten(stage: Stage, here: Any, house: House, invited: Any) -> None:
    for days, left in ((29, 1), (31, 0)):
        with house.database.write() as db:
            past = func.now() - timedelta(days=days)
            db.execute(update(t.invites).where(t.invites.c.id == invited.id).values(expires_at=past))
        prune_accounts.run(Errand({}, house.database, house.keys, house.settings))
        assert len([one for one in stage.alice.invites.list(here) if one.id == invited.id]) == left
