"""Calls about events and webhooks."""

from __future__ import annotations

from typing import Any

from tests.api.cases.playing import CASES, Case, plain
from tests.api.stage import Stage

plain("events.list", action="track.", limit=1000)
plain("events.list_in_orbit", actor="alice@example.org")
plain("events.export")
plain("events.export_of_orbit", since="2026-01-01T00:00:00Z")


def _a_webhook(stage: Stage) -> dict[str, Any]:
    made = stage.alice.webhooks.create(stage.cast.here.organization_id, url="https://example.org/hook", actions=["*"])
    return {"webhook_id": made.webhook.id}


def _a_delivery(stage: Stage) -> dict[str, Any]:
    hook = _a_webhook(stage)
    sent = stage.alice.webhooks.test(stage.cast.here.organization_id, hook["webhook_id"])
    return hook | {"delivery_id": sent.id}


plain("webhooks.create", {"url": "https://example.org/hook/of/luml", "actions": ["track.*"]})
plain("webhooks.list")
for name in ("get", "delete", "rotate_secret", "test", "deliveries"):
    CASES[f"webhooks.{name}"] = lambda stage: Case(path=_a_webhook(stage))
CASES["webhooks.update"] = lambda stage: Case({"enabled": False, "description": "asleep"}, path=_a_webhook(stage))
for name in ("delivery", "redeliver"):
    CASES[f"webhooks.{name}"] = lambda stage: Case(path=_a_delivery(stage))
