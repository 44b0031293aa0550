"""Ten rollouts one after the other, while fifty requests a second come in: none fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.house import installed
from tests.satellite.contract_server import until
from tests.satellite.engine import need_engine
from tests.satellite.load import load

BODY = {"inputs": {"x": [1.0, 2.0]}}
ROLLOUTS = 10

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("runtime", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_of_ten_rollouts_none_fails_a_request(tmp_path: Path, runtime: str) -> None:
    with installed(tmp_path, runtime, need_engine() if runtime == "docker" else "") as house:
        models = [house.model(name) for name in ("first", "second")]
        handle = models[0].deploy(name="live").wait(120)
        with load(handle.url, house.cast.alice.api_key, BODY) as calls:
            until(lambda: calls.count() > 20, 30, "the first answers")
            for number in range(1, ROLLOUTS + 1):
                seen = calls.seen()
                handle.update(models[number % 2]).wait(120)
                until(lambda seen=seen: len(calls.since(seen)) > 1, 30, "the answers of the new revision")
        assert calls.failures == []
        assert handle.reload().data.revision.number == ROLLOUTS + 1
        assert handle.data.rollout is None
