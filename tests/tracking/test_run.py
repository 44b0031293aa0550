from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from luml_app.packaging import Archive, PackagingError, read_artifact
from luml_app.packaging.metric_curves import CURVES
from luml_app.tracking import Run, TrackingError
from luml_app.tracking.destination import pack
from luml_app.tracking.folders import RunFolder
from tests.tracking.conftest import rows

Begin = Callable[..., Run]


def test_what_is_logged_can_be_read_and_is_packed(begin: Begin, tmp_path: Path) -> None:
    run = begin("first", tags=["a"], group="g")
    run.log(params={"lr": 0.1, "layers": np.int64(3), "sizes": [1, 2]})
    run.log({"loss": 2.0, "f1": np.float32(0.5)})
    run.log({"loss": 1, "train": {"auc": 0.9}}, step=10)
    run.log({"loss": np.array(0.5)})
    assert run.metrics() == {"loss": 0.5, "f1": 0.5, "train/auc": 0.9}
    assert run.curve("loss") == ([0, 10, 11], [2.0, 1.0, 0.5])
    assert run.params() == {"lr": 0.1, "layers": 3, "sizes": [1, 2]}
    run.finish()

    saved = pack(RunFolder(run.path), tmp_path / "run.tar")
    info = read_artifact(saved.path)
    assert (info.type, info.extra_values) == ("experiment", {"loss": 0.5, "f1": 0.5, "train/auc": 0.9})
    payload = info.manifest["payload"]
    assert (payload["local_experiment_id"], payload["status"], payload["group"], payload["tags"]) == (
        run.id, "completed", "g", ["a"],
    )  # fmt: skip
    curves = Archive(saved.path).read_json(CURVES)["metrics"]
    assert curves["loss"] == {"steps": [0, 10, 11], "values": [2.0, 1.0, 0.5], "points": 3}


def test_metrics_without_a_step_count_up_whatever_comes_between(begin: Begin) -> None:
    run = begin()
    for step in (None, None, 7, None, 3, None):
        run.log({"a": 1.0}, step=step)
    run.flush()
    run.log({"a": 1.0})
    assert run.curve("a")[0] == [0, 1, 3, 7, 8, 9, 10]


def test_nan_and_infinity_are_kept_as_such(begin: Begin) -> None:
    run = begin()
    for value in (math.nan, math.inf, -math.inf, 0.0, math.nan):
        run.log({"x": value})
    steps, values = run.curve("x")
    assert steps == [0, 1, 2, 3, 4]
    assert math.isnan(values[0]) and math.isnan(values[4]) and values[1:4] == [math.inf, -math.inf, 0.0]
    assert math.isnan(run.metrics()["x"])


@pytest.mark.parametrize(
    ("metrics", "step", "what"),
    [
        ({"opt": "adam"}, None, r"Metric 'opt' is 'adam'.*run\.log\(params="),
        ({"a": {"b": True}}, None, "Metric 'a/b' is True"),
        ({"a": None}, None, "Metric 'a' is None"),
        ({"a": np.zeros(2)}, None, "Metric 'a' is array"),
        ({"a": 10**400}, None, "Metric 'a' is 1000"),
        ({"a": 1.0}, 1.5, "step is 1.5"),
        ({"a": 1.0}, True, "step is True"),
        ({"a": 1.0}, 2**63, "step is 9223372036854775808"),
        ({"": 1.0}, None, "0 characters"),
        ({"half \ud800": 1.0}, None, "200, printable"),
        ({"a" * 201: 1.0}, None, "201 characters"),
    ],
)
def test_a_mistake_is_shown_where_it_was_made(begin: Begin, metrics: Any, step: Any, what: str) -> None:
    run = begin()
    with pytest.raises(PackagingError, match=what):
        run.log({"good": 1.0, **metrics}, step=step)
    run.log({"after": 1.0})
    assert run.metrics() == {"after": 1.0}, "nothing of a call that was refused is kept, and the next one is"


def test_texts_that_nobody_can_store_are_refused_at_once(begin: Begin) -> None:
    run = begin()
    for name, value in (("", 1), ("x" * 201, 1), ("a\0b", 1), ("word", "half \ud800")):
        with pytest.raises(PackagingError, match=r"parameter name|half a character"):
            run.log(params={name: value})
    with pytest.raises(PackagingError, match=r"A tag of the run, 'x+', must have 1 to 255"):
        begin(tags=["x" * 256])
    run.log(params={"word": "größer \U0001f600"})
    assert run.params() == {"word": "größer \U0001f600"}


def test_the_end_of_a_block_is_the_status(begin: Begin) -> None:
    with begin() as fine:
        fine.log({"a": 1.0})
    assert (fine.status, fine.record.error) == ("completed", None)

    with pytest.raises(ZeroDivisionError), begin() as failed:
        1 / 0  # noqa: B018
    assert (failed.status, failed.record.error) == ("failed", "ZeroDivisionError: division by zero")
    assert "1 / 0" in (failed.path / "attachments" / "traceback.txt").read_text()

    with pytest.raises(KeyboardInterrupt), begin() as aborted:
        raise KeyboardInterrupt
    assert aborted.status == "aborted"
    with pytest.raises(SystemExit), begin() as left:
        raise SystemExit(0)
    assert left.status == "completed"
    with pytest.raises(TrackingError, match=rf"has ended; Run\(resume='{fine.id}'\)"):
        fine.log({"a": 1.0})


