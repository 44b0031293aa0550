"""What benchmarks stand on: a database with few artifacts and one with many, and a server on each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.crowd import fill
from tests.benchmarks.measuring import Platform

if TYPE_CHECKING:
    from tests.postgres import Cluster

FEW, MANY = 1_000, 100_000


@pytest.fixture(scope="session")
def crowded(cluster: Cluster) -> Callable[[int], str]:
    """The name of a template with so many artifacts in Alice's orbit, made once per run: ``crowded(MANY)``."""
    return lambda size: cluster.template(f"a crowd of {size}", partial(fill, size=size))


@pytest.fixture(scope="module")
def start_platform(
    cluster: Cluster, crowded: Callable[[int], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[int], Platform]]:
    """Starts a server on a database of its own with so many artifacts: ``start_platform(MANY)``."""
    started: list[Platform] = []
    urls: list[str] = []

    def start(size: int) -> Platform:
        urls.append(cluster.create_database(crowded(size)))
        started.append(Platform(urls[-1], tmp_path_factory.mktemp("home")))
        return started[-1]

    yield start
    for platform in started:
        platform.close()
    for url in urls:
        cluster.drop_database(url)


@pytest.fixture(scope="module")
def few(start_platform: Callable[[int], Platform]) -> Platform:
    """A server of an orbit with 1,000 artifacts."""
    return start_platform(FEW)


@pytest.fixture(scope="module")
def many(start_platform: Callable[[int], Platform]) -> Platform:
    """A server of an orbit with 100,000 artifacts."""
    return start_platform(MANY)
