"""Rules that must hold when many do the same in one moment, on real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.schemas.errors import Conflict, LimitReached, NotFound, Unauthenticated
from luml_app.web.house import House
from tests.api.cases import OPERATIONS
from tests.api.stage import Stage, announced, mark_uploaded
from tests.api.together import MANY, set_limit, together
from tests.cast import PASSWORD
from tests.serving import until


@pytest.fixture
def house(build_house: Callable[..., House]) -> House:
    """With a connection for everybody."""
    return build_house(pool_size=MANY)


def count(stage: Stage, table: Any) -> int:
    with stage.house.database.read() as db:
        here = table.c.orbit_id == stage.cast.here.orbit_id
        return db.scalar(select(func.count()).select_from(table).where(here)) or 0


def test_a_limit_of_artifacts_holds(stage: Stage) -> None:
    set_limit(stage, artifacts_limit=7)
    answers = together(lambda n: stage.alice.artifacts.create(*stage.path("collection_id"), **announced(name=str(n))))
    assert (answers.count(LimitReached), count(stage, t.artifacts)) == (MANY - 5, 7)


def test_a_limit_of_satellites_holds(stage: Stage) -> None:
    set_limit(stage, satellites_limit=4)
    answers = together(lambda n: stage.alice.satellites.create(*stage.path(), name=str(n)))
    assert (answers.count(LimitReached), count(stage, t.satellites)) == (MANY - 3, 4)


def test_a_limit_of_orbits_holds(stage: Stage) -> None:
    set_limit(stage, orbits_limit=3)
    here = stage.cast.here
    together(lambda n: stage.alice.orbits.create(here.organization_id, name=str(n), bucket_secret_id=here.bucket_id))
    assert len(stage.alice.orbits.list(here.organization_id)) == 3


def test_each_version_has_a_number_of_its_own(stage: Stage) -> None:
    made = [stage.alice.artifacts.create(*stage.path("collection_id"), **announced()).artifact for _ in range(MANY)]
    for one in made:
        mark_uploaded(stage.house.database, one.id)
    track = stage.path("track_id")
    entries = together(lambda n: stage.alice.track_entries.create(*track, artifact_id=made[n].id))
    assert sorted(entry.version for entry in entries) == list(range(2, MANY + 2))


def test_a_stage_has_one_holder_and_force_always_gets_it(stage: Stage) -> None:
    track = stage.path("track_id")
    _, production = stage.alice.tracks.stages(*track)
    entries = []
    for _ in range(MANY):
        one = stage.alice.artifacts.create(*stage.path("collection_id"), **announced()).artifact
        mark_uploaded(stage.house.database, one.id)
        entries.append(stage.alice.track_entries.create(*track, artifact_id=one.id))

    def take(number: int, force: bool) -> Any:
        return stage.alice.track_entries.update(*track, entries[number].id, stage_id=production.id, force=force)

    answers = Counter(one if isinstance(one, type) else "took it" for one in together(lambda n: take(n, False)))
    assert answers == {"took it": 1, Conflict: MANY - 1}
    answers = Counter(one if isinstance(one, type) else "took it" for one in together(lambda n: take(n, True)))
    assert answers == {"took it": MANY}
    holders = [one for one in stage.alice.track_entries.list(*track, limit=100).items if one.stage_id == production.id]
    assert len(holders) == 1


def test_a_refresh_token_gives_new_ones_once_and_its_second_use_ends_the_session(stage: Stage) -> None:
    call = stage.house.service.call
    signin = Request(OPERATIONS["auth.signin"], body={"email": stage.cast.alice.email, "password": PASSWORD})
    token = call(signin).cookies["refresh_token"][0]
    refresh = Request(OPERATIONS["auth.refresh"], credentials=Credentials(refresh_token=token))
    answers = together(lambda _: call(refresh))
    (winner,) = (one for one in answers if not isinstance(one, type))
    assert answers.count(Unauthenticated) == MANY - 1
    for kind in ("access_token", "refresh_token"):
        new = winner.cookies[kind][0]
        who = Credentials(token=new, refresh_token=new)
        with pytest.raises(Unauthenticated):
            call(Request(OPERATIONS["auth.me" if kind == "access_token" else "auth.refresh"], credentials=who))


def test_a_link_signs_in_once(stage: Stage) -> None:
    token = stage.alice.auth.create_link().path.partition("token=")[2]
    answers = together(lambda _: stage.house.service.call(Request(OPERATIONS["auth.use_link"], query={"token": token})))
    assert answers.count(Unauthenticated) == MANY - 1


def test_an_owner_does_not_leave_to_one_who_ceases_to_be_one(stage: Stage) -> None:
    m, here, bob = t.organization_members, stage.cast.here.organization_id, stage.cast.bob.id
    waiting = text("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    bobs = (m.c.organization_id == here) & (m.c.user_id == bob)
    with stage.house.database.write() as db:
        db.execute(update(m).where(bobs).values(role="owner"))
    with ThreadPoolExecutor(1) as pool:
        with stage.house.database.write() as db:
            db.execute(update(m).where(bobs).values(role="member"))
            leaving = pool.submit(stage.alice.accounts.delete_me)
            with stage.house.database.read() as watch:
                until(lambda: leaving.done() or watch.scalar(waiting), "Alice's deletion waits for the change")
        with pytest.raises(Conflict, match="only owner"):
            leaving.result(timeout=60)


def test_an_artifact_is_either_used_or_deleted(stage: Stage) -> None:
    """Half of all put it into tracks, half ask to delete it: nobody may be left with a version of nothing."""
    tracks = [stage.alice.tracks.create(*stage.path(), name=f"{n}", artifact_type="model").id for n in range(MANY)]
    artifact = stage.spare.id

    def act(number: int) -> Any:
        if number % 2:
            return stage.alice.artifacts.delete_url(*stage.path("collection_id"), artifact)
        return stage.alice.track_entries.create(*stage.path(), tracks[number], artifact_id=artifact)

    answers = together(act)
    used = [one for one in answers[::2] if not isinstance(one, type)]
    deleted = [one for one in answers[1::2] if not isinstance(one, type)]
    assert bool(used) != bool(deleted)


def test_an_orbit_that_is_deleted_takes_nothing_new_with_it(stage: Stage) -> None:
    here = stage.cast.here
    orbit = stage.alice.orbits.create(here.organization_id, name="Brief", bucket_secret_id=here.bucket_id)
    where = (here.organization_id, orbit.id)
    collection = stage.alice.collections.create(*where, name="Brief", type="mixed")

    def act(number: int) -> Any:
        if number == 0:
            return stage.alice.orbits.delete(*where)
        return stage.alice.artifacts.create(*where, collection.id, **announced())

    answers = together(act)
    made = [one for one in answers[1:] if not isinstance(one, type)]
    assert (answers[0] is Conflict) == bool(made)
    assert all(one in {NotFound, Conflict} for one in answers[1:] if isinstance(one, type))
    if made:
        assert stage.alice.orbits.get(*where).total_artifacts == len(made)


def test_names_are_taken_once(stage: Stage) -> None:
    answers = together(lambda _: stage.alice.tracks.create(*stage.path(), name="One", artifact_type="model"))
    assert answers.count(Conflict) == MANY - 1
    keys = together(lambda _: stage.alice.api_keys.create(name="one"))
    assert keys.count(Conflict) == MANY - 1


def test_many_requests_with_a_key_that_was_not_used_for_long(stage: Stage) -> None:
    """They all want to note that it was; none may wait for the others or fail."""
    with stage.house.database.write() as db:
        db.execute(update(t.api_keys).values(last_used_at=None))
    assert {one.email for one in together(lambda _: stage.alice.auth.me())} == {stage.cast.alice.email}
    (used, *_) = [one for one in stage.alice.api_keys.list() if one.name == "of the tests"]
    assert used.last_used_at is not None


def test_a_reader_does_not_wait_for_a_long_write_with_the_same_key(stage: Stage) -> None:
    with stage.house.database.write() as db:
        db.execute(update(t.api_keys).values(last_used_at=None))
    with stage.house.database.write() as db:
        db.execute(update(t.api_keys).values(hint="kept"))  # as a request does that is not done yet
        assert stage.alice.auth.me().email == stage.cast.alice.email
