"""`luml api-keys` and `luml sessions`, each in a process of its own."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.cast import PASSWORD, Person
from tests.cli.test_commands import Luml, config, luml
from tests.serving import RunningServer

__all__ = ["config", "luml"]


def test_keys_are_made_listed_and_deleted(luml: Luml, server: RunningServer, alice: Person) -> None:
    made = luml("api-keys", "create", "nightly", "--scope", "api", "--orbit", "Garden", "--days", "30")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    answer = httpx.get(f"{server.address}/v1/users/me/organizations", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    listed = luml("api-keys", "list")
    assert "nightly" in listed.stdout
    assert key not in listed.stdout
    (row,) = (one for one in json.loads(luml("api-keys", "list", "--json").stdout) if one["name"] == "nightly")
    assert (row["scopes"], row["orbit_id"] is None, row["expires_at"] is None) == (["api"], False, False)
    assert "Deleted nightly" in luml("api-keys", "delete", "nightly").stdout
    gone = luml("api-keys", "delete", "nightly")
    assert (gone.returncode, "no API key 'nightly'" in gone.stderr) == (1, True)


def test_sessions_are_listed_and_ended(luml: Luml, server: RunningServer, alice: Person) -> None:
    assert "nowhere" in luml("sessions", "list").stdout
    with httpx.Client(base_url=server.address, headers={"User-Agent": "Firefox/140 Linux"}) as http:
        http.post("/v1/auth/signin", json={"email": alice.email, "password": PASSWORD})
        (found,) = _sessions(luml)
        assert found["device"] == "Firefox on Linux"
        assert luml("sessions", "revoke").returncode == 2
        assert luml("sessions", "revoke", found["id"]).returncode == 0
        assert http.get("/v1/auth/users/me").status_code == 401
        http.post("/v1/auth/signin", json={"email": alice.email, "password": PASSWORD})
        assert luml("sessions", "revoke", "--all").returncode == 0
        assert http.get("/v1/auth/users/me").status_code == 401


def _sessions(luml: Luml) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(luml("sessions", "list", "--json").stdout)
    return found
