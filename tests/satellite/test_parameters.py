"""What a satellite says of its parameters, and what it makes of those it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from luml_app.resources.parameters import ModelTraits, check_parameters
from luml_app.schemas.errors import Invalid
from satellite.capabilities import capabilities
from satellite.machine import Machine, count_gpus, this_machine
from satellite.parameters import BadParameter, Parameter, Serving, read, table
from satellite.settings import MIB, Settings

SETTINGS = Settings("http://127.0.0.1:1", "dfssat_x", Path("/nowhere"))
ROWS = table(SETTINGS, Machine(memory=4096 * MIB, cpus=4, gpus=0))
WITH_GPUS = table(SETTINGS, Machine(memory=4096 * MIB, cpus=4, gpus=2))
WRONG = [
    ("replicas", 0, "at least 1"),
    ("replicas", "two", "whole number"),
    ("replicas", "1.5", "whole number"),
    ("replicas", True, "whole number"),
    ("memory_mib", 5000, "at most 4096: the satellite's machine has no more"),
    ("cpus", "4.5", "at most 4"),
    ("gpus", 1, "no GPU that models could use"),
    ("request_seconds", "nan", "number"),
    ("idle_seconds", -1, "at least 0"),
]


def serving(**given: Any) -> Serving:
    return read(ROWS, given, pids=100)


def test_without_parameters_the_operators_settings_count() -> None:
    made = serving()
    assert (made.replicas, made.workers, made.limits) == (1, 1, type(made.limits)(2048 * MIB, 2.0, 100, 0))
    assert (made.concurrency, made.queue, made.request_seconds) == (16, 64, 60.0)


def test_parameters_win_and_fractions_come_as_text() -> None:
    made = serving(cpus="0.5", memory_mib=512, workers=2, replicas="3", request_seconds=5, else_unknown="x")
    assert (made.limits.cpus, made.limits.memory, made.limits.pids) == (0.5, 512 * MIB, 200)
    assert (made.replicas, made.request_seconds) == (3, 5.0)


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_what_does_not_fit_is_refused_by_name(name: str, value: Any, said: str) -> None:
    with pytest.raises(BadParameter, match=f"{name} is .*{said}"):
        serving(**{name: value})


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_the_server_refuses_the_same_from_the_form(name: str, value: Any, said: str) -> None:
    able = capabilities("process", "as was asked for", ROWS)["deploy"]
    with pytest.raises(Invalid, match=rf"satellite_parameters\.{name}: .*{said}"):
        check_parameters(able, {name: value}, ModelTraits())
    check_parameters(able, {"cpus": "0.5", "replicas": 2}, ModelTraits())


def test_gpus_are_offered_where_there_are_some() -> None:
    assert read(WITH_GPUS, {"gpus": 2}, 1).limits.gpus == 2
    with pytest.raises(BadParameter, match="at most 2: this satellite has no more"):
        read(WITH_GPUS, {"gpus": 3}, 1)


def test_gpus_are_counted_as_the_driver_lists_them(tmp_path: Path) -> None:
    for address in ("0000:00:04.0", "0000:00:05.0"):
        (tmp_path / address).mkdir()
    assert count_gpus(tmp_path) == 2
    assert count_gpus(tmp_path / "none") == 0


def test_the_machine_has_something_to_give() -> None:
    assert this_machine().memory > 64 * MIB
    assert this_machine().cpus >= 1


def test_the_form_has_the_contracts_keys() -> None:
    for row in ROWS:
        field = row.form()
        assert field.keys() >= {"name", "type", "values", "required", "validators", "conditions"}
        assert (field["type"], field["values"], field["required"], field["conditions"]) == ("number", None, False, [])
        assert all(rule.keys() == {"type", "value", "message"} for rule in field["validators"])


def test_every_parameter_is_explained() -> None:
    page = Path("luml_app/docs/satellites.md").read_text()
    assert not [row.name for row in ROWS if f"| `{row.name}` |" not in page]
    assert all(isinstance(row, Parameter) and row.meaning.endswith(".") for row in ROWS)
