"""The audit log: who may read it, what it holds, and what never gets into it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.resources.events import prune_events
from luml_app.schemas.errors import Forbidden
from luml_app.web.house import House
from tests.api.cases import OPERATIONS, request_of
from tests.api.stage import Stage
from tests.cast import join_orbit
from tests.serving import RunningServer


def everything(api: Any, *path: Any, **filters: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        page = api.events.list(*path, cursor=cursor, **filters)
        found += page.items
        if (cursor := page.cursor) is None:
            return found


def test_it_tells_who_did_what_to_which_object(api: Any, stage: Stage) -> None:
    here = stage.cast.here
    since = datetime.now(UTC)
    api.collections.update(*stage.path("collection_id"), name="Polo")
    (event,) = everything(api, here.organization_id, since=since)
    assert (event.action, event.object_id) == ("collection.update", stage.ids["collection_id"])
    assert (event.before, event.after) == ({"name": "Croquet"}, {"name": "Polo"})
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("user", stage.cast.alice.id, "alice@example.org")
    assert (event.organization_id, event.orbit_id) == here.path


def test_over_http_it_knows_from_where(connect: Callable[..., Any], stage: Stage) -> None:
    api = connect(stage.cast.alice, "http")
    api.collections.update(*stage.path("collection_id"), name="Polo")
    assert api.events.list(stage.cast.here.organization_id, limit=1).items[0].ip in {"127.0.0.1", "::1"}


def test_filters_and_pages_visit_each_event_once(api: Any, stage: Stage) -> None:
    organization = stage.cast.here.organization_id
    for number in range(6):
        stage.alice.collections.update(*stage.path("collection_id"), name=f"Round {number}")
    bob = stage.house.api(Credentials(token=stage.cast.bob.api_key))
    bob.collections.create(*stage.path(), name="Bob's", type="model")
    whole = everything(api, organization, order="asc")
    for order in ("asc", "desc"):
        found = everything(api, organization, order=order, limit=3)
        assert sorted(found, key=lambda one: (one.at, one.id)) == whole
    (made,) = everything(api, organization, actor="bob@example.org")
    assert everything(api, organization, actor=str(stage.cast.bob.id)) == [made]
    assert {one.action for one in everything(api, organization, action="collection.")} == {
        "collection.create",
        "collection.update",
    }
    of_object = everything(api, organization, object_id=stage.ids["collection_id"])
    assert len(of_object) == 7
    assert everything(api, organization, since=made.at) == [made]
    assert made not in everything(api, organization, until=made.at)
    assert everything(api, organization, orbit=new_id()) == []
    in_orbit = api.events.list_in_orbit(*stage.path(), limit=1000).items
    assert in_orbit == everything(api, organization, orbit=stage.cast.here.orbit_id)


def test_orbit_admins_read_their_orbit_and_members_nothing(stage: Stage) -> None:
    bob = stage.house.api(Credentials(token=stage.cast.bob.api_key))
    for call in (lambda: bob.events.list(stage.path()[0]), lambda: bob.events.list_in_orbit(*stage.path())):
        with pytest.raises(Forbidden, match="admin"):
            call()
    with stage.house.database.write() as db:
        db.execute(delete(t.orbit_members).where(t.orbit_members.c.user_id == stage.cast.bob.id))
    join_orbit(stage.house.database, stage.cast.here.orbit_id, stage.cast.bob.id, "admin")
    assert bob.events.list_in_orbit(*stage.path()).items
    with pytest.raises(Forbidden):
        bob.events.list(stage.path()[0])


def test_events_stay_as_they_were_written(house: House, stage: Stage) -> None:
    for change in (
        update(t.events).values(why="never mind"),
        delete(t.events),
        text("TRUNCATE events"),
    ):
        with pytest.raises(IntegrityError, match="append-only"), house.database.write() as db:
            db.execute(change)


def test_the_operator_may_let_old_ones_go_but_not_the_history_of_tracks(
    build_house: Callable[..., House], stage: Stage
) -> None:
    def old(action: str) -> dict[str, Any]:
        at = text("now() - interval '40 days'")
        return {"id": new_id(), "at": at, "action": action, "actor_kind": "user"}

    with stage.house.database.write() as db:
        for action in ("collection.create", "track.add"):
            db.execute(insert(t.events).values(old(action)))

    def kept() -> list[str]:
        with stage.house.database.read() as db:
            return list(
                db.scalars(select(t.events.c.action).where(t.events.c.organization_id.is_(None)).order_by("at"))
            )

    whole = kept()
    for days, left in ((0, whole), (60, whole), (30, [one for one in whole if one != "collection.create"])):
        keeper = build_house(events_kept_days=days).housekeeper
        keeper.chores = {prune_events.kind: prune_events}
        keeper.plan()
        keeper.run_due()
        with stage.house.database.write() as db:
            db.execute(delete(t.jobs))
        assert kept() == left


class TestExport:
    def lines(self, server: RunningServer, stage: Stage, path: str, **query: Any) -> list[Any]:
        headers = {"Authorization": f"Bearer {stage.cast.alice.api_key}"}
        with httpx.stream("GET", server.address + path, params=query, headers=headers) as answer:
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
            return [json.loads(line) for line in answer.iter_lines()]

    @pytest.fixture
    def many(self, stage: Stage) -> int:
        """More events than three pages hold."""
        here, count = stage.cast.here, 3456
        row = {"organization_id": here.organization_id, "actor_kind": "user", "action": "collection.update"}
        with stage.house.database.write() as db:
            db.execute(insert(t.events), [{"id": new_id(), **row} for _ in range(count)])  # all of one moment
        return count

    def test_it_holds_each_event_once_oldest_first(self, server: RunningServer, stage: Stage, many: int) -> None:
        organization, orbit = stage.path()
        found = self.lines(server, stage, f"/v1/organizations/{organization}/events/export")
        places = [(one["at"], one["id"]) for one in found]
        assert places == sorted(places)
        assert len({one["id"] for one in found}) == len(found) > many
        listed = everything(stage.alice, organization, limit=1000, order="asc")
        assert [one["id"] for one in found] == [str(one.id) for one in listed]
        of_orbit = self.lines(server, stage, f"/v1/organizations/{organization}/orbits/{orbit}/events/export")
        assert {one["orbit_id"] for one in of_orbit} == {str(orbit)}
        none = self.lines(server, stage, f"/v1/organizations/{organization}/events/export", action="nothing.")
        assert none == []

    def test_a_refusal_is_an_ordinary_answer(self, server: RunningServer, stage: Stage) -> None:
        path = f"/v1/organizations/{stage.path()[0]}/events/export"
        headers = {"Authorization": f"Bearer {stage.cast.bob.api_key}"}
        assert httpx.get(server.address + path, headers=headers).json()["code"] == "forbidden"

    def test_who_loses_the_right_in_the_middle_gets_no_whole_answer(
        self, server: RunningServer, stage: Stage, many: int
    ) -> None:
        """The first page is taken, then the key is deleted: the answer breaks off, and does not look complete."""
        calls = iter(range(100))
        attempt = stage.house.service.attempt

        def revoke_after_the_first(request: Request, *answer: Any) -> Any:
            if next(calls) == 1:
                with stage.house.database.write() as db:
                    db.execute(delete(t.api_keys).where(t.api_keys.c.user_id == stage.cast.alice.id))
            return attempt(request, *answer)

        stage.house.service.attempt = revoke_after_the_first  # type: ignore[method-assign]
        with pytest.raises(httpx.RemoteProtocolError):
            self.lines(server, stage, f"/v1/organizations/{stage.path()[0]}/events/export")


SECRET_FIELDS = re.compile(
    r"password|secret_key|access_key|sas_token|^key$|api_key|token|^secret$|^value$|^path$", re.I
)
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PUBLIC = re.compile(r"hint|_id$|location|_until|_at$|lease_token")


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The texts that stand under a name of something secret, anywhere in a body or an answer."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key != "permissions":  # it names kinds of objects, of which one is the secret
                yield from secrets_in(one, str(key))
    elif isinstance(value, list):
        for one in value:
            yield from secrets_in(one, name)
    elif isinstance(value, str) and ID.fullmatch(value):
        return  # which secret a deployment gets is no secret
    elif isinstance(value, str) and len(value) >= 6 and SECRET_FIELDS.search(name) and not PUBLIC.search(name):
        yield value.rpartition("token=")[2]


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_secret_gets_into_the_events_the_jobs_or_the_log(
    name: str, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="luml_app")
    request = request_of(stage, OPERATIONS[name])
    answer = stage.house.service.call(request)
    sent = {**request.query, **(request.body or {})}
    given = msgspec.to_builtins(answer.value)
    secrets = {*secrets_in(sent), *secrets_in(given), request.credentials.token, request.credentials.refresh_token}
    secrets |= {value for value, _ in answer.cookies.values()}
    with stage.house.database.read() as db:
        kept = [str(tuple(row)) for table in (t.events, t.jobs) for row in db.execute(select(table))]
    kept += [record.getMessage() for record in caplog.records]
    for secret in secrets - {None, ""}:
        assert not [line for line in kept if str(secret) in line], f"{secret!r} of {name}"
