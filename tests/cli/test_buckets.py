"""`luml buckets …`, as a person types it."""

from __future__ import annotations

import pytest

from tests.buckets import CREDENTIALS, Service
from tests.cli.test_commands import Luml, config, luml, printed_json, refused

__all__ = ["config", "luml"]


@pytest.fixture
def secret(elsewhere: Service) -> str:
    """What a person types in when they are asked, and nobody may see on a screen again."""
    return str(elsewhere.body.get("secret_key", elsewhere.body["endpoint"]))


@pytest.fixture
def arguments(elsewhere: Service) -> list[str]:
    body = elsewhere.body
    if body["type"] == "azure":
        return [body["bucket_name"], "--type", "azure"]
    return [body["bucket_name"], "--endpoint", body["endpoint"], "--access-key", body["access_key"]]


def test_add_look_and_remove(luml: Luml, elsewhere: Service, arguments: list[str], secret: str) -> None:
    name = elsewhere.body["bucket_name"]
    added = luml("buckets", "add", *arguments, stdin=f"{secret}\n")
    assert added.returncode == 0, added.stdout + added.stderr
    listed = luml("buckets", "list")
    probed = luml("buckets", "probe", name)
    assert name in listed.stdout and "built-in" in listed.stdout
    assert probed.returncode == 0
    assert [line.split()[:2] for line in probed.stdout.splitlines()][:5] == [
        ["ok", step] for step in ("write", "read", "range", "multipart", "delete")
    ]
    removed = luml("buckets", "remove", name)
    assert "what is in it stays" in removed.stdout
    assert name not in luml("buckets", "list").stdout
    assert secret not in "".join(done.stdout + done.stderr for done in (added, listed, probed, removed))


def test_a_bucket_that_does_not_work(luml: Luml, rclone: Service) -> None:
    body = rclone.body
    known = ["--endpoint", body["endpoint"], "--access-key", CREDENTIALS["access_key"]]
    added = luml("buckets", "add", body["bucket_name"], *known, stdin="wrong\n")
    assert added.returncode == 1
    assert "fails  write" in added.stdout and added.stderr == ""
    report = luml("buckets", "probe", body["bucket_name"], "--json")
    assert report.returncode == 1
    assert '"ok": false' in report.stdout


def test_cors_advice_is_printed(luml: Luml, rclone: Service) -> None:
    body = rclone.body
    known = ["--endpoint", body["endpoint"], "--access-key", body["access_key"], "--no-probe"]
    assert luml("buckets", "add", body["bucket_name"], *known, stdin=body["secret_key"]).returncode == 0
    said = luml("buckets", "probe", body["bucket_name"]).stdout
    assert "AllowedOrigins" in said and "<AllowedOrigin>http://127.0.0.1:" in said


def test_calls_that_make_no_sense(luml: Luml) -> None:
    assert "--endpoint" in refused(luml("buckets", "add", "x"), code=2)
    assert "nothing on standard input" in refused(luml("buckets", "add", "x", "--type", "azure"), code=2)
    assert "luml (" in refused(luml("buckets", "probe", "nowhere"), code=2)
    assert "Wonderland" in refused(luml("buckets", "list", "--organization", "Factory"), code=1)
    assert "private" not in refused(luml("buckets", "add", "x", "--endpoint", "ftp://host"), code=1)
    assert len(printed_json(luml("buckets", "list", "--json"))) == 1
