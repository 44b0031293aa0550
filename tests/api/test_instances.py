"""Several instances of a satellite with one key: one of them works, the others stand by."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, update

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.schemas.errors import Conflict, Invalid
from tests.api.stage import CAPABILITIES, SATELLITE_TOKEN, Stage
from tests.api.together import MANY, together


def instance(stage: Stage, name: str) -> Any:
    """What one instance may ask, under its name."""
    return stage.house.api(Credentials(token=SATELLITE_TOKEN, instance=name)).agent


def run_out(stage: Stage) -> None:
    """The instance that works has not renewed its session for so long."""
    with stage.house.database.write() as db:
        db.execute(update(t.satellites).values(session_expires_at=func.now() - timedelta(seconds=1)))


def test_one_works_and_the_other_is_told_to_stand_by(stage: Stage) -> None:
    first, second = instance(stage, "first"), instance(stage, "second")
    assert first.open_session(instance="first", lease_seconds=30).predecessor is None
    renewed = first.open_session(instance="first", lease_seconds=60)
    with pytest.raises(Conflict, match="The instance first of this satellite is at work; stand by"):
        second.open_session(instance="second")
    first.close_session(instance="first")
    taken = second.open_session(instance="second")
    assert (taken.instance, taken.predecessor) == ("second", None), "it has left in order"
    assert renewed.expires_at > taken.expires_at - timedelta(seconds=30)


def test_a_session_that_ran_out_is_taken_over_and_its_owner_is_not_heard_any_more(stage: Stage) -> None:
    first, second = instance(stage, "first"), instance(stage, "second")
    first.open_session(instance="first")
    run_out(stage)
    assert second.open_session(instance="second").predecessor == "first"
    first.close_session(instance="first")
    where = stage.ids["deployment_id"]
    for speak in (
        lambda: first.update_deployment(where, status="active", inference_url="http://first", generation=1),
        lambda: first.update_deployment_status(where, status="failed"),
        lambda: first.update_task(stage.ids["task_id"], status="running"),
        lambda: first.pair(base_url="http://first", capabilities=CAPABILITIES, slug=None),
        lambda: first.open_session(instance="first"),
    ):
        with pytest.raises(Conflict, match="The instance second of this satellite is at work"):
            speak()
    assert first.deployment(where).inference_url is None, "it may look"
    second.update_deployment(where, status="active", inference_url="http://second", generation=1)


def test_a_session_that_ran_out_is_still_ones_own_while_nobody_else_asks(stage: Stage) -> None:
    first = instance(stage, "first")
    first.open_session(instance="first")
    run_out(stage)
    first.update_deployment_status(stage.ids["deployment_id"], status="active")
    assert first.open_session(instance="first").predecessor is None


def test_of_many_that_ask_at_once_one_works(stage: Stage) -> None:
    outcomes = together(lambda number: instance(stage, f"n{number}").open_session(instance=f"n{number}"))
    assert (outcomes.count(Conflict), len([one for one in outcomes if one is not Conflict])) == (MANY - 1, 1)


def test_satellites_that_name_no_instance_are_left_alone(stage: Stage) -> None:
    instance(stage, "first").open_session(instance="first")
    old = stage.satellite.agent
    (task,) = old.tasks(status="pending")
    old.update_task(task.id, status="running")
    old.update_deployment_status(stage.ids["deployment_id"], status="active")
    assert old.update_task(task.id, status="done").status == "done"


def test_the_history_tells_who_has_worked(stage: Stage) -> None:
    first, second = instance(stage, "first"), instance(stage, "second")
    first.open_session(instance="first")
    first.open_session(instance="first")
    run_out(stage)
    second.open_session(instance="second")
    second.close_session(instance="second")
    told = stage.alice.events.list_in_orbit(*stage.path(), action="satellite.session").items
    changes = [(one.before["instance"], one.after["instance"]) for one in reversed(told)]
    assert changes == [(None, "first"), ("first", "second"), ("second", None)]


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "\n"])
def test_a_name_that_is_none_is_refused(stage: Stage, name: str) -> None:
    with pytest.raises(Invalid, match="instance"):
        stage.satellite.agent.open_session(instance=name)
