"""What every test may stand on: a migrated database of its own, the cast, a house, a server, and the three transports.

The cast is in `tests/cast.py`, the PostgreSQL in `tests/postgres.py`, running servers in `tests/serving.py`,
the browser in `tests/browser.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from luml_app.client.http import Client
from luml_app.core.db import Database
from luml_app.core.migrating import migrate
from luml_app.core.settings import Settings
from luml_app.web.house import House
from tests.cast import KEYS, Cast, Person, load_cast, populate
from tests.serving import RunningServer, SynchronousClient

if TYPE_CHECKING:
    from tests.postgres import Cluster

pytest_plugins = ["tests.postgres", "tests.buckets", "tests.browser"]

TRANSPORTS = ("local", "http", "asyncio")
DOES_NOT_APPLY = ("does not apply", "is about", "is the other tests' case", "only Linux", "signs HEAD apart")
"""What the reason of a skip says when no missing part is the cause; such a skip is right everywhere."""


def pytest_configure() -> None:
    """Give ignored signals their meaning back: `nohup` and background shells ignore some, and children inherit it."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """With ``LUML_TEST_NO_SKIP=1``, as in CI, a test that skips because a part is missing has failed."""
    report = yield
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not expected_failure and os.environ.get("LUML_TEST_NO_SKIP") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(words in reason for words in DOES_NOT_APPLY):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: nothing may skip here, but this did. {reason}"
    return report


def _migrate(url: str) -> None:
    database = Database(url)
    try:
        migrate(database)
    finally:
        database.close()


def _migrate_and_populate(url: str) -> None:
    _migrate(url)
    populate(url)


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a test downloads is in no cache but its own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LUML_CACHE_FOLDER", str(folder))
    return folder


@pytest.fixture(scope="session")
def migrated(cluster: Cluster) -> str:
    """The name of the template that holds the tables and nothing else."""
    return cluster.template("migrated", _migrate)


@pytest.fixture(scope="session")
def populated(cluster: Cluster) -> str:
    """The name of the template with the cast: people, organizations, an orbit."""
    return cluster.template("the cast", _migrate_and_populate)


@pytest.fixture
def empty_database_url(cluster: Cluster, migrated: str) -> Iterator[str]:
    """The address of a migrated database without a row."""
    with cluster.database(migrated) as url:
        yield url


@pytest.fixture
def database_url(cluster: Cluster, populated: str) -> Iterator[str]:
    """The address of a database of the test's own, in which the cast lives."""
    with cluster.database(populated) as url:
        yield url


@pytest.fixture
def build_house(database_url: str, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Builds houses on the test's database; arguments are settings."""
    houses: list[House] = []

    def build(**changes: Any) -> House:
        settings = {
            "home": tmp_path / "home",
            "database_url": database_url,
            "port": 0,
            "pool_size": 5,
            "signup": "open",
        }
        houses.append(House.build(Settings(**(settings | changes)), KEYS))
        return houses[-1]

    yield build
    for house in houses:
        house.close()


@pytest.fixture
def house(build_house: Callable[..., House]) -> House:
    """A house on the test's own database and home."""
    return build_house()


@pytest.fixture
def start_server() -> Iterator[Callable[..., RunningServer]]:
    """Starts servers on free ports, each with a loop and thread of its own, and stops them at the end."""
    running: list[RunningServer] = []

    def start(house: House, **options: Any) -> RunningServer:
        running.append(RunningServer(house, **options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def server(house: House, start_server: Callable[..., RunningServer]) -> RunningServer:
    """A real server of the house: REST, store and plain pages."""
    return start_server(house, role="api")


@pytest.fixture
def cast(house: House) -> Cast:
    """Everybody and everything that is in the database at the beginning of a test."""
    return load_cast(house.database)


@pytest.fixture
def alice(cast: Cast) -> Person:
    """Owns the organization."""
    return cast.alice


@pytest.fixture
def bob(cast: Cast) -> Person:
    """A member of Alice's organization and of its orbit."""
    return cast.bob


@pytest.fixture
def victor(cast: Cast) -> Person:
    """A member of the organization who may only look at the orbit."""
    return cast.victor


@pytest.fixture
def charlie(cast: Cast) -> Person:
    """A stranger, with an organization of his own."""
    return cast.charlie


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each of the ways to the same operations."""
    name: str = request.param
    return name


@pytest.fixture
def connect(house: House, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes the api of a person (or of a key) over a transport: ``connect(bob, "http")``."""
    opened: list[Any] = []

    def open_api(who: Person | str | None, transport: str = "local") -> Any:
        key = who.api_key if isinstance(who, Person) else who
        if transport == "local":
            from luml_app.core.scope import Credentials

            return house.api(Credentials(token=key))
        address = request.getfixturevalue("server").address
        opened.append((Client if transport == "http" else SynchronousClient)(address, key or "none"))
        return opened[-1]

    yield open_api
    for api in opened:
        api.close()


@pytest.fixture
def api(connect: Callable[..., Any], transport: str, alice: Person) -> Any:
    """Alice's api, over each transport in turn."""
    return connect(alice, transport)


@pytest.fixture
def alices(connect: Callable[..., Any], alice: Person) -> Any:
    """Alice's api, in process: for setting the stage where the transport does not matter."""
    return connect(alice)
