"""The documentation is complete and true: what is not documented is red."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click import Group

from luml_app.cli import COMMANDS, luml
from luml_app.client.settings import find_connection, progress_wanted
from luml_app.core.settings import PREFIX, Settings
from luml_app.resources import all_operations
from luml_app.schemas.errors import errors_by_code
from luml_app.tracking.settings import is_offline, runs_folder
from luml_app.web.docs import FOLDER, PAGES, anchor_of, html
from luml_app.web.errors import status_of
from luml_app.web.reference import generated
from satellite.settings import from_environment

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
OUTSIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def text_of(page: str) -> str:
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


class Links(HTMLParser):
    """The addresses that a page points to, and the anchors that it has."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.targets += [given[name] or "" for name in ("href", "src") if name in given]
        self.anchors |= {given["id"] or ""} if "id" in given else set()


class Recorder(Mapping[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self, **values: str) -> None:
        self.values_ = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def test_every_file_is_a_page_and_every_page_has_a_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_the_first_page_leads_to_every_other(page: str) -> None:
    assert page == "index" or f"({page}.md)" in text_of("index")


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_lead_somewhere(page: str) -> None:
    anchors = {f"/docs/{name}" if name != "index" else "/docs/": Links(html(name)).anchors for name in PAGES}
    here = "/docs/" if page == "index" else f"/docs/{page}"
    for target in Links(html(page)).targets:
        path, _, anchor = target.partition("#")
        if path.startswith(("https://", "data:", "/docs/images/")) or path in {"/docs/api", "/app", "/docs/docs.css"}:
            assert not path.startswith("/docs/images/") or (FOLDER / path.removeprefix("/docs/")).exists()
            continue
        assert (path or here) in anchors, f"{page} links to {target}, which is no page"
        assert not anchor or anchor in anchors[path or here], f"{page} links to {target}, which has no such heading"


@pytest.mark.parametrize("page", PAGES)
def test_headings_have_anchors_of_their_own(page: str) -> None:
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    anchors = [anchor_of(title) for title in titles]
    assert len(anchors) == len(set(anchors))


@pytest.mark.parametrize("name", OUTSIDE)
def test_links_between_files_of_the_repository_lead_somewhere(name: str) -> None:
    text = FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), f"{name} links to {target}"


@pytest.mark.parametrize("path", [*OUTSIDE, *(f"luml_app/docs/{page}.md" for page in PAGES)])
def test_python_examples_compile(path: str) -> None:
    for indent, language, code in FENCE.findall((ROOT / path).read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(re.sub(f"^{indent}", "", code, flags=re.MULTILINE), filename=path)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_comes_from_another_host(page: str) -> None:
    markup = re.sub(r'<a href="https://[^"]*"', "", html(page))
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', markup)


def test_every_setting_of_the_server_is_documented() -> None:
    page = text_of("operations")
    missing = [name for name in Settings.__dataclass_fields__ if f"`{PREFIX}{name.upper()}`" not in page]
    assert not missing


def test_documented_defaults_of_numbers_are_the_defaults() -> None:
    page = text_of("operations")
    for name, field in Settings.__dataclass_fields__.items():
        if isinstance(field.default, int):
            assert f"| `{PREFIX}{name.upper()}` | `{field.default}` |" in page, name


def test_every_setting_of_a_satellite_is_documented() -> None:
    environment = Recorder(LUML_ADDRESS="http://localhost", SATELLITE_TOKEN="dfssat_x")
    from_environment(environment)
    missing = [name for name in environment.asked if f"`{name}`" not in text_of("satellites")]
    assert not missing


def test_every_setting_of_a_client_is_documented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = Recorder(LUML_CONFIG_FILE=str(tmp_path / "none.toml"))
    find_connection(environment=environment)
    missing = [name for name in environment.asked if f"`{name}`" not in text_of("operations")]
    assert not missing
    monkeypatch.setenv("LUML_NO_PROGRESS", "1")
    assert not progress_wanted()
    assert "`LUML_NO_PROGRESS`" in text_of("operations")
    environment = Recorder()
    runs_folder(environment), is_offline(environment)
    assert not [name for name in environment.asked if f"`{name}`" not in text_of("operations")]


def test_no_setting_is_documented_that_does_not_exist() -> None:
    environment = Recorder(LUML_ADDRESS="http://localhost", SATELLITE_TOKEN="dfssat_x")
    from_environment(environment)
    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__} | environment.asked
    known |= {
        "LUML_API_KEY",
        "LUML_NO_PROGRESS",
        "LUML_RUNS_FOLDER",
        "LUML_OFFLINE",
        "LUML_CACHE_FOLDER",
        "LUML_CACHE_GIB",
    }
    for page in ("operations", "satellites"):
        assert set(re.findall(r"^\| `([A-Z_]+)`", text_of(page), re.MULTILINE)) <= known


def test_every_command_is_documented() -> None:
    page, commands = text_of("cli"), []
    for name in COMMANDS:
        command = luml.get_command(None, name)  # type: ignore[arg-type]  # the table needs no context
        commands += (
            [f"luml {name} {sub}" for sub in command.commands] if isinstance(command, Group) else [f"luml {name}"]
        )
    assert not [command for command in commands if f"`{command}" not in page]


def test_every_status_and_code_of_an_error_is_documented() -> None:
    page = text_of("rest")
    for code, error in errors_by_code().items():
        status = status_of(error())
        if status != 500:
            row = next((line for line in page.splitlines() if line.startswith(f"| {status} |")), "")
            assert f"`{code}`" in row, f"{status} {code}"


def test_the_reference_lists_every_operation_and_is_fresh() -> None:
    page = text_of("reference")
    for name, operation in all_operations().items():
        assert f"### {name}\n\n`{operation.method} {operation.path}`\n" in page
    assert page == generated(), "run `python -m luml_app.web.reference`"


def test_every_route_in_the_text_exists() -> None:
    known = {route for one in all_operations().values() for route in (one.path, *one.aliases)}
    for page in ("rest", "python", "satellites", "operations"):
        for path in re.findall(r"`(?:GET|POST|PATCH|DELETE|PUT) (/[^`?]*)", text_of(page)):
            assert path in known, f"{page} speaks of {path}"
