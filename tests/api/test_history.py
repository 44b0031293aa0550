"""What was in which stage at which time: against a model that is kept beside the registry."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, LumlError, NotFound
from luml_app.schemas.tracks import StageChange
from luml_app.web.house import House
from tests.api.stage import Stage, announced, mark_uploaded
from tests.serving import RunningServer

Track = tuple[Any, ...]


@pytest.fixture
def house(build_house: Callable[..., House]) -> House:
    """One in which twenty can really act at once."""
    return build_house(pool_size=20)


@pytest.fixture
def track(stage: Stage) -> Track:
    return stage.path("track_id")


@pytest.fixture
def bobs(connect: Callable[..., Any], stage: Stage) -> Any:
    """The api of a member, who is no admin."""
    return connect(stage.cast.bob)


def upload(stage: Stage, name: str) -> Any:
    made = stage.alice.artifacts.create(*stage.path("collection_id"), **announced(name=name)).artifact
    mark_uploaded(stage.house.database, made.id)
    return made


def versions_in(api: Any, track: Track, as_of: datetime | None = None) -> dict[str, int | None]:
    """The version in each stage, by the stage's name."""
    return {
        one.name: one.version and one.version.version
        for one in api.tracks.get(*track, as_of=as_of or datetime.now(UTC)).stages
    }


def test_a_move_tells_who_when_and_why(api: Any, stage: Stage, track: Track, bobs: Any) -> None:
    staging, production = api.tracks.stages(*track)
    second = bobs.track_entries.create(*track, artifact_id=stage.spare.id, why="better on Tuesdays")
    bobs.track_entries.update(*track, second.id, stage_id=staging.id, force=True, why="the first one sleeps")
    api.track_entries.update(*track, second.id, stage_id=production.id, why="proven")
    now, before = api.track_history.stage(*track, staging.id).items
    assert (now.version.version, now.by, now.why) == (2, "bob@example.org", "the first one sleeps")
    assert (now.ended_by, now.ended_why) == ("alice@example.org", "proven")
    assert (before.version.version, before.until, before.ended_why) == (1, now.since, "the first one sleeps")
    assert before.ended_by == "bob@example.org"
    (current,) = api.track_history.stage(*track, production.id).items
    assert (current.version.artifact_name, current.version.digest, current.until) == (
        "Hatter",
        stage.spare.file_hash,
        None,
    )


def test_the_past_stays_what_it_was_when_everything_is_renamed_and_deleted(
    api: Any, stage: Stage, track: Track
) -> None:
    staging, production = api.tracks.stages(*track)
    first = stage.ids["entry_id"]
    api.track_entries.update(*track, first, stage_id=production.id)
    then = datetime.now(UTC)
    artifact = (*stage.path("collection_id"), stage.ids["artifact_id"])
    api.artifacts.update(*artifact, name="Renamed")
    api.tracks.update(*track, name="Coffee party", stages=[StageChange(name="live", id=production.id)])
    api.track_entries.delete(*track, first, why="it is cold")
    api.tracks.update(*track, stages=[])
    api.deployments.force_delete(*stage.path("deployment_id"))
    api.artifacts.delete(*artifact)
    old = api.tracks.get(*track, as_of=then)
    assert (old.name, [one.name for one in old.stages]) == ("Tea party", ["staging", "production"])
    assert [one.version and one.version.artifact_name for one in old.stages] == [None, "Dormouse"]
    assert [(one.version, one.stage, one.artifact_id) for one in old.versions] == [(1, "production", artifact[-1])]
    was = api.tracks.stage(*track, production.id, as_of=then)
    assert (was.name, was.version.version, was.version.artifact_name) == ("production", 1, "Dormouse")
    (tenure,) = api.track_history.stage(*track, production.id).items
    assert (tenure.version.artifact_name, tenure.ended_why) == ("Dormouse", "it is cold")
    now = api.tracks.get(*track, as_of=datetime.now(UTC))
    assert (now.name, now.stages, now.versions) == ("Coffee party", [], [])
    for stage_id in (production.id, staging.id):
        with pytest.raises(NotFound, match="no such stage"):
            api.tracks.stage(*track, stage_id)


