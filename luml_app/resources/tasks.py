"""Jobs as satellites see them: tasks, with the contract's four statuses."""

from __future__ import annotations

from typing import Any

from luml_app.schemas.satellites import Task, TaskStatus

STATES: dict[TaskStatus, tuple[str, ...]] = {
    "pending": ("queued",),
    "running": ("leased",),
    "done": ("succeeded",),
    "failed": ("failed", "dead", "cancelled"),
}
_STATUS = {state: status for status, states in STATES.items() for state in states}


def task_of(row: Any, *, status: TaskStatus | None = None, with_lease: bool = False) -> Task:
    """A task from a job's row; only who has just claimed it is told the lease's token."""
    hidden = {"status", "lease_token", "lease_expires_at"}
    columns = {name: getattr(row, name) for name in Task.__struct_fields__ if name not in hidden}
    lease = {"lease_token": row.lease_token, "lease_expires_at": row.lease_expires_at} if with_lease else {}
    return Task(**columns, **lease, status=status or _STATUS[row.state])
