"""The log on a deployment's page, with a gateway that really serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from satellite.daemon import gateway_settings
from satellite.gateway.supervisor import GatewaySupervisor
from satellite.logs.kept import LOGS, Kept, LogFolder, now
from satellite.settings import Settings, inherited_environment
from tests.cast import Place
from tests.dashboard.watching import Watched
from tests.serving import RunningServer
from tests.widgets.stage import Outpost, put_model

Say = Callable[..., None]


@pytest.fixture
def gateway(outpost: Outpost, server: RunningServer, tmp_path: Path) -> Iterator[GatewaySupervisor]:
    """The gateway of the outpost."""
    settings = Settings(server.address, outpost.key, tmp_path / "outpost", inherited=inherited_environment())
    settings.data.mkdir()
    made = GatewaySupervisor(gateway_settings(settings), dict(settings.inherited))
    made.start()
    able = {"deploy": {"version": 1, "supported_variants": ["pyfunc"]}}
    outpost.own.agent.pair(base_url=made.url, capabilities=able)
    yield made
    made.stop()


@pytest.fixture
def live(alices: Any, here: Place, collection: UUID, outpost: Outpost) -> UUID:
    """A deployment of the outpost."""
    forest = put_model(alices, here, collection, "forest")
    return outpost.deploy(forest, "churn-live", status="active", inference_url="http://127.0.0.1:9/compute").id


@pytest.fixture
def say(tmp_path: Path, live: UUID) -> Say:
    """Puts lines into the deployment's log."""
    folder = LogFolder(tmp_path / "outpost" / LOGS / str(live), 1_000_000)

    def write(*lines: str, stream: Any = "stdout") -> None:
        folder.append([Kept(now(), stream, "1", 0, line) for line in lines])

    return write


@pytest.fixture
def page(visit: Any, login_link: str, server: RunningServer, here: Place, live: UUID) -> Watched:
    visit(login_link).sees_title("Garden")
    return visit(f"{server.address}/app/o/{here.orbit_id}/deployments/{live}")


def test_lines_come_by_themselves_and_can_be_searched_and_held(
    gateway: GatewaySupervisor, say: Say, page: Watched
) -> None:
    say(*(f"line {number}" for number in range(500)), "<b>not bold</b>")
    log = page.page.locator(".log")
    page.sees("<b>not bold</b>", within=".log")
    assert log.locator(".entry").count() == 300  # bounded
    assert log.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight") < 9
    say("Ready.", stream="satellite")
    page.sees("Ready.", within=".log .satellite")

    page.page.get_by_placeholder("Search the log").fill("LINE 49")
    log.locator(".entry", has_text="Ready.").wait_for(state="detached")
    assert log.locator(".entry").count() == 10
    page.page.get_by_placeholder("Search the log").fill("")
    page.sees("Ready.", within=".log")

    page.page.get_by_role("button", name="Pause").click()
    page.page.get_by_role("button", name="Follow").wait_for()
    say("while it was held")
    page.page.get_by_role("button", name="Follow").click()
    page.sees("while it was held", within=".log")

    page.page.get_by_label("Switch to dark").click()
    page.page.locator(".luml.dark .log").wait_for()
    colours = log.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    dark, bright = (sum(int(part) for part in colour[4:-1].split(",")) for colour in colours)
    assert dark < 200 < bright


def test_a_satellite_out_of_reach_is_said_so(say: Say, page: Watched) -> None:
    page.sees("The log cannot be read.")
    page.sees("SATELLITE_BASE_URL")
