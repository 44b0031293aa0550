from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from luml_app.packaging import Archive, read_artifact, save_dataset
from luml_app.packaging.errors import PackagingError
from tests.packaging.conftest import mixed_frame


def read_split(path: Path, split: str) -> pd.DataFrame:
    archive = Archive(path)
    chunks = archive.manifest["payload"]["subsets"]["default"]["splits"][split]["chunk_files"]
    return pd.concat([pd.read_parquet(io.BytesIO(archive.read(name))) for name in chunks], ignore_index=True)


def test_splits_and_chunks_come_back_as_they_were(tmp_path: Path) -> None:
    frame = mixed_frame(25).drop(columns=["maybe", "street", "note", "empty", "floor"])  # what Parquet has no type for
    saved = save_dataset({"train": frame, "test": frame.head(3)}, tmp_path / "d.tar", name="mixed", chunk_rows=10)
    pd.testing.assert_frame_equal(read_split(saved.path, "train"), frame, check_dtype=False)
    pd.testing.assert_frame_equal(read_split(saved.path, "test")[["age", "city"]], frame.head(3)[["age", "city"]])

    train = saved.manifest["payload"]["subsets"]["default"]["splits"]["train"]
    assert (train["num_rows"], train["num_chunks"], train["chunk_rows"]) == (25, 3, [10, 10, 5])
    assert saved.manifest["payload"]["total_rows"] == 28
    assert set(train["chunk_files"]) <= set(saved.file_index)


def test_the_schema_tells_types_units_and_missing_values(tmp_path: Path) -> None:
    frame = pd.DataFrame({"m": [1.0, None], "n": [1, 2]})
    saved = save_dataset(frame, tmp_path / "d.tar", units={"m": "kg"}, descriptions={"n": "how many"})
    assert saved.manifest["payload"]["schema"] == [
        {"column": "m", "type": "float64", "nullable": True, "unit": "kg", "description": None},
        {"column": "n", "type": "int64", "nullable": False, "unit": None, "description": "how many"},
    ]


def test_reading_finds_what_saving_said(tmp_path: Path) -> None:
    saved = save_dataset(pd.DataFrame({"a": [1]}), tmp_path / "renamed.luml", metrics={"rows": 1})
    info = read_artifact(saved.path)
    assert info.type == "dataset"
    for field in ("manifest", "file_index", "file_hash", "size", "extra_values"):
        assert getattr(info, field) == getattr(saved, field), field
    with tarfile.open(saved.path) as archive:
        assert {member.name for member in archive} == {"manifest.json", "data/default/train/chunk_000.parquet"}


def test_an_empty_split_keeps_its_columns_and_a_named_index_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key"))
    saved = save_dataset({"all": frame, "none": frame.iloc[:0]}, tmp_path / "d.tar")
    assert read_split(saved.path, "all").columns.tolist() == ["key", "a"]
    assert read_split(saved.path, "none").columns.tolist() == ["key", "a"]
    assert saved.manifest["payload"]["subsets"]["default"]["splits"]["none"]["chunk_rows"] == [0]


@pytest.mark.parametrize(
    ("data", "options", "what"),
    [
        ({}, {}, "no splits"),
        ({"../x": pd.DataFrame({"a": [1]})}, {}, r"split name '\.\./x'"),
        ({"train": [1, 2]}, {}, "Split 'train' is a list"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, "several columns named 'a'"),
        (pd.DataFrame({"a": [1, "x"]}), {}, "cannot be stored as Parquet"),
        (pd.DataFrame({"a": [1]}), {"chunk_rows": 0}, "chunk_rows is 0"),
        (pd.DataFrame({"a": [1]}), {"units": {"b": "kg"}}, "column 'b'"),
    ],
)
def test_what_cannot_be_stored_leaves_nothing(tmp_path: Path, data: Any, options: dict[str, Any], what: str) -> None:
    with pytest.raises(PackagingError, match=what):
        save_dataset(data, tmp_path / "d.tar", **options)
    assert list(tmp_path.iterdir()) == []
