"""Runs that are sent to a real server: at their end, later, again, and while it is away."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import luml_app as luml
from luml_app.cli import main
from luml_app.client.http import Client
from luml_app.client.orbits import OrbitHandle
from luml_app.client.runs import sync
from luml_app.packaging import read_artifact
from luml_app.schemas.errors import Conflict
from luml_app.tracking.errors import TrackingError, TrackingWarning
from luml_app.tracking.folders import all_runs, folder_of
from tests.client.proxy import Proxy
from tests.serving import until

QUIET = {"surroundings": False, "system_seconds": 0}


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the runs of this test are kept."""
    monkeypatch.delenv("LUML_OFFLINE", raising=False)
    monkeypatch.setenv("LUML_RUNS_FOLDER", str(tmp_path / "runs"))
    return tmp_path / "runs"


def killed_run(name: str, orbit: str | None = None) -> str:
    """The id of a run whose process was killed in the middle."""
    code = (
        f"import sys; from luml_app.tracking import Run; run = Run({name!r}, orbit={orbit!r})\n"
        "run.log({'loss': 0.5}); run.flush(); print(run.id, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
    return run_id


def test_a_run_is_sent_at_its_end_with_the_models_it_made(
    orbit: OrbitHandle, customers: pd.DataFrame, tmp_path: Path
) -> None:
    with orbit.run("gbm", tags=["nightly"], group="g", **QUIET) as run:
        run.log(params={"depth": 3})
        run.log({"auc": 0.9}, step=4)
        fitted = LogisticRegression().fit(customers[["age"]], customers["left"])
        model = run.log_model(fitted, "churn", sample=customers[["age"]])
        assert model.data.params["run_id"] == run.id
        with run.child("fold", **QUIET) as fold:
            fold.log({"auc": 0.8})
    stored = orbit.artifact("gbm")
    assert stored.id == run.record.artifact_id
    assert (stored.data.extra_values, stored.data.tags) == ({"auc": 0.9}, ["nightly"])
    assert stored.data.params == {"depth": 3, "run_id": run.id, "run_status": "completed"}
    assert read_artifact(stored.download(tmp_path)).manifest["payload"]["group"] == "g"
    found = {(one.type, one.name) for one in orbit.artifacts(filter=f'params.run_id = "{run.id}"')}
    assert found == {("experiment", "gbm"), ("model", "churn")}
    (child,) = orbit.artifacts(filter=f'params.parent_run_id = "{run.id}"')
    assert (child.name, child.params["run_id"]) == ("fold", fold.id)
    assert not list((run.path / "models").iterdir()), "what is stored takes no room here"


def test_what_a_stored_run_has_recorded_is_read_in_parts(orbit: OrbitHandle, make_file: Callable[..., Path]) -> None:
    with orbit.run("long", **QUIET) as run:
        for step in range(3000):
            run.log({"loss": float(step % 100), "odd": [math.nan, math.inf, 1.0][step % 3]})
        run.attach(b"points", "plots/roc.txt")
    stored = orbit.artifact("long")
    steps, values = stored.curves()["loss"]
    assert (max(values), min(values)) == (99.0, 0.0) and 500 <= len(steps) <= 1000
    assert {str(value) for value in stored.curves()["odd"][1]} == {"nan", "inf", "1.0"}
    assert stored.curve("loss", first=2099, last=2101) == ([2099, 2100, 2101], [99.0, 0.0, 1.0])
    assert stored.attachment("plots/roc.txt") == b"points"
    with pytest.raises(Conflict, match=r"no attachment 'x'. It has: 'plots/roc.txt'"):
        stored.attachment("x")
    with pytest.raises(Conflict, match="is a dataset"):
        orbit.upload(make_file()).curves()


def test_runs_beside_each_other(orbit: OrbitHandle) -> None:
    with orbit.run("one", **QUIET) as one, orbit.run("two", **QUIET) as two:
        one.log({"auc": 0.5}, params={"depth": 3, "kind": "gbm", "sizes": [1]})
        two.log({"auc": math.nan, "f1": 1.0}, params={"depth": 3, "kind": "rf", "sizes": [1]})
    stored = orbit.artifact("two")
    table = luml.compare([one, stored])
    assert list(table.index) == [one.id, str(stored.id)] and table["name"].tolist() == ["one", "two"]
    assert table.loc[one.id, "params.kind"] == "gbm" and math.isnan(table.loc[str(stored.id), "metrics.auc"])
    few = luml.compare(orbit.artifacts(types=["experiment"]), differing=True)
    assert list(few.columns) == ["name", "params.kind", "params.run_id", "metrics.auc", "metrics.f1"]
    assert luml.compare([]).empty


def test_a_resumed_run_takes_the_place_of_what_was_sent(orbit: OrbitHandle) -> None:
    with orbit.run("long", **QUIET) as run:
        run.log({"loss": 1.0})
    with orbit.run(resume=run.id, **QUIET) as again:
        again.log({"loss": 0.5})
    (stored,) = orbit.artifacts(search="long")
    assert (stored.extra_values, stored.id) == ({"loss": 0.5}, again.record.artifact_id)


def test_a_run_is_sent_while_it_runs(orbit: OrbitHandle, tmp_path: Path) -> None:
    def sent() -> list[Any]:
        return list(orbit.artifacts(search="live"))

    with orbit.run("live", live_seconds=0.2, **QUIET) as run:
        run.log({"loss": 1.0})
        until(lambda: sent() and sent()[0].extra_values == {"loss": 1.0}, "it is sent")
        assert sent()[0].params["run_status"] == "running"
        run.log({"loss": 0.5})
        until(lambda: sent() and sent()[0].extra_values == {"loss": 0.5}, "it is sent again")
    (stored,) = sent()
    assert (stored.id, stored.params["run_status"]) == (run.record.artifact_id, "completed")


def test_a_run_goes_on_where_it_has_never_been_and_after_it_went_on_elsewhere(
    orbit: OrbitHandle, tmp_path: Path
) -> None:
    here, there = {"folder": tmp_path / "here", **QUIET}, {"folder": tmp_path / "there", **QUIET}
    with orbit.run("far", tags=["t"], group="g", **here) as run:
        run.log({"loss": 3.0}, params={"depth": 1})
        run.attach(b"hello", "notes/a.txt")
    with orbit.run(resume=run.id, **there) as moved:
        moved.log({"loss": 2.0})
    assert (moved.name, moved.record.tags, moved.record.group) == ("far", ["t"], "g")
    with orbit.run(resume=run.id[:8], **here) as back:
        back.log({"loss": 1.0})
        assert back.curve("loss") == ([0, 1, 2], [3.0, 2.0, 1.0])
    (stored,) = orbit.artifacts(search="far")
    assert orbit.artifact(stored.id).attachment("notes/a.txt") == b"hello"
    assert (stored.extra_values, stored.params["depth"]) == ({"loss": 1.0}, 1)
    with pytest.raises(TrackingError, match="no run"):
        orbit.run(resume="019a0000-0000-7000-8000-000000000000", **there)


def test_a_server_that_is_away_ends_no_training(far_orbit: OrbitHandle, proxy: Proxy, orbit: OrbitHandle) -> None:
    with pytest.warns(TrackingWarning, match="luml sync"), far_orbit.run("far", **QUIET) as run:
        run.log({"loss": 1.0})
        proxy.target = 1  # a port that nobody has
    assert run.status == "completed"
    with pytest.warns(TrackingWarning), pytest.raises(ValueError, match="mine"), far_orbit.run("far 2", **QUIET):
        raise ValueError("mine")


def test_killed_runs_are_found_by_sync_and_sent_once(
    client: Client, orbit: OrbitHandle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    homeless, ours, lost = killed_run("homeless"), killed_run("ours", "Garden"), killed_run("lost", "Nowhere")
    monkeypatch.setenv("LUML_ADDRESS", client.address)
    monkeypatch.setenv("LUML_API_KEY", client.connection.api_key or "")
    with pytest.raises(SystemExit) as ended:
        main(["sync", "--orbit", "Garden"])
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert "2 sent, 1 failed" in told.out and lost in told.err and "no orbit 'Nowhere'" in told.err
    for run_id in (homeless, ours):
        (stored,) = orbit.artifacts(filter=f'params.run_id = "{run_id}"')
        assert (stored.extra_values, stored.params["run_status"]) == ({"loss": 0.5}, "crashed")
    folder_of(lost).change(sent_at=folder_of(ours).read().sent_at)
    assert list(sync(client)) == []
    with pytest.raises(SystemExit) as ended:
        main(["runs", "list"])
    assert not ended.value.code and ours in capsys.readouterr().out
    for arguments, left in ((["remove", lost[:8]], {homeless, ours}), (["remove", "--sent"], set())):
        with pytest.raises(SystemExit):
            main(["runs", *arguments])
        assert {record.id for _, record in all_runs()} == left


def test_a_break_after_the_upload_stores_nothing_twice(client: Client, orbit: OrbitHandle) -> None:
    run_id = killed_run("once", "Garden")
    assert [error for _, error in sync(client)] == [None]
    first = folder_of(run_id).read().artifact_id
    folder_of(run_id).change(sent_at=None, artifact_id=None)  # as if killed before it could write that down
    assert [(record.artifact_id, error) for record, error in sync(client)] == [(first, None)]
    assert len(list(orbit.artifacts(search="once"))) == 1


def test_the_next_run_sends_what_was_left_behind(
    client: Client, orbit: OrbitHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUML_OFFLINE", "1")
    with orbit.run("left", **QUIET) as left:
        left.log({"loss": 1.0})
    assert left.record.sent_at is None
    monkeypatch.delenv("LUML_OFFLINE")
    with orbit.run("next", **QUIET):
        until(lambda: folder_of(left.id).read().sent_at is not None, "it is sent")
    assert orbit.artifact("left").data.extra_values == {"loss": 1.0}


def test_models_wait_with_their_run(
    client: Client, orbit: OrbitHandle, customers: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = LogisticRegression().fit(customers[["age"]], customers["left"])
    with luml.Run("offline", orbit="Garden", **QUIET) as run:
        saved = run.log_model(fitted, "later", sample=customers[["age"]], metrics={"auc": 0.7})
        assert saved.path.exists()
    assert [error for _, error in sync(client)] == [None]
    model = orbit.artifact("later")
    assert (model.data.params["run_id"], model.data.extra_values) == (run.id, {"auc": 0.7})