def test_before_the_beginning_and_what_never_was(api: Any, stage: Stage, track: Track) -> None:
    with pytest.raises(NotFound, match="begins at 20"):
        api.tracks.get(*track, as_of=datetime.now(UTC) - timedelta(days=1))
    for call in (api.track_history.stage, api.tracks.stage):
        with pytest.raises(NotFound, match="no such stage"):
            call(*track, new_id())
    with pytest.raises(Invalid, match="as_of"):
        api.tracks.get(*track, as_of=datetime(2026, 1, 1))
    _, production = api.tracks.stages(*track)
    assert api.track_history.stage(*track, production.id).items == []
    assert api.tracks.stage(*track, production.id).version is None


def test_a_moment_to_come_is_refused(api: Any, track: Track) -> None:
    staging, _ = api.tracks.stages(*track)
    for call in (api.tracks.get, api.tracks.stages, partial(api.tracks.stage, *track, staging.id)):
        where = () if isinstance(call, partial) else track
        with pytest.raises(Invalid, match=r"as_of: This moment is still to come"):
            call(*where, as_of=datetime.now(UTC) + timedelta(hours=1))
        # The clock of who asks may be a little ahead.
        assert call(*where, as_of=datetime.now(UTC) + timedelta(seconds=20))


@pytest.mark.parametrize("moment", ["yesterday", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01", ""])
@pytest.mark.parametrize("path", ["", "/stages", "/stages/{stage_id}"])
def test_what_is_no_moment_is_named(server: RunningServer, stage: Stage, track: Track, moment: str, path: str) -> None:
    staging, _ = stage.alice.tracks.stages(*track)
    organization, orbit, one = track
    address = f"/v1/organizations/{organization}/orbits/{orbit}/tracks/{one}{path.format(stage_id=staging.id)}"
    key = {"Authorization": f"Bearer {stage.cast.alice.api_key}"}
    answer = httpx.get(server.address + address, params={"as_of": moment}, headers=key)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "as_of"])


def test_the_moments_at_the_ends_of_the_calendar(api: Any, track: Track) -> None:
    with pytest.raises(NotFound, match="begins at 20"):
        api.tracks.get(*track, as_of=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))))
    with pytest.raises(Invalid, match="still to come"):
        api.tracks.get(*track, as_of=datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))))


def test_a_track_is_answered_as_it_was(api: Any, stage: Stage) -> None:
    """With nothing changed since, as of now is what is there now; after all has changed, it is what was there then."""
    made = api.tracks.create(
        *stage.path(), name="Line", artifact_type="model", stages=["a", "b"], description="old", tags=["x"]
    )
    track = (*stage.path(), made.id)
    entry = api.track_entries.create(*track, artifact_id=stage.spare.id, stage_id=made.stages[1].id)
    then, before = datetime.now(UTC), api.tracks.get(*track)
    assert as_is(api.tracks.get(*track, as_of=then)) == as_is(before)
    a, b = made.stages
    renamed = [StageChange(id=b.id, name="live"), StageChange(id=a.id, name="a"), StageChange(name="c")]
    api.tracks.update(*track, name="Thread", description=None, tags=[], stages=renamed)
    api.track_entries.delete(*track, entry.id)
    third = api.artifacts.create(*stage.path("collection_id"), **announced(name="Third")).artifact
    mark_uploaded(stage.house.database, third.id)
    api.track_entries.create(*track, artifact_id=third.id)
    old = api.tracks.get(*track, as_of=then)
    assert as_is(old) == as_is(before)
    assert (old.as_of, [one.version for one in old.versions]) == (then, [1])
    assert [one.version and one.version.artifact_name for one in old.stages] == [None, "Hatter"]
    assert api.tracks.stages(*track, as_of=then) == old.stages
    assert api.tracks.stage(*track, b.id, as_of=then) == old.stages[1]
    now = api.tracks.get(*track, as_of=datetime.now(UTC))
    assert as_is(now) == as_is(api.tracks.get(*track))
    assert (now.name, now.description, now.tags, now.next_version) == ("Thread", None, [], 3)