def test_a_run_is_resumed_by_its_id_or_the_beginning_of_it(begin: Begin) -> None:
    with pytest.raises(ValueError, match="x"), begin("long", tags=["t"]) as run:
        run.log({"loss": 1.0})
        raise ValueError("x")
    again = begin(resume=run.id[:8])
    assert (again.id, again.name, again.status, again.record.error) == (run.id, "long", "running", None)
    again.log({"loss": 0.5})
    assert again.curve("loss") == ([0, 1], [1.0, 0.5])
    for missing in ("", "nothing"):
        with pytest.raises(TrackingError, match="no run"):
            begin(resume=missing)
    with pytest.raises(TrackingError, match="name is empty"):
        begin(" ")


def test_children_know_their_parent(begin: Begin, tmp_path: Path) -> None:
    parent = begin("search", orbit="garden")
    with parent.child("trial 1", surroundings=False, system_seconds=0) as child:
        child.log({"auc": 0.5})
    assert (child.record.parent_id, child.record.group, child.record.orbit) == (parent.id, "search", "garden")
    assert pack(RunFolder(child.path), tmp_path / "c.tar").manifest["payload"]["parent_id"] == parent.id
    assert parent.metrics() == {}


def test_things_are_attached_as_files(begin: Begin, tmp_path: Path) -> None:
    class Figure:
        def savefig(self, stream: Any, *, format: str, bbox_inches: str) -> None:
            stream.write(f"a picture as {format}".encode())

    source = tmp_path / "notes.txt"
    source.write_text("from a file")
    run = begin()
    run.attach(source)
    run.attach(b"old", "raw.bin")
    run.attach(b"bytes", "raw.bin")
    run.attach(Figure(), "plots/roc")
    run.attach(Figure(), "plots/roc.svg")
    run.attach(pd.DataFrame({"a": [1]}), "table")
    run.attach(pd.DataFrame({"a": [1]}), "table.parquet")
    run.attach({"a": [1, None]}, "settings")
    run.finish()
    archive = Archive(pack(RunFolder(run.path), tmp_path / "r.tar").path)
    index, outer = archive.read_json("attachments.index.json"), archive.index["attachments.tar"][0]
    raw = archive.path.read_bytes()
    found = {name: raw[outer + offset :][:size] for name, (offset, size) in index.items()}
    assert pd.read_parquet(run.path / "attachments/table.parquet").to_dict("list") == {"a": [1]}
    assert found.pop("table.parquet") and json.loads(found.pop("settings.json")) == {"a": [1, None]}
    assert found == {
        "notes.txt": b"from a file", "raw.bin": b"bytes", "plots/roc.png": b"a picture as png",
        "plots/roc.svg": b"a picture as svg", "table.csv": b",a\n0,1\n",
    }  # fmt: skip
    sizes = dict(rows(run.path, "SELECT name, size FROM attachments"))
    assert len(sizes) == 7 and sizes["raw.bin"] == 5


def test_what_cannot_be_attached_is_refused(begin: Begin) -> None:
    run = begin()
    for thing, name, what in (
        ("no such file", None, "no file 'no such file'"),
        (b"x", None, "a name"),
        (object(), "x", "object cannot be attached"),
        (b"x", "../x", "plain relative path"),
    ):
        with pytest.raises(PackagingError, match=what):
            run.attach(thing, name)
    assert not list((run.path).glob("attachments/*"))


def test_many_threads_log_and_nothing_is_lost(begin: Begin) -> None:
    run, threads = begin(), 8

    def work(number: int) -> None:
        for step in range(500):
            run.log({"shared": float(step), f"own/{number}": float(step)})

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    run.finish()
    assert rows(run.path, "SELECT count(*), max(step) FROM dynamic_metrics WHERE key = 'shared'") == [(4000, 3999)]
    own = rows(run.path, "SELECT value FROM dynamic_metrics WHERE key = 'own/3' ORDER BY step")
    assert [value for (value,) in own] == [float(step) for step in range(500)]


def test_surroundings_and_the_machine_are_kept(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    run = begin(surroundings=True, system_seconds=0.05)
    seen = threading.Event()
    while not seen.wait(0.05):
        if "system/cpu_percent" in run.metrics():
            seen.set()
    run.finish()
    kept = run.path / "attachments" / "surroundings"
    assert "numpy==" in (kept / "packages.txt").read_text()
    machine = json.loads((kept / "machine.json").read_text())
    assert machine["python"]
    if machine["git"]:  # there is none where the tests come out of an archive
        assert run.params()["git_commit"] == machine["git"]["commit"]
    assert run.metrics()["system/process_memory_bytes"] > 1e6


def test_long_curves_keep_their_peaks(begin: Begin) -> None:
    run, values = begin(), np.random.default_rng(7).normal(size=20_000)
    values[[777, 13_000]] = (100.0, math.nan)
    for value in values:
        run.log({"noise": value, "short": 1.0})
    steps, thinned = run.curve("noise", buckets=100)
    assert 100 <= len(steps) <= 201 and steps == sorted(set(steps))
    found = dict(zip(steps, thinned, strict=True))
    assert found[777] == 100.0 and math.isnan(found[13_000])
    assert min(value for value in thinned if value == value) == np.nanmin(values)
    assert all(value == values[step] or math.isnan(value) for step, value in found.items())
    zoomed = run.curve("noise", buckets=100, first=770, last=780)
    assert zoomed[0] == list(range(770, 781)) and zoomed[1][7] == 100.0
    assert run.curve("nothing") == ([], [])
    assert run.metric_names() == ["noise", "short"]
