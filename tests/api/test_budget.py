"""What an operation may cost among 50 organizations of 20 orbits, and what it leaves in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import event, func, select, text

from luml_app.core import tables as t
from luml_app.web.house import House
from tests.api.cases import CASES, OPERATIONS, request_of
from tests.api.conftest import set_the_stage
from tests.api.many_places import BIG, PAGES, add_many_places
from tests.api.stage import Stage

if TYPE_CHECKING:
    from tests.postgres import Cluster

READ, WRITE = 3, 5
Statement = tuple[str, Any]
SILENT = {
    "auth.refresh": "an open session goes on",
    "accounts.resend_confirmation": "tells nobody whether there is such an account; the chore leaves an event",
    "accounts.forgot_password": "tells nobody whether there is such an account; the chore leaves an event",
    **dict.fromkeys(
        ("identities.google_login", "identities.microsoft_login", "identities.oidc_login", "identities.link"),
        "somebody leaves for a provider; their return leaves an event",
    ),
    "uploads.multipart": "signs addresses, changes nothing",
    "buckets.probe_urls": "signs addresses, changes nothing",
    "buckets.try_urls": "signs addresses, changes nothing",
    "buckets.probe": "tries the bucket, and leaves it as it was",
    "agent.renew_task": "a heartbeat",
    "agent.inference_access": "a question",
}
"""Operations by POST that leave no event, and why."""
FREE = {"identities.providers": "tells what the settings say"}
"""Operations that ask the database nothing."""
READS_WHOLE_TABLES = {
    "accounts.delete_me": "once in an account's life, for all organizations that it owns",
    "secrets.delete": "asks all deployments whether they refer to the secret",
}


def _set_the_stage_among_many(url: str) -> None:
    set_the_stage(url)
    add_many_places(url)


@pytest.fixture
def database_url(cluster: Cluster) -> Iterator[str]:
    """Here the stage is one place of a thousand."""
    with cluster.database(cluster.template("the stage among many", _set_the_stage_among_many)) as url:
        yield url


@pytest.fixture
def statements() -> list[Statement]:
    """What the test's house has asked its database, in order, whichever way it went there."""
    return []


@pytest.fixture
def house(build_house: Callable[..., House], database_url: str, statements: list[Statement]) -> House:
    """One whose statements are noted, and planned for any value, as they are after some time on a connection."""
    option = quote("-c plan_cache_mode=force_generic_plan")
    house = build_house(database_url=f"{database_url}{'&' if '?' in database_url else '?'}options={option}")

    class Noting(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            statements.append((str(query), params))
            return super().execute(query, params, **options)

    def note(connection: Any, *_: object) -> None:
        connection.prepare_threshold = 0
        connection.cursor_factory = Noting

    event.listen(house.database.engine, "connect", note)
    return house


def events(house: House) -> int:
    with house.database.read() as db:
        return db.scalar(select(func.count()).select_from(t.events)) or 0


def test_every_operation_has_a_case() -> None:
    assert CASES.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_sql_budget_is_kept_and_every_write_leaves_an_event(name: str, stage: Stage, statements: list[str]) -> None:
    operation = OPERATIONS[name]
    stage.alice.auth.me()  # "last used" and "last seen" are fresh now: they are not written at each request
    stage.satellite.agent.deployments()
    with stage.house.database.read() as db:
        assert db.scalar(text("SHOW plan_cache_mode")) == "force_generic_plan"
    request = request_of(stage, operation)
    before = events(stage.house)
    statements.clear()
    stage.house.service.call(request)
    asked = statements.copy()
    budget = READ if operation.reads else WRITE
    assert (len(asked) > 0) == (name not in FREE)
    assert len(asked) <= budget, "\n\n".join(sql for sql, _ in asked)
    assert (events(stage.house) > before) == (not operation.reads and name not in SILENT)
    whole = [found for sql, values in asked for found in _tables_read_as_a_whole(stage.house, sql, values)]
    assert not whole or name in READS_WHOLE_TABLES, f"{whole} of {name}"


def _tables_read_as_a_whole(house: House, sql: str, values: Any) -> list[str]:
    """The big tables of which the statement's plan reads every row, or every entry of an index of all rows."""
    with house.database.read() as db:
        driver: Any = db.connection.driver_connection
        big = f"SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= {BIG} AND relpages >= {PAGES}"
        names = {row[0] for row in driver.execute(big).fetchall()}
        partial = "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL"
        few = {row[0] for row in driver.execute(partial).fetchall()}
        (plan,) = driver.execute(f"EXPLAIN (FORMAT JSON) {sql}", values).fetchone()
    return [
        f"{node['Node Type']} of {node['Relation Name']} {node.get('Index Name', '')} {node.get('Filter', '')}"
        for node in _nodes(plan[0]["Plan"])
        if node.get("Relation Name") in names
        and node.get("Index Name") not in few
        and (node["Node Type"] == "Seq Scan" or ("Index" in node["Node Type"] and "Index Cond" not in node))
    ]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)