def as_is(track: Any) -> Any:
    """What a track is, without what only an answer as of a moment tells, and without times, which are those of events
    there and those of rows here.
    """
    plain = msgspec.to_builtins(track)
    for one in (plain, *plain["stages"]):
        changed = one["updated_at"] is not None
        for name in ("as_of", "versions", "version", "created_at", "updated_at"):
            one.pop(name, None)
        one["changed"] = changed
    return plain


def test_history_comes_in_pages(api: Any, stage: Stage, track: Track) -> None:
    staging, production = api.tracks.stages(*track)
    for number in range(7):
        target = (production, staging)[number % 2]
        api.track_entries.update(*track, stage.ids["entry_id"], stage_id=target.id, why=f"{number}")
    for order in ("asc", "desc"):
        found, cursor = [], None
        while True:
            page = api.track_history.stage(*track, production.id, order=order, limit=2, cursor=cursor)
            found += [one.why for one in page.items]
            if (cursor := page.cursor) is None:
                break
        assert found == sorted("0246", reverse=order == "desc")


class TestProtectedStages:
    """Bob is a member of the orbit; Alice owns the organization."""

    @pytest.fixture
    def guarded(self, stage: Stage, track: Track) -> Any:
        """The stage "production", protected, with version 1 in it."""
        staging, production = stage.alice.tracks.stages(*track)
        wanted = [
            StageChange(name="staging", id=staging.id),
            StageChange(name="production", id=production.id, protected=True),
        ]
        stage.alice.tracks.update(*track, stages=wanted)
        stage.alice.track_entries.update(*track, stage.ids["entry_id"], stage_id=production.id)
        return production

    def test_a_member_moves_nothing_in_or_out(self, bobs: Any, stage: Stage, track: Track, guarded: Any) -> None:
        staging, _ = bobs.tracks.stages(*track)
        first, other = stage.ids["entry_id"], bobs.track_entries.create(*track, artifact_id=stage.spare.id)
        third = upload(stage, "Third")
        refused: list[Callable[[], Any]] = [
            lambda: bobs.track_entries.update(*track, first, stage_id=None),
            lambda: bobs.track_entries.update(*track, first, stage_id=staging.id),
            lambda: bobs.track_entries.update(*track, other.id, stage_id=guarded.id, force=True),
            lambda: bobs.track_entries.update(*track, other.id, stage_id=guarded.id),
            lambda: bobs.track_entries.create(*track, artifact_id=third.id, stage_id=guarded.id),
            lambda: bobs.track_entries.delete(*track, first),
            lambda: bobs.track_entries.delete_many(*track, entry_ids=[first]),
            lambda: bobs.tracks.delete(*track),
        ]
        for attempt in refused:
            with pytest.raises(Forbidden, match=r"(orbit admin|protected)"):
                attempt()
        with pytest.raises(Forbidden, match=r"The stage 'production' is protected.*orbit admin; you are an orbit memb"):
            refused[0]()
        assert versions_in(bobs, track) == {"staging": None, "production": 1}
        bobs.track_entries.update(*track, other.id, stage_id=staging.id)
        assert versions_in(bobs, track) == {"staging": 2, "production": 1}

    def test_a_member_neither_renames_nor_drops_it(self, bobs: Any, stage: Stage, track: Track, guarded: Any) -> None:
        stage.alice.track_entries.update(*track, stage.ids["entry_id"], stage_id=None)
        staging, production = bobs.tracks.stages(*track)
        assert (staging.protected, production.protected) == (False, True)
        same = StageChange(name="production", id=guarded.id)
        for stages in (
            [],
            [StageChange(name="live", id=guarded.id)],
            [StageChange(name="production")],
            [StageChange(name="production", id=guarded.id, protected=False)],
            [same, StageChange(name="mine", protected=True)],
            [same, StageChange(name="staging", id=staging.id, protected=True)],
        ):
            with pytest.raises(Forbidden, match="orbit admin"):
                bobs.tracks.update(*track, stages=stages)
        with pytest.raises(Forbidden, match="orbit admin"):
            bobs.tracks.create(*track[:2], name="T", artifact_type="model", stages=["a"], protected_stages=["a"])
        # What is not of the protected stage is still his to change.
        changed = bobs.tracks.update(*track, stages=[StageChange(name="canary", id=staging.id), same])
        assert [(one.name, one.protected) for one in changed.stages] == [("canary", False), ("production", True)]

    def test_an_admin_does_all_of_it(self, api: Any, stage: Stage, track: Track, guarded: Any) -> None:
        second = api.track_entries.create(*track, artifact_id=stage.spare.id)
        api.track_entries.update(*track, second.id, stage_id=guarded.id, force=True)
        api.track_entries.delete(*track, second.id)
        api.tracks.update(*track, stages=[StageChange(name="open", id=guarded.id, protected=False)])
        assert api.tracks.get(*track, as_of=datetime.now(UTC)).stages[0].protected is False
        made = api.tracks.create(
            *track[:2], name="Guarded", artifact_type="model", stages=["a", "b"], protected_stages=["b"]
        )
        assert [one.protected for one in made.stages] == [False, True]
        with pytest.raises(Invalid, match="not among the stages"):
            api.tracks.create(*track[:2], name="Odd", artifact_type="model", stages=["a"], protected_stages=["c"])


