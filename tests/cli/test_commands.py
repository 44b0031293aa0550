"""The commands as a person types them: each in a process of its own, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luml_app.cli import COMMANDS
from luml_app.client.settings import save_connection
from tests.cast import PASSWORD, Person
from tests.client.conftest import sha256
from tests.satellite.models import array, write_model
from tests.serving import RunningServer

Luml = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def config(server: RunningServer, alice: Person, tmp_path: Path) -> Path:
    """Alice's config file."""
    return save_connection(server.address, alice.api_key, tmp_path / "config.toml")


@pytest.fixture
def luml(config: Path, tmp_path: Path) -> Luml:
    """Runs `luml` with Alice's config file in an empty folder; a traceback is never what a person should see."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LUML_")}
        done = subprocess.run(
            [sys.executable, "-m", "luml_app.cli", *arguments], cwd=folder, input=stdin, capture_output=True, text=True,
            env={**kept, "LUML_CONFIG_FILE": str(config), "LUML_HOME": str(tmp_path / "home"), **variables},
            check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def refused(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The one sentence of a command that has failed."""
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert code == 2 or len(lines) == 1, done.stderr
    return lines[-1]


def printed_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Help


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    from click.testing import CliRunner

    from luml_app.cli import luml as group

    shown = CliRunner().invoke(group, [command, "--help"])
    assert shown.exit_code == 0
    summary = COMMANDS[command][1].rstrip(".").partition(":")[0].partition(",")[0]
    assert summary.split()[0] in shown.output
    assert summary in CliRunner().invoke(group, ["--help"]).output


def test_what_is_no_command(luml: Luml) -> None:
    assert "No such command 'push'" in refused(luml("push"), code=2)
    assert luml("--version").stdout.startswith("luml, version ")


# Artifacts


def test_nothing_is_there_yet(luml: Luml) -> None:
    assert "luml artifacts push" in luml("artifacts", "list").stdout
    assert printed_json(luml("artifacts", "list", "--json")) == []


def test_push_list_show_pull(luml: Luml, make_file: Callable[..., Path], tmp_path: Path) -> None:
    path = make_file(name="bank.tar")
    pushed = printed_json(luml("artifacts", "push", str(path), "--tag", "a", "--tag", "b", "--json"))
    assert (pushed["name"], pushed["type"], pushed["tags"]) == ("bank", "dataset", ["a", "b"])
    assert luml("artifacts", "push", str(path), "--name", "other").stdout.startswith("Stored dataset other as ")
    names = [one["name"] for one in printed_json(luml("artifacts", "list", "--json", "--sort", "name", "--ascending"))]
    assert names == ["bank", "other"]
    table = luml("artifacts", "list", "--limit", "1").stdout.splitlines()
    assert len(table) == 2 and table[0].startswith("NAME") and table[1].startswith("other")
    assert printed_json(luml("artifacts", "list", "--type", "model", "--json")) == []
    shown = luml("artifacts", "show", "bank").stdout
    assert sha256(path) in shown and "bank.tar" in shown and pushed["id"] in shown
    assert printed_json(luml("artifacts", "show", pushed["id"], "--json"))["file_hash"] == sha256(path)
    pulled = luml("artifacts", "pull", "bank", f"{tmp_path}/new/folder/")
    assert pulled.stdout.strip() == f"{tmp_path}/new/folder/bank.tar"
    assert sha256(tmp_path / "new" / "folder" / "bank.tar") == sha256(path)
    assert luml("artifacts", "pull", "bank").returncode == 0
    assert sha256(tmp_path / "work" / "bank.tar") == sha256(path)


def test_a_filter_finds_or_shows_its_fault(luml: Luml, make_file: Callable[..., Path]) -> None:
    for name, tag in (("one", "a"), ("two", "b")):
        luml("artifacts", "push", str(make_file(name="bank.tar")), "--name", name, "--tag", tag)

    def found(*options: str) -> list[str]:
        return [one["name"] for one in printed_json(luml("artifacts", "list", "--json", *options))]

    assert found("--filter", 'tags contains "a" or name = "two"', "--sort", "name", "--ascending") == ["one", "two"]
    assert found("--filter", 'not tags contains "a"') == ["two"]
    assert found("--tag", "a", "--status", "uploaded") == ["one"]
    assert found("--search", "w") == ["two"]
    faulty = luml("artifacts", "list", "--filter", 'tags contains "a" and auc > 1')
    assert faulty.returncode == 1
    *_, shown, caret = faulty.stderr.splitlines()
    assert shown[caret.index("^") :] == "auc > 1"


