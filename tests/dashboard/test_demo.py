"""The demo as a person meets it: the printed link, the printed pages, the form that calls the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.dashboard.watching import Watched
from tests.embedded.running_up import Installation, Up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`luml up --demo`, after its prediction."""
    running = Installation(tmp_path_factory.mktemp("demo")).up("--demo")
    yield running.stands("Call it yourself")
    running.stop()


def test_the_link_leads_to_the_demos_model_and_the_form_calls_it(demo: Up, visit: Callable[..., Watched]) -> None:
    browser = visit(demo.said("Dashboard"))
    browser.sees("churn-demo-run")

    browser.page.goto(printed(demo, "model"))
    browser.sees_title("churn-demo")
    browser.sees("monthly_charge")
    browser.sees("scikit-learn==")

    browser.page.goto(printed(demo, "deployment"))
    browser.sees("active")
    browser.page.get_by_role("button", name="Predict").click()
    browser.sees("Answered in")
    assert browser.page.get_by_role("cell", name=re.compile("^(true|false)$")).count() == 1


def printed(demo: Up, name: str) -> str:
    """The address that the demo has printed beside a name."""
    return demo.said(name).split()[-1]
