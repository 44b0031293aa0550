"""The dashboard in a real browser: text is looked at, and colours, not status codes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.cast import Place
from tests.dashboard.watching import Watched
from tests.serving import RunningServer
from tests.widgets.stage import Outpost, put_model

pytestmark = pytest.mark.browser
Visit = Callable[..., Watched]


@pytest.fixture
def at_home(visit: Visit, login_link: str, furnished: dict[str, UUID]) -> Watched:
    """Alice has followed her link and sees her orbit."""
    shown = visit(login_link)
    shown.sees_title("Garden")
    return shown


def colour_at(page: Any, x: int, y: int) -> tuple[int, int, int]:
    """The colour of one pixel of what is seen."""
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    image = image_module.open(io.BytesIO(page.screenshot())).convert("RGB")
    found: tuple[int, int, int] = image.getpixel((x, y))
    return found


def test_from_the_link_to_an_artifact_to_its_deployment(at_home: Watched) -> None:
    at_home.goes_to("Artifacts")
    at_home.sees("lasso", within="table")
    at_home.page.locator("td a", has_text="forest").click()
    at_home.sees_title("forest")
    for text in ("Ten trees", "0.9100", "scikit-learn==1.7.0", "charges"):
        at_home.sees(text)
    assert at_home.page.title() == "forest · LUML"
    at_home.page.get_by_role("tab", name="Files").click()
    at_home.sees("variant_config.json")
    at_home.goes_to("Deployments")
    at_home.sees("churn-live", within="table")
    at_home.page.locator("td a", has_text="churn-live").click()
    at_home.sees_title("churn-live")
    at_home.sees("active")
    assert at_home.page.locator("[name=age]").input_value() == "41"


def test_back_forth_reload_and_a_pasted_address(at_home: Watched, visit: Visit, furnished: dict[str, UUID]) -> None:
    page = at_home.page
    at_home.goes_to("Tracks")
    page.locator("td a", has_text="churn-track").click()
    at_home.sees_title("churn-track")
    page.go_back()
    at_home.sees_title("Tracks")
    page.go_forward()
    at_home.sees_title("churn-track")
    page.reload()
    at_home.sees_title("churn-track")
    visit(page.url).sees_title("churn-track")


def test_the_frame_is_seen_while_the_page_loads(at_home: Watched) -> None:
    """Panel's loader would lay a grey veil over it, and take the clicks."""
    page = at_home.page
    page.evaluate("document.getElementById('loader').style.display = 'flex'")
    assert min(colour_at(page, 1400, 880)) > 230
    page.get_by_label("Switch to dark").click()
    page.locator(".luml.dark h1").wait_for()


def test_an_address_outside_of_the_dashboard(at_home: Watched, server: RunningServer) -> None:
    at_home.forgiving = True
    assert at_home.page.goto(server.address + "/nonsense").status == 404
    at_home.sees("Nothing is at this address")
    at_home.page.get_by_role("link", name="Open LUML").last.click()
    at_home.sees_title("Garden")


def test_an_address_of_nothing(at_home: Watched, visit: Visit, server: RunningServer) -> None:
    lost = visit(server.address + "/app/nonsense")
    lost.sees_title("Not found")
    lost.page.get_by_text("Go to Home").click()
    lost.sees_title("Garden")


def test_search_sort_and_tick(at_home: Watched) -> None:
    page = at_home.page
    at_home.goes_to("Artifacts")
    at_home.sees("lasso", within="table")
    page.get_by_role("button", name="auc").click()
    page.locator("th[aria-sort=descending]", has_text="auc").wait_for()
    page.locator("tbody tr:first-child", has_text="forest").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("lass")
    page.locator("tbody tr", has_text="forest").wait_for(state="detached")
    page.locator("tbody input[type=checkbox]").check()
    at_home.sees("1 selected")
    page.keyboard.press("/")  # also from the box that was just ticked
    page.keyboard.type("x")
    page.locator("tbody tr", has_text="lasso").wait_for(state="detached")


def test_a_version_is_promoted_by_its_menu(at_home: Watched) -> None:
    at_home.goes_to("Tracks")
    at_home.page.locator("td a", has_text="churn-track").click()
    at_home.page.get_by_role("button", name="Move to").click()
    at_home.page.get_by_role("menuitem", name="production").click()
    at_home.sees("Moved v1 to production.")
    at_home.page.locator(".kpi", has_text="v1").wait_for()


def test_what_others_change_is_seen_without_asking(
    at_home: Watched, alices: Any, here: Place, collection: UUID, outpost: Outpost, furnished: dict[str, UUID]
) -> None:
    at_home.goes_to("Artifacts")
    at_home.sees("lasso", within="table")
    put_model(alices, here, collection, "newcomer")
    at_home.sees("newcomer", within="table")
    at_home.goes_to("Deployments")
    at_home.page.locator("td a", has_text="churn-live").click()
    at_home.sees_title("churn-live")
    reason = {"reason": "The model ran out of memory", "error": "Killed"}
    outpost.own.agent.update_deployment(furnished["live"], status="failed", error_message=reason)
    at_home.sees("The model ran out of memory")


def test_dark_is_dark_and_stays_so(at_home: Watched) -> None:
    page = at_home.page
    assert min(colour_at(page, 1400, 880)) > 230
    page.get_by_label("Switch to dark").click()
    page.locator(".luml.dark h1").wait_for()
    page.wait_for_function("getComputedStyle(document.documentElement).backgroundColor === 'rgb(16, 18, 24)'")
    assert max(colour_at(page, 1400, 880)) < 60
    page.reload()
    at_home.sees_title("Garden")
    assert max(colour_at(page, 1400, 880)) < 60


def test_after_signing_out_elsewhere_the_page_leads_to_the_sign_in(at_home: Watched, visit: Visit) -> None:
    address = at_home.page.url
    other = visit(address)
    other.sees_title("Garden")
    other.page.get_by_role("button", name="alice@example.org").click()
    other.page.get_by_role("menuitem", name="Sign out").click()
    other.sees("Sign in to LUML")
    at_home.goes_to("Tracks")
    at_home.sees("Sign in to LUML")
    assert "next=" in at_home.page.url


def test_a_lost_server_is_told(at_home: Watched, server: RunningServer) -> None:
    at_home.forgiving = True
    server.stop()
    at_home.sees("The connection to the server is lost.")


def test_narrow_screens_scroll_only_tables(at_home: Watched) -> None:
    at_home.page.set_viewport_size({"width": 800, "height": 900})
    for section in ("Home", "Artifacts", "Tracks", "Deployments", "Satellites"):
        at_home.goes_to(section)
        at_home.page.locator(".luml.page table").first.wait_for()
        assert at_home.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), section