def test_what_cannot_be_pushed_or_pulled(luml: Luml, make_file: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("no tar")
    pushed = refused(luml("artifacts", "push", str(tmp_path / "x.tar")))
    assert "Not an uncompressed tar" in pushed and str(tmp_path / "x.tar") in pushed
    assert "does not exist" in refused(luml("artifacts", "push", "missing.luml"), code=2)
    assert "'nothing'" in refused(luml("artifacts", "pull", "nothing"))
    assert "'nowhere'" in refused(luml("artifacts", "list", "--orbit", "nowhere"))
    luml("artifacts", "push", str(make_file(name="bank.tar")))
    blocked = refused(luml("artifacts", "pull", "bank", str(tmp_path / "x.tar" / "below")))
    assert "x.tar" in blocked
    assert "--limit" in refused(luml("artifacts", "list", "--limit", "-1"), code=2)


def test_names_cannot_command_the_terminal(luml: Luml, make_file: Callable[..., Path]) -> None:
    luml("artifacts", "push", str(make_file()), "--name", "red\x1b[31m\x07")
    for done in (
        luml("artifacts", "list"),
        luml("artifacts", "show", "red\x1b[31m\x07"),
        luml("artifacts", "pull", "?"),
    ):
        assert "red" in done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr and "\x07" not in done.stdout + done.stderr


# Deploying and predicting


def test_deploy_and_predict(luml: Luml, start_satellite: Callable[..., Any], tmp_path: Path) -> None:
    start_satellite()
    inputs = [array("x"), array("code", "string")]
    expression = "{'y': inputs['x'] * 2, 'n': [len(str(c)) for c in inputs['code']]}"
    example = {"id": "e", "producer": "t", "producer_version": "1", "producer_tags": ["luml.ai::input_example:v1"],
               "payload": {"inputs": {"x": [4.0], "code": ["q"]}}}  # fmt: skip
    model = write_model(
        tmp_path / "double.luml", expression, inputs=inputs, outputs=[array("y"), array("n", "int64")],
        members={"meta.json": json.dumps([example])},
    )  # fmt: skip
    assert luml("artifacts", "push", str(model)).returncode == 0
    assert "double is active at http" in luml("deploy", "double").stdout

    csv = tmp_path / "in.csv"
    csv.write_text('\ufeffx,code\n1,007\n2.5,"a\nb"\n')
    assert printed_json(luml("predict", "double", str(csv))) == {"y": [2.0, 5.0], "n": [3, 3]}
    wanted = '{"inputs": {"x": [3], "code": ["abc"]}}'
    assert printed_json(luml("predict", "double", "-", stdin=wanted))["y"] == [6.0]
    assert printed_json(luml("predict", "double", "--example"))["y"] == [8.0]
    assert "nothing" in refused(luml("predict", "nothing", "--example"))
    assert "x" in refused(luml("predict", "double", "-", stdin='{"code": ["a"]}'))
    assert printed_json(luml("deploy", "double", "--name", "second", "--no-wait", "--json"))["name"] == "second"


def test_deploying_where_nothing_can_run(luml: Luml, make_file: Callable[..., Path], tmp_path: Path) -> None:
    luml("artifacts", "push", str(write_model(tmp_path / "double.luml")))
    assert "No satellite has been started" in refused(luml("deploy", "double"))
    assert "'nope'" in refused(luml("deploy", "nope"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("x,y\n", "no rows"),
        ("x,y\n1\n", "Row 2"),
        ("x,x\n1,2\n", "same name"),
        ("{", "not JSON"),
        ("[1]", "object of inputs"),
        ('{"inputs": [1]}', None),
    ],
)
def test_inputs_that_are_none(text: str, said: str | None) -> None:
    import click

    from luml_app.cli.inputs import from_csv, from_json

    read: Callable[[str], Any] = from_json if text.startswith(("{", "[")) else from_csv
    if said is None:
        assert read(text) == ({"inputs": [1]}, {})  # an input may be called "inputs"
    else:
        with pytest.raises(click.UsageError, match=said):
            read(text)


def test_columns_have_the_type_that_all_their_cells_have() -> None:
    from luml_app.cli.inputs import from_csv

    text = "whole,number,truth,code,mixed,empty\n1,1,true,007,1,\n-2,2.5,False,1_0,x,\n,,,,,\n"
    assert from_csv(text) == {
        "whole": [1, -2, None], "number": [1.0, 2.5, None], "truth": [True, False, None],
        "code": ["007", "1_0", None], "mixed": ["1", "x", None], "empty": [None, None, None],
    }  # fmt: skip


# Accounts


def test_login_replaces_a_key_that_no_longer_works(luml: Luml, server: RunningServer, config: Path) -> None:
    save_connection(server.address, "dfs_no_longer_good", config)
    assert "auth.me" in refused(luml("whoami"))
    for _ in range(2):  # the second time there is a key of this name
        done = luml("login", "--email", "alice@example.org", "--password", PASSWORD)
        assert done.returncode == 0, done.stderr
    assert config.stat().st_mode & 0o777 == 0o600
    assert printed_json(luml("whoami", "--json"))["user"]["email"] == "alice@example.org"
    assert "owner of Wonderland" in luml("whoami").stdout


def test_a_login_that_fails_changes_nothing(luml: Luml, config: Path) -> None:
    before = config.read_text()
    refused(luml("login", "--email", "alice@example.org", "--password", "not hers"))
    refused(luml("login", "--email", "nobody", "--password", "x"))
    assert luml("login", stdin="").returncode == 130
    assert config.read_text() == before


def test_the_key_of_one_server_is_not_shown_to_another(luml: Luml, server: RunningServer) -> None:
    elsewhere = f"http://localhost:{server.port}"
    assert "no API key for http://localhost" in refused(luml("whoami", LUML_ADDRESS=elsewhere))


def test_nothing_answers(luml: Luml) -> None:
    assert "Nothing answers at http://127.0.0.1:9" in refused(luml("whoami", LUML_ADDRESS="http://127.0.0.1:9"))
    assert "LUML_ADDRESS" in refused(luml("whoami", LUML_ADDRESS="127.0.0.1:9"))


# The server's commands


def test_migrate_and_serve_need_a_database(luml: Luml) -> None:
    for command in ("migrate", "serve"):
        assert "LUML_DATABASE_URL" in refused(luml(command))
        assert "LUML_DATABASE_URL" in refused(luml(command, LUML_DATABASE_URL="mysql://x/y"))


def test_migrate_twice(luml: Luml, cluster: Any) -> None:
    with cluster.database() as url:
        for _ in range(2):
            assert luml("migrate", LUML_DATABASE_URL=url).stdout == "The database is up to date.\n"


def test_serve_says_that_its_port_is_taken(luml: Luml, server: RunningServer, database_url: str) -> None:
    taken = refused(luml("serve", "--role", "api", "--port", str(server.port), LUML_DATABASE_URL=database_url))
    assert f"127.0.0.1:{server.port}" in taken


def test_a_satellite_without_a_key(luml: Luml, server: RunningServer) -> None:
    assert "SATELLITE_TOKEN" in refused(luml("satellite", "run", LUML_ADDRESS=server.address))


def test_the_verbs_of_a_satellite_find_it_by_its_folder(luml: Luml, server: RunningServer, tmp_path: Path) -> None:
    here = {"SATELLITE_DATA": str(tmp_path / "none"), "SATELLITE_RUNTIME": "process"}
    assert luml("satellite", "status", **here).returncode == 3
    assert "No satellite is running" in refused(luml("satellite", "stop", **here), 3)
    assert "There is no satellite's data" in refused(luml("satellite", "drain", **here), 3)
    sick = luml("satellite", "doctor", "--json", LUML_ADDRESS=server.address, SATELLITE_TOKEN="dfssat_no", **here)
    found = {one["what"]: one["state"] for one in json.loads(sick.stdout)}
    assert (sick.returncode, found["platform"], found["clock"], found["key"]) == (1, "ok", "ok", "fail")


def test_doctor(luml: Luml, config: Path) -> None:
    found = {one["what"]: one for one in printed_json(luml("doctor", "--json"))}
    assert found["python"]["good"] and found["connection"]["good"] and "alice@example.org" in luml("doctor").stdout
    config.write_text("broken = ")
    sick = luml("doctor")
    assert sick.returncode == 0 and "config.toml" in sick.stdout
    wrong = luml("doctor", LUML_PORT="x")
    assert wrong.returncode == 1 and "LUML_PORT" in wrong.stdout
