"""The dashboard's server, a real browser, and an orbit with something to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from luml_app.core.scope import Credentials
from luml_app.web.house import House
from tests.cast import Cast, Person, Place
from tests.dashboard.watching import Watched
from tests.serving import RunningServer
from tests.widgets.stage import Outpost, put_model


@pytest.fixture
def here(cast: Cast) -> Place:
    """Alice's orbit."""
    return cast.here


@pytest.fixture
def server(house: House, start_server: Callable[..., RunningServer]) -> RunningServer:
    """A real server of the house, with the dashboard."""
    pytest.importorskip("panel_material_ui", reason="the dashboard needs panel-material-ui")
    return start_server(house, role="all")


@pytest.fixture
def collection(alices: Any, here: Place, server: RunningServer) -> UUID:
    """A collection for anything."""
    found: UUID = alices.collections.create(*here.path, name="churn", type="mixed").id
    return found


@pytest.fixture
def outpost(alices: Any, here: Place, connect: Callable[..., Any]) -> Outpost:
    """A paired satellite."""
    return Outpost(alices, here, connect)


@pytest.fixture
def furnished(alices: Any, here: Place, collection: UUID, outpost: Outpost) -> dict[str, UUID]:
    """Two models, of which one is deployed and in a track; ids by name."""
    forest = put_model(alices, here, collection, "forest", metrics={"auc": 0.91}, description="Ten trees")
    lasso = put_model(alices, here, collection, "lasso", metrics={"auc": 0})
    track = alices.tracks.create(*here.path, name="churn-track", artifact_type="model", stages=["production"])
    alices.track_entries.create(*here.path, track.id, artifact_id=forest.id)
    live = outpost.deploy(forest, "churn-live", status="active", inference_url="http://127.0.0.1:9/compute")
    return {"forest": forest.id, "lasso": lasso.id, "track": track.id, "live": live.id}


@pytest.fixture
def login_link(house: House, server: RunningServer, alice: Person) -> str:
    """A one-time link that signs Alice in."""
    return server.address + house.api(Credentials(user_id=alice.id)).auth.create_link().path


@pytest.fixture
def visit(chromium: Any, server: RunningServer, tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Opens pages in a fresh profile. At the end no page may have complained, or asked another host for anything."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    pages: list[Watched] = []

    def open_page(url: str) -> Watched:
        pages.append(Watched(context.new_page()))
        pages[-1].page.goto(url)
        return pages[-1]

    yield open_page
    for one in pages:
        one.page.screenshot(path=tmp_path / "last.png")
    context.close()
    for one in pages:
        assert one.complaints == []
        assert one.elsewhere == []