Step = tuple[str, int, int, bool]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["move", "out", "remove", "add", "rename"]), st.integers(0, 3), st.integers(0, 2), st.booleans()
    ),
    min_size=3,
    max_size=12,
)


class Model:
    """What must be true: the versions by number, and the stage (an index) that each is in."""

    def __init__(self, stages: list[Any]) -> None:
        self.stages = stages
        self.names = {one.id: one.name for one in stages}
        self.entries: dict[Any, int] = {}
        self.holder: dict[Any, Any] = {}

    def picture(self) -> Any:
        stages = {self.names[one.id]: self.entries.get(self.holder.get(one.id)) for one in self.stages}
        return stages, sorted(self.entries.values())


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
def test_at_each_time_the_past_is_what_it_was(stage: Stage, bobs: Any, steps: list[Step]) -> None:
    here, api = stage.path(), stage.alice
    made = api.tracks.create(*here, name=f"Line {new_id()}", artifact_type="model", stages=["a", "b", "c"])
    track, model = (*here, made.id), Model(made.stages)
    artifacts = [one.id for one in api.artifacts.list(*here).items]
    pictures: list[tuple[datetime, Any]] = [(datetime.now(UTC), model.picture())]
    for number, (verb, which, where, force) in enumerate(steps):
        person = (api, bobs)[number % 2] if verb != "remove" else api
        play(person, track, model, artifacts, verb, which, where, force)
        pictures.append((datetime.now(UTC), model.picture()))
    for moment, picture in pictures:
        state = api.tracks.get(*track, as_of=moment)
        seen = {one.name: one.version and one.version.version for one in state.stages}
        assert (seen, [one.version for one in state.versions]) == picture
        for one in model.stages:
            then = api.tracks.stage(*track, one.id, as_of=moment)
            assert (then.version and then.version.version) == picture[0][then.name]


