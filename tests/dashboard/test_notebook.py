"""The widgets in a real JupyterLab: what is clicked can be read in the next cell, and the other way round."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.cast import Person
from tests.dashboard.watching import Watched
from tests.serving import RunningServer

pytestmark = pytest.mark.browser
TOKEN = "of-this-test"
CELLS = [
    'import luml_widgets\ntable = luml_widgets.artifact_table(orbit="Garden")\ntable',
    'print("selected:", [one.name for one in table.selected], table.selected_frame["auc"].tolist())',
    'table.selection = [one.id for one in table.store.rows if one.name == "forest"]\nprint("moved")',
    'luml_widgets.deployment_card("churn-live")',
]


@pytest.fixture
def lab(tmp_path: Path, server: RunningServer, alice: Person, furnished: dict[str, UUID]) -> Iterator[str]:
    """JupyterLab with a notebook and Alice's key; the notebook's address."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    folder = tmp_path / "work"
    folder.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS], metadata=kernel)
    nbformat.write(notebook, folder / "widgets.ipynb")
    port = free_port()
    log = (tmp_path / "lab.log").open("wb")
    process = subprocess.Popen(
        lab_command(port, folder), env=environment(tmp_path, server, alice), stdout=log, stderr=log
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/lab?token={TOKEN}", process)
        yield f"http://127.0.0.1:{port}/lab/tree/widgets.ipynb?token={TOKEN}&reset"
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def lab_command(port: int, folder: Path) -> list[str]:
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    options += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.open_browser=False", "--ServerApp.allow_root=True"]
    options += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    return [sys.executable, "-m", "jupyterlab", *options, "--ServerApp.ip=127.0.0.1"]


def environment(tmp_path: Path, server: RunningServer, alice: Person) -> dict[str, str]:
    """What the lab and its kernel know: a home of their own, and how to reach the platform."""
    home = {name: str(tmp_path / name.lower()) for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    return {**os.environ, **home, "LUML_ADDRESS": server.address, "LUML_API_KEY": alice.api_key}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "JupyterLab has ended"
        try:
            if httpx.get(url, trust_env=False, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise AssertionError("JupyterLab did not start in time")


def run_cell(page: Any, number: int) -> Any:
    """Run one cell as a person does, again where the kernel was not there yet; the cell."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    prompt = cell.locator(".jp-InputPrompt")
    deadline = time.monotonic() + 90
    while not (shown := prompt.inner_text().strip(" []:")).isdigit():
        assert time.monotonic() < deadline, f"the cell does not run: {shown}"
        if shown != "*":  # not asked yet, or asked before the kernel was there
            cell.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
        page.wait_for_timeout(500)
    return cell


def test_tick_a_row_and_read_it_back(lab: str, visit: Callable[..., Watched]) -> None:
    shown = visit(lab)
    page = shown.page
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=90_000)
    first = run_cell(page, 0)
    first.locator("td", has_text="lasso").wait_for(timeout=60_000)
    first.get_by_label("Select lasso").check()
    shown.sees("1 selected")
    run_cell(page, 1)
    shown.sees("selected: ['lasso'] [0]")
    run_cell(page, 2)
    shown.sees("moved")
    first.locator("tr.selected", has_text="forest").wait_for()
    assert not first.get_by_label("Select lasso").is_checked()
    card = run_cell(page, 3)
    card.locator("h1", has_text="churn-live").wait_for(timeout=60_000)
    card.locator("[name=age]").wait_for()
