"""Requests made from our own OpenAPI: whatever is sent, the answer is one that the document promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from luml_app.core.operations import Operation
from luml_app.core.settings import Settings
from luml_app.web.house import House
from luml_app.web.openapi import document
from tests.api.cases import OPERATIONS
from tests.api.conftest import set_the_stage
from tests.api.stage import SATELLITE_TOKEN, Stage
from tests.cast import KEYS, load_cast
from tests.serving import RunningServer

if TYPE_CHECKING:
    from tests.postgres import Cluster

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
FEW, MANY = 4, 150
_ORDER = ["GET", "POST", "PATCH", "DELETE"]
IN_ORDER = sorted(OPERATIONS.values(), key=lambda one: (_ORDER.index(one.method), len(one.path_parameters) == 0))
"""What is deleted last was there for all the others; one's own account comes at the very end."""


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for all of them: what one request has spoilt is there for the next."""
    with cluster.database(cluster.template("the stage", set_the_stage)) as url:
        home = tmp_path_factory.mktemp("home")
        house = House.build(Settings(home=home, database_url=url, port=0, pool_size=5), KEYS)
        stage = Stage(house, load_cast(house.database))
        assert stage.ids
        yield stage
        house.close()


@pytest.fixture(scope="module")
def address(stage: Stage) -> Iterator[str]:
    running = RunningServer(stage.house, role="api")
    yield running.address
    running.stop()


@pytest.fixture(scope="module")
def schema() -> Any:
    return schemathesis.openapi.from_dict(_without_tuples(msgspec.json.decode(document())))


def _without_tuples(node: Any) -> Any:
    """schemathesis rewrites `prefixItems` to the form of older drafts, and then refuses it; ours are of one type."""
    if isinstance(node, list):
        return [_without_tuples(one) for one in node]
    if not isinstance(node, dict):
        return node
    if "prefixItems" in node:
        node = {**node, "items": node["prefixItems"][0]}
        del node["prefixItems"]
    return {key: _without_tuples(value) for key, value in node.items()}


def play(operation: Operation, stage: Stage, address: str, schema: Any, examples: int) -> None:
    """Send so many requests made from the operation's schema, half of them at objects that exist."""
    key = SATELLITE_TOKEN if operation.by == "satellite" else stage.cast.alice.api_key
    real = {name: str(stage.ids[name]) for name in operation.path_parameters if name in stage.ids}
    strategy = schema[operation.path][operation.method].as_strategy()

    @seed(5010)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def conforms(case: Any) -> None:
        case.path_parameters = {**(case.path_parameters or {}), **real}
        if case.query and "wait" in case.query:
            case.query["wait"] = 0  # a long poll would answer the same, later
        case.headers = {"Authorization": f"Bearer {key}"}
        response = case.call(base_url=address, timeout=30)
        case.validate_response(response, checks=CHECKS)

    conforms()


@pytest.mark.parametrize("name", [one.name for one in IN_ORDER])
def test_every_answer_is_one_that_the_document_promises(name: str, stage: Stage, address: str, schema: Any) -> None:
    play(OPERATIONS[name], stage, address, schema, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", [one.name for one in IN_ORDER])
def test_and_so_are_many_more(name: str, stage: Stage, address: str, schema: Any) -> None:
    play(OPERATIONS[name], stage, address, schema, MANY)
