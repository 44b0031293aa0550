"""How a new server gets its first account: from its settings, or by `luml users add`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from luml_app.core import tables as t
from luml_app.core.db import Database
from tests.serving import until

PASSWORD = "off with their heads"
ALICE = {"LUML_ADMIN_EMAIL": "Alice@example.org", "LUML_ADMIN_PASSWORD": PASSWORD}


@pytest.fixture
def environment(empty_database_url: str, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LUML_")}
    return {**kept, "LUML_DATABASE_URL": empty_database_url, "LUML_HOME": str(tmp_path / "home"), "LUML_PORT": "0"}


def users_add(environment: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "luml_app.cli", "users", "add", *arguments]
    done = subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[Any]:
    """A server in a process of its own; gives a function that reads its address."""
    with log.open("w") as out:
        command = [sys.executable, "-m", "luml_app.cli", "serve", "--role", "api"]
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield lambda: until(lambda: re.search(r"http://\S+", log.read_text()), f"it serves: {log}", 60).group()
        finally:
            process.terminate()
            process.wait(30)


def sign_in(address: str, email: str, password: str) -> int:
    return httpx.post(f"{address}/v1/auth/signin", json={"email": email, "password": password}).status_code


def counted(url: str) -> list[int]:
    database = Database(url)
    try:
        with database.read() as db:
            return [db.scalar(select(func.count()).select_from(table)) for table in (t.users, t.organizations)]
    finally:
        database.close()


def test_two_servers_that_start_at_once_make_one_account(
    environment: dict[str, str], empty_database_url: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        logs = [tmp_path / f"{number}.log" for number in range(2)]
        started = [stack.enter_context(serving(environment | ALICE, log)) for log in logs]
        for address in (where() for where in started):
            until(lambda address=address: sign_in(address, "alice@example.org", PASSWORD) == 200, "she can sign in")
    assert counted(empty_database_url) == [1, 1]
    assert not any(PASSWORD in log.read_text() for log in logs)


def test_a_server_without_accounts_says_what_to_do(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with serving(environment, log) as where:
        address = where()
        until(lambda: "luml users add" in log.read_text(), "it says what to do")
        assert users_add(environment, "Dodo@example.org", stdin=f"{PASSWORD}\n").returncode == 0
        assert sign_in(address, "dodo@example.org", PASSWORD) == 200
    with serving(environment, log) as where:
        where()
    assert "luml users add" not in log.read_text()


def test_what_is_there_stays(environment: dict[str, str], empty_database_url: str, tmp_path: Path) -> None:
    first = users_add(environment, "dodo@example.org", "--generate-password")
    assert (first.returncode, counted(empty_database_url)) == (0, [1, 1])
    chosen = first.stdout.rsplit(" ", 1)[1].strip()
    again = users_add(environment, "DODO@example.org", stdin=PASSWORD)
    assert (again.returncode, "already" in again.stdout, counted(empty_database_url)) == (0, True, [1, 1])
    assert users_add(environment, "lory@example.org", stdin=PASSWORD).returncode == 0
    with serving(environment | ALICE, tmp_path / "log") as where:
        address = where()
        assert [sign_in(address, "dodo@example.org", one) for one in (chosen, PASSWORD)] == [200, 401]
    assert counted(empty_database_url) == [2, 2], "there were accounts already"


def test_what_cannot_be_an_account(environment: dict[str, str], empty_database_url: str) -> None:
    for arguments, stdin, said in (
        (("nobody",), PASSWORD, "EMAIL cannot be used"),
        (("dodo@example.org",), "short", "The password cannot be used"),
        (("dodo@example.org",), "", "--generate-password"),
    ):
        done = users_add(environment, *arguments, stdin=stdin)
        assert done.returncode != 0
        assert said in done.stderr
    assert counted(empty_database_url) == [0, 0]
