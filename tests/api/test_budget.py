"""What an operation may cost, and what it leaves in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import event, func, select, text

from luml_app.core import tables as t
from luml_app.web.house import House
from tests.api.cases import CASES, OPERATIONS, request_of
from tests.api.stage import Stage

READ, WRITE = 3, 5
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


@pytest.fixture
def statements() -> list[str]:
    """What the test's house has asked its database, in order, whichever way it went there."""
    return []


@pytest.fixture
def house(build_house: Callable[..., House], database_url: str, statements: list[str]) -> House:
    """One whose statements are noted, and planned for any value, as they are after some time on a connection."""
    option = quote("-c plan_cache_mode=force_generic_plan")
    house = build_house(database_url=f"{database_url}{'&' if '?' in database_url else '?'}options={option}")

    class Noting(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            statements.append(str(query))
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
    assert len(asked) <= budget, "\n\n".join(asked)
    assert (events(stage.house) > before) == (not operation.reads and name not in SILENT)
