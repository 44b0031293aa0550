"""`luml events` and `luml webhooks`, as a person types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from luml_app.client.http import Client
from luml_app.client.orbits import OrbitHandle
from luml_app.client.organizations import follow
from luml_app.schemas.errors import NotFound
from luml_app.web.house import House
from tests.cli.test_commands import Luml, config, luml, printed_json, refused
from tests.jobs.receiver import Receiver, answer, make_authority

__all__ = ["config", "luml"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def house(build_house: Callable[..., House], authority: tuple[Path, Path]) -> House:
    return build_house(webhook_networks="127.0.0.0/8, ::1/128", webhook_ca_file=str(authority[0]))


@pytest.fixture
def receiver(authority: tuple[Path, Path]) -> Iterator[Receiver]:
    receiver = Receiver(authority[1])
    yield receiver
    receiver.stop()


def test_the_audit_log_is_listed_filtered_and_exported(luml: Luml, orbit: OrbitHandle, tmp_path: Path) -> None:
    orbit.collection("Croquet", "model")
    table = luml("events", "list", "--action", "collection.").stdout.splitlines()
    assert table[0].split() == ["WHEN", "ACTION", "WHO", "OBJECT", "WHY"]
    assert table[1].split("  ")[1:3] == ["collection.create", "alice@example.org"] or "collection.create" in table[1]
    listed = printed_json(luml("events", "list", "--json", "--limit", "0", "--since", "2026-01-01"))
    assert {one["action"] for one in listed} >= {"organization.create", "orbit.create", "collection.create"}
    of_orbit = printed_json(luml("events", "list", "--json", "--orbit", "Garden", "--action", "collection."))
    assert [one["after"]["name"] for one in of_orbit] == ["Croquet"]
    exported = luml("events", "export", "--output", str(tmp_path / "all.jsonl"))
    assert exported.returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert lines == listed[::-1]
    assert luml("events", "export", "--until", "2026-01-01T00:00:00Z").stdout == ""
    assert luml("events", "list", "--actor", "nobody@example.org").stdout == "No events.\n"
    assert "is not a time such as" in refused(luml("events", "list", "--since", "yesterday"), 2)
    assert "There is no organization 'Nowhere'" in refused(luml("events", "list", "--organization", "Nowhere"))


def test_following_shows_what_happens(config: Path, orbit: OrbitHandle) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LUML_")}
    command = [sys.executable, "-m", "luml_app.cli", "events", "follow", "--json", "--every", "0.1"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**kept, "LUML_CONFIG_FILE": str(config), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        # When it begins to look cannot be seen from here; something happens again and again until it has.
        names = iter(range(1000))
        os.set_blocking(process.stdout.fileno(), False)
        line = ""
        while not line.endswith("\n"):
            orbit.collection(f"C{next(names)}", "model")
            line += process.stdout.readline() or ""
        assert json.loads(line)["action"] == "collection.create"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_each_event_is_followed_once(orbit: OrbitHandle, client: Client) -> None:
    class Enough(Exception):
        pass

    seen: list[str] = []
    looks = iter(range(4))

    def happen(_: float) -> None:
        if (number := next(looks)) == 3:
            raise Enough
        orbit.collection(f"C{number}", "model")

    with pytest.raises(Enough):
        for event in follow(client.organization().events, rest=happen):
            seen.append(event.after["name"] if event.after else "")
    assert seen == ["C0", "C1", "C2"]


def test_a_webhook_from_its_making_to_its_end(luml: Luml, receiver: Receiver, client: Client) -> None:
    made = luml("webhooks", "add", receiver.url, "--action", "track.*", "--description", "for CI")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1].startswith("whsec_")
    tested = luml("webhooks", "test", receiver.url)
    assert (tested.returncode, tested.stdout.split(" in ")[0]) == (0, "webhook.test is delivered: 204")
    receiver.behaviours = [answer(500, b"no tea")]
    assert luml("webhooks", "test", receiver.url).returncode == 1
    failed = printed_json(luml("webhooks", "deliveries", receiver.url, "--state", "pending", "--json"))[0]
    assert failed["attempts"][0]["answer"] == "no tea"
    receiver.behaviours = [answer(200)]
    again = luml("webhooks", "redeliver", receiver.url, failed["id"])
    assert (again.returncode, again.stdout.split(" in ")[0]) == (0, "webhook.test is delivered: 200")
    assert "delivered" in luml("webhooks", "deliveries", receiver.url).stdout
    assert luml("webhooks", "rotate", receiver.url).stdout.startswith("whsec_")
    (listed,) = printed_json(luml("webhooks", "list", "--json"))
    assert (listed["url"], listed["actions"], "secret" in listed) == (receiver.url, ["track.*"], False)
    assert "track.*" in luml("webhooks", "list").stdout
    assert "There is no webhook 'https://x'" in refused(luml("webhooks", "remove", "https://x"))
    assert luml("webhooks", "remove", listed["id"]).returncode == 0
    assert "Add one with" in luml("webhooks", "list").stdout
    assert "begins with https://" in refused(luml("webhooks", "add", "ftp://example.org/"))


def test_organizations_that_do_not_fit(client: Client) -> None:
    assert client.organization("Wonderland").id == client.organization().id
    with pytest.raises(NotFound, match=r"'Nowhere'.*'Wonderland'"):
        client.organization("Nowhere")
