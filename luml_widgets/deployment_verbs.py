"""What can be done with a deployment from its page, and how its revisions share the requests."""

from __future__ import annotations

from typing import Any

from luml_app.schemas.deployments import Deployment
from luml_app.schemas.revisions import Target
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets.blocks import Block


def actions(one: Deployment) -> list[Block]:
    """The menu of a deployment: what makes sense now."""
    if one.desired == "deleted" or one.status == "deletion_pending":
        return [b.action("Delete deployment", "ask_delete", tone="bad")]
    if one.desired == "stopped":
        first = [b.action("Start", "verb", "start")]
    else:
        promote = [b.action("Let the new revision take over", "promote")] if one.rollout else []
        first = [*promote, b.action("Restart", "verb", "restart"), b.action("Stop", "ask_stop")]
    back = [b.action("Roll back …", "ask_rollback")] if one.revision.number > 1 else []
    return [*first, *back, b.action("Delete deployment", "ask_delete", tone="bad")]


def shares(one: Deployment) -> list[Block]:
    """While a rollout is under way: which revision gets what."""
    if len(one.targets) < 2:
        return []
    columns = [b.column("revision", "Revision", numeric=True), b.column("share", "Requests"), b.column("made", "Made")]
    rows = [b.row(target.revision.id, _cells(target)) for target in one.targets]
    note = [b.prose(text)] if (text := _steps(one)) else []
    return [b.section("Rollout", [b.table("shares", columns, rows, label="Shares"), *note])]


def _cells(target: Target) -> list[Any]:
    return [f.number(target.revision.number), _share(target), f.moment(target.revision.created_at)]


def _share(target: Target) -> Any:
    if target.mirror:
        return "copies only"
    return f"{target.weight} %" if target.weight else "stands by"


def _steps(one: Deployment) -> str:
    rollout = one.rollout
    if rollout is None or rollout.step + 1 >= len(rollout.steps):
        return ""
    following = rollout.steps[rollout.step + 1]
    return f"Next: {following.weight} %, {rollout.steps[rollout.step].seconds} s after this step has begun to serve."


def difference(told: Any) -> str:
    """What a rollback would change, in a sentence."""
    changes = "; ".join(f"{name}: {change.now!r} → {change.then!r}" for name, change in told.changes.items())
    return f"Revision {told.now.number} gives way to revision {told.then.number}. {changes or 'Nothing else changes'}."
