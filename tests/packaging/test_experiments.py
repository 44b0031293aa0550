from __future__ import annotations

import io
import json
import math
import signal
import sqlite3
import subprocess
import sys
import threading
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from luml_app.packaging import Archive, Experiment, read_artifact
from luml_app.packaging.errors import PackagingError
from luml_app.packaging.metrics_database import SCHEMA, logged_params


def unpack(path: Path, folder: Path) -> sqlite3.Connection:
    """The database of a packed experiment, opened by the standard library."""
    with zipfile.ZipFile(io.BytesIO(Archive(path).read("exp.db.zip"))) as archive:
        (name,) = archive.namelist()
        return sqlite3.connect(archive.extract(name, folder))


def test_what_is_logged_is_packed(tmp_path: Path) -> None:
    with Experiment("first try", tmp_path / "e", group="g", tags=["a"]) as experiment:
        experiment.log_params({"lr": 0.1, "layers": np.int64(3), "name": "x", "deep": True, "sizes": [1, 2]})
        experiment.log_metrics({"loss": 2.0, "f1": np.float32(0.5)})
        experiment.log_metrics({"loss": 1.0})
        experiment.log_metrics({"loss": 1.5}, step=1)
        experiment.log_metrics({"auc": 0.9}, step=100)
        saved = experiment.save(tmp_path / "e.luml")

    assert saved.manifest["payload"] | {"local_experiment_id": ""} == {
        "local_experiment_id": "", "status": "completed", "group": "g", "tags": ["a"],
    }  # fmt: skip
    assert (saved.type, saved.extra_values) == ("experiment", {"loss": 1.5, "f1": 0.5, "auc": 0.9})
    assert saved.params == {"lr": 0.1, "layers": 3, "name": "x", "deep": True, "sizes": [1, 2]}
    with closing(unpack(saved.path, tmp_path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
        assert {key: (value, kind) for key, value, kind in database.execute("SELECT * FROM static_params")} == {
            "lr": ("0.1", "float"), "layers": ("3", "int"), "name": ("x", "str"), "deep": ("true", "bool"),
            "sizes": ("[1, 2]", "json"),
        }  # fmt: skip
        assert database.execute("SELECT step, value FROM dynamic_metrics WHERE key = 'loss'").fetchall() == [
            (0, 2.0),
            (1, 1.5),
        ]
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert {"spans", "evals", "eval_traces_bridge", "eval_annotations", "span_annotations"} <= tables


def test_reading_finds_what_saving_said(tmp_path: Path) -> None:
    with Experiment("e", tmp_path / "e") as experiment:
        experiment.log_metrics({"loss": 1.0})
        experiment.log_params({"depth": 3, "name": "x"})
        saved = experiment.save(tmp_path / "any.name")
    info = read_artifact(saved.path)
    for field in ("manifest", "file_index", "file_hash", "size", "type", "extra_values", "params"):
        assert getattr(info, field) == getattr(saved, field), field


def test_nan_and_infinity_are_kept(tmp_path: Path) -> None:
    with Experiment("e", tmp_path / "e") as experiment:
        experiment.log_metrics({"nan": math.nan, "inf": math.inf, "low": -math.inf, "zero": 0.0})
        saved = experiment.save(tmp_path / "e.luml")
    for values in (saved.extra_values, read_artifact(saved.path).extra_values):
        assert math.isnan(values["nan"])
        assert (values["inf"], values["low"], values["zero"]) == (math.inf, -math.inf, 0.0)


def test_an_attachment_is_one_range_away(tmp_path: Path) -> None:
    source = tmp_path / "roc.png"
    source.write_bytes(b"picture" * 300)
    with Experiment("e", tmp_path / "e") as experiment:
        experiment.attach("plots/roc.png", source)
        experiment.attach("notes.txt", b"old")
        experiment.attach("notes.txt", b"new")
        saved = experiment.save(tmp_path / "e.luml")
    index = json.loads(Archive(saved.path).read("attachments.index.json"))
    outer = saved.file_index["attachments.tar"][0]
    raw = saved.path.read_bytes()
    found = {name: raw[outer + offset : outer + offset + size] for name, (offset, size) in index.items()}
    assert found == {"notes.txt": b"new", "plots/roc.png": source.read_bytes()}


def test_an_empty_experiment_is_packed(tmp_path: Path) -> None:
    with Experiment("nothing", tmp_path / "e") as experiment:
        saved = experiment.save(tmp_path / "e.luml")
    assert read_artifact(saved.path).extra_values == {}


def test_a_killed_run_is_continued(tmp_path: Path) -> None:
    code = (
        "import sys; from luml_app.packaging import Experiment\n"
        "e = Experiment('long', sys.argv[1])\n"
        "for n in range(50): e.log_metrics({'loss': n})\n"
        "e.attach('a', b'1')\n"
        "print(e.id, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "e")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        identity = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
    with Experiment("long", tmp_path / "e") as experiment:
        assert experiment.id == identity
        experiment.log_metrics({"loss": 7})
        saved = experiment.save(tmp_path / "e.luml")
    assert saved.extra_values == {"loss": 7}
    with closing(unpack(saved.path, tmp_path)) as database:
        assert database.execute("SELECT count(*), max(step) FROM dynamic_metrics").fetchone() == (51, 50)


def test_threads_and_processes_log_at_once(tmp_path: Path) -> None:
    with Experiment("e", tmp_path / "e") as one, Experiment("e", tmp_path / "e") as two:
        logs = [
            lambda: [one.log_metrics({"a": n}) for n in range(40)],
            lambda: [two.log_metrics({"a": n}) for n in range(40)],
        ]
        threads = [threading.Thread(target=log) for log in [*logs, logs[0]]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        one.save(tmp_path / "e.luml")
    with closing(unpack(tmp_path / "e.luml", tmp_path)) as database:
        assert database.execute("SELECT count(*), max(step) FROM dynamic_metrics").fetchone() == (120, 119)


def test_the_default_folder_is_below_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Experiment("a b/../c") as experiment:
        assert experiment.path.parent == Path(".luml/experiments")
        assert experiment.path.is_dir()


def test_bad_values_are_named(tmp_path: Path) -> None:
    with Experiment("e", tmp_path / "e") as experiment:
        with pytest.raises(PackagingError, match="Metric 'f1' is 'high'"):
            experiment.log_metrics({"loss": 1, "f1": "high"})  # type: ignore[dict-item]
        with pytest.raises(PackagingError, match="Parameter 'model' is a object"):
            experiment.log_params({"model": object()})
        for name in ("../x", "", "/etc/passwd", "a\\b"):
            with pytest.raises(PackagingError, match="attachment name"):
                experiment.attach(name, b"")
        assert experiment.save(tmp_path / "e.luml").extra_values == {}
    with pytest.raises(PackagingError, match="name is empty"):
        Experiment(" ", tmp_path / "x")


def test_parameters_that_others_have_written_oddly(tmp_path: Path) -> None:
    database = sqlite3.connect(":memory:")
    database.executescript(SCHEMA)
    odd = [("a", "x", "int"), ("b", "nan", "float"), ("c", "{", "json"), ("d", None, "str"), ("e", "1", None)]
    odd += [("f", "9" * 5000, "int"), ("g", "True", "bool"), ("h", "1e5", "float"), ("i", "inf", "float")]
    database.executemany("INSERT INTO static_params VALUES (?, ?, ?)", odd)
    assert logged_params(database) == {
        "a": "x", "b": "nan", "c": "{", "d": None, "e": "1", "f": "9" * 5000, "g": True, "h": 1e5, "i": "inf",
    }  # fmt: skip
