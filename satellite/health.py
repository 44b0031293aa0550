"""Asks model servers how they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import httpx

State = Literal["ready", "loading", "failed", "silent"]


@dataclass(frozen=True)
class Health:
    """`silent` means that nothing answers; `error` holds the end of the traceback of a model that failed to load."""

    state: State
    error: str = ""


class Prober:
    """Pooled connections to the model servers of this machine."""

    def __init__(self, timeout: float = 3.0) -> None:
        self.http = httpx.Client(timeout=timeout, trust_env=False)

    def close(self) -> None:
        """Drop the connections."""
        self.http.close()

    def health(self, url: str) -> Health:
        """How the model server at `url` is."""
        try:
            answer = self.http.get(f"{url}/healthz").json()
            return Health(answer["status"], answer.get("error", ""))
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return Health("silent")

    def openapi(self, url: str) -> dict[str, Any]:
        """The OpenAPI document of the model at `url`; raises httpx.HTTPError."""
        answer = self.http.get(f"{url}/openapi.json")
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document


def deployment_document(document: dict[str, Any], deployment_id: str, base_url: str) -> dict[str, Any]:
    """A model's OpenAPI as callers of the deployment see it: the gateway's address and path, and an API key."""
    return {
        **document,
        "servers": [{"url": base_url}],
        "paths": {f"/deployments/{deployment_id}/compute": document["paths"]["/compute"]},
        "components": {
            **document.get("components", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }
