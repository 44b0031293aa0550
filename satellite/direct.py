"""The platform of a satellite next to the database: jobs come straight from there, everything else over REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from luml_app.jobs.door import Door, DoorClosed, Refused
from satellite.platform import Conflict, Platform, PlatformAway, PlatformError, Task
from satellite.rest import RestPlatform, parse_task

Value = TypeVar("Value")


def direct(rest: RestPlatform, url: str) -> DirectPlatform:
    """The platform whose jobs come from the database at `url` (SATELLITE_DATABASE_URL)."""
    return DirectPlatform(rest, Door(url))


class DirectPlatform:
    """A `Platform`; what is not here is asked over REST."""

    def __init__(self, rest: RestPlatform, door: Door) -> None:
        self.rest = rest
        self.door = door

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rest, name)

    @property
    def platform(self) -> Platform:
        """Itself, for the type checker."""
        return cast(Platform, self)

    def interrupt(self) -> None:
        """Begin no more calls, and wake who waits for a job."""
        self.rest.interrupt()
        self.door.interrupt()

    def close(self) -> None:
        """Hang up, at both doors."""
        self.rest.close()
        self.door.close()

    def tasks(self, status: str, wait: float) -> list[Task]:
        """The tasks that may be claimed; returns as soon as there is one."""
        if status != "pending":
            return self.rest.tasks(status, wait)
        return [parse_task(raw) for raw in reached(lambda: self.door.waiting(wait))]

    def claim(self, task_id: str, lease_seconds: float) -> Task:
        """Take a task."""
        return parse_task(held(lambda: self.door.claim(task_id, lease_seconds), "Another worker has this task."))

    def renew(self, task: Task, lease_seconds: float) -> None:
        """Keep a task."""
        held(lambda: self.door.renew(task.id, task.lease_token or "", lease_seconds), "The lease is lost.")

    def finish(self, task: Task, status: str, result: dict[str, Any] | None) -> None:
        """End a task."""
        held(lambda: self.door.finish(task.id, task.lease_token or "", status, result), "The lease is lost.")


def reached(call: Callable[[], Value]) -> Value:
    """A call of the door; raises PlatformAway and PlatformError."""
    try:
        return call()
    except DoorClosed as error:
        raise PlatformAway(f"The database does not answer: {error}") from error
    except Refused as error:
        raise PlatformError(400, str(error)) from error


def held(call: Callable[[], dict[str, Any] | None], otherwise: str) -> dict[str, Any]:
    """A call that gives nothing when somebody else has the task; then raises Conflict."""
    found = reached(call)
    if found is None:
        raise Conflict(409, otherwise)
    return found
