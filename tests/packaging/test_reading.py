from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from luml_app.packaging import ArchiveWriter, Experiment, read_artifact
from luml_app.packaging.errors import ArchiveError


def write(path: Path, **members: Any) -> Path:
    with path.open("wb") as stream, ArchiveWriter(stream) as writer:
        for name, content in members.items():
            writer.add(name, content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def entry(tag: str, payload: Any, key: str = "producer_tags") -> dict[str, Any]:
    return {"id": "x", "producer": "p", "producer_version": "1", key: [tag], "payload": payload}


MODEL = {"manifest.json": {"variant": "pipeline", "inputs": []}, "variant_config.json": {}, "ops.json": []}


@pytest.mark.parametrize("name", ["a.luml", "a.dfs", "a.pyfnx", "a.fnnx", "a.v2.tar", "a"])
def test_the_content_decides_whatever_the_name(tmp_path: Path, name: str) -> None:
    assert read_artifact(write(tmp_path / name, **MODEL)).type == "model"
    assert read_artifact(write(tmp_path / name, **{"manifest.json": {"artifact_type": "dataset"}})).type == "dataset"
    assert (
        read_artifact(write(tmp_path / name, **{"manifest.json": {"artifact_type": "experiment"}})).type == "experiment"
    )


@pytest.mark.parametrize("manifest", [{}, {"artifact_type": "song"}, [], b"{", b"\xff\xfe"])
def test_what_is_no_artifact_is_refused(tmp_path: Path, manifest: Any) -> None:
    with pytest.raises(ArchiveError):
        read_artifact(write(tmp_path / "a", **{"manifest.json": manifest}))


def test_metrics_are_found_in_every_place_and_spelling(tmp_path: Path) -> None:
    tabular = {"metrics": {"performance": {"eval_holdout": {"F1": 0.8, "N_SAMPLES": 10}, "eval_cv": {"F1": 0.7}}}}
    members = MODEL | {
        "meta.json": [
            entry("luml.ai::registry_metrics:v1", {"metrics": {"a": 1, "flag": True, "text": "x"}}),
            entry("dataforce.studio::tabular_classification_metrics:v1", tabular, key="tags"),
            {"broken": 1},
            "text",
        ],
        "meta-1.json": [entry("registry_metrics:v1", {"metrics": {"b": 2.5}}, key="tags")],
        "meta-2.json": b"not json",
        "meta-3.json": {"not": "a list"},
    }
    assert read_artifact(write(tmp_path / "a", **members)).extra_values == {"a": 1, "b": 2.5, "F1": 0.8}


def test_cross_validation_stands_in_for_a_missing_holdout(tmp_path: Path) -> None:
    payload = {"metrics": {"performance": {"eval_cv": {"F1": 0.7, "N_SAMPLES": 3}}}}
    members = MODEL | {"meta.json": [entry("x::tabular:v1", payload)]}
    assert read_artifact(write(tmp_path / "a", **members)).extra_values == {"F1": 0.7}


def test_an_embedded_experiment_gives_its_last_metrics(tmp_path: Path) -> None:
    with Experiment("e", tmp_path / "e") as experiment:
        experiment.log_metrics({"loss": 2})
        experiment.log_metrics({"loss": 1})
        packed = experiment.save(tmp_path / "e.luml").path
    from luml_app.packaging import Archive

    database = Archive(packed).read("exp.db.zip")
    members = MODEL | {"meta_artifacts/some~~et~~id/exp.db.zip": database}
    assert read_artifact(write(tmp_path / "a", **members)).extra_values == {"loss": 1.0}


@pytest.mark.parametrize("database", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_a_broken_experiment_database_gives_no_metrics(tmp_path: Path, database: bytes) -> None:
    members = {"manifest.json": {"artifact_type": "experiment"}, "exp.db.zip": database}
    assert read_artifact(write(tmp_path / "a", **members)).extra_values == {}


def test_manifest_patches_are_applied(tmp_path: Path) -> None:
    patch = [{"op": "add", "path": "/name", "value": "new"}]
    members = MODEL | {"manifest-1.patch.json": patch}
    assert read_artifact(write(tmp_path / "a", **members)).manifest["name"] == "new"


def test_a_missing_file_is_told_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_artifact(tmp_path / "nothing")


def test_a_file_of_the_fnnx_builder_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pydantic")
    from fnnx.extras.builder import PyfuncBuilder, PyFuncSpec

    source = tmp_path / "code.py"
    source.write_text("class A: pass\n")
    builder = PyfuncBuilder(PyFuncSpec(str(source), "A"), model_name="theirs")
    builder.add_file(str(source), "x" * 120 + ".txt")
    builder.save(str(tmp_path / "m"))
    info = read_artifact(tmp_path / "m")
    assert (info.type, info.manifest["name"]) == ("model", "theirs")
    offset, size = info.file_index[f"variant_artifacts/extra_files/{'x' * 120}.txt"]
    assert (tmp_path / "m").read_bytes()[offset : offset + size] == source.read_bytes()


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, luml_app.packaging as p\n"
        "p.read_artifact, p.save_model, p.save_dataset, p.Experiment\n"
        "print([m for m in ('numpy', 'pandas', 'sklearn', 'fnnx', 'pyarrow', 'pydantic') if m in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