def play(
    api: Any, track: Track, model: Model, artifacts: list[Any], verb: str, which: int, where: int, force: bool
) -> None:
    """One step, in the registry and in the model; what the registry refuses changes neither."""
    target = model.stages[where]
    entry = next(iter(list(model.entries)[which : which + 1]), None)
    try:
        if verb == "add":
            added = api.track_entries.create(*track, artifact_id=artifacts[which % len(artifacts)])
            model.entries[added.id] = added.version
        elif verb == "rename":
            name = f"{target.name}-{random.random()}"
            changes = [StageChange(id=s.id, name=name if s is target else model.names[s.id]) for s in model.stages]
            api.tracks.update(*track, stages=changes)
            model.names[target.id] = name
        elif entry is not None and verb == "remove":
            api.track_entries.delete(*track, entry)
            model.holder = {s: e for s, e in model.holder.items() if e != entry}
            del model.entries[entry]
        elif entry is not None:
            to = target.id if verb == "move" else None
            api.track_entries.update(*track, entry, stage_id=to, force=force)
            model.holder = {s: e for s, e in model.holder.items() if e != entry} | ({to: entry} if to else {})
    except Conflict:
        pass


def test_twenty_fight_for_one_stage(stage: Stage, track: Track) -> None:
    staging, production = stage.alice.tracks.stages(*track)
    entries = [stage.alice.track_entries.create(*track, artifact_id=upload(stage, f"m{n}").id).id for n in range(20)]
    seen: list[int] = []

    def fight(number: int) -> None:
        chance = random.Random(number)
        for _ in range(5):
            target = chance.choice([production.id, production.id, staging.id, None])
            try:
                stage.alice.track_entries.update(*track, entries[number], stage_id=target, force=chance.random() < 0.7)
            except Conflict:
                seen.append(number)
            page = stage.alice.track_entries.list(*track, stage=production.id)
            assert len(page.items) <= 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(fight, range(20)))
    for one in (staging, production):
        check_chain(stage, track, one)


def check_chain(stage: Stage, track: Track, one: Any) -> None:
    """The tenures of a stage follow each other without overlap, say what the events say, and end in what is there."""
    tenures, cursor = [], None
    while True:
        page = stage.alice.track_history.stage(*track, one.id, order="asc", limit=100, cursor=cursor)
        tenures += page.items
        if (cursor := page.cursor) is None:
            break
    for this, following in pairwise(tenures):
        assert this.since < this.until <= following.since
        assert stage.alice.tracks.stage(*track, one.id, as_of=this.since).version == this.version
    holder = stage.alice.track_entries.list(*track, stage=one.id).items
    assert [tenures[-1].version.version] * (tenures[-1].until is None) == [entry.version for entry in holder]
    with stage.house.database.read() as db:
        moves = db.execute(t.events.select().where(t.events.c.object_id == track[-1]).order_by(t.events.c.at)).all()
    entering = [row for row in moves if (row.after or {}).get("stage_id") == str(one.id)]
    leaving = [row for row in moves if (row.before or {}).get("stage_id") == str(one.id)]
    assert len(entering) == len(tenures)
    assert len(leaving) == len([tenure for tenure in tenures if tenure.until is not None])


def test_twenty_at_once_get_twenty_numbers(stage: Stage, track: Track) -> None:
    artifacts = [upload(stage, f"m{n}").id for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda one: stage.alice.track_entries.create(*track, artifact_id=one), artifacts))
    assert sorted(one.version for one in made) == list(range(2, 22))


def test_versions_change_places_at_once(stage: Stage, track: Track) -> None:
    """Two who push each other's version out of its stage wait for each other, and both get through."""
    staging, production = stage.alice.tracks.stages(*track)
    first = stage.ids["entry_id"]
    second = stage.alice.track_entries.create(*track, artifact_id=stage.spare.id, stage_id=production.id).id

    def swap(number: int) -> LumlError | None:
        entry, target = ((first, production), (second, staging))[number % 2]
        try:
            stage.alice.track_entries.update(*track, entry, stage_id=target.id, force=True)
        except LumlError as error:
            return error
        return None

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(swap, range(16))) == [None] * 16
    for one in (staging, production):
        check_chain(stage, track, one)
