from __future__ import annotations

import importlib
import io
import math
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from luml_app.packaging import Archive, read_artifact, save_dataset
from luml_app.packaging.column_statistics import STATISTICS
from luml_app.packaging.dataset_difference import difference
from luml_app.packaging.dataset_reading import read_table, split_members
from luml_app.packaging.errors import PackagingError
from tests.packaging.conftest import mixed_frame, needs


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
        assert {member.name for member in archive} == {
            "manifest.json", "statistics.json", "data/default/train/chunk_000.parquet",
        }  # fmt: skip


def test_an_empty_split_keeps_its_columns_and_a_named_index_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key"))
    saved = save_dataset({"all": frame, "none": frame.iloc[:0]}, tmp_path / "d.tar")
    assert read_split(saved.path, "all").columns.tolist() == ["key", "a"]
    assert read_split(saved.path, "none").columns.tolist() == ["key", "a"]
    assert saved.manifest["payload"]["subsets"]["default"]["splits"]["none"]["chunk_rows"] == [0]


def every_kind(folder: Path) -> dict[str, Any]:
    """The same table in every form in which it may be given."""
    frame = pd.DataFrame({"n": range(25), "x": [n / 3 for n in range(25)], "word": ["a", "b", "c", "a", "b"] * 5})
    table = pa.Table.from_pandas(frame)
    for name, part in (("one", frame[:10]), ("two", frame[10:])):
        (folder / "parquet" / name).mkdir(parents=True)
        part.to_parquet(folder / "parquet" / name / "part.parquet")
        (folder / "csv").mkdir(exist_ok=True)
        part.to_csv(folder / "csv" / f"{name}.csv", index=False)
    frame.to_parquet(folder / "single.parquet")
    return {
        "pandas": frame, "arrow": table, "file": folder / "single.parquet", "csv": str(folder / "csv"),
        "reader": pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=4)),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["pandas", "arrow", "file", "csv", "reader", "polars", "lazy", "hugging face"])
def test_tables_of_every_library_are_stored_alike(tmp_path: Path, kind: str) -> None:
    kinds = every_kind(tmp_path)
    frame = kinds["pandas"]
    if kind in ("polars", "lazy"):
        needs("polars")
        polars = importlib.import_module("polars")
        kinds |= {"polars": polars.from_pandas(frame), "lazy": polars.from_pandas(frame).lazy()}
    if kind == "hugging face":
        needs("datasets")
        kinds[kind] = importlib.import_module("datasets").Dataset.from_pandas(frame)
    saved = save_dataset(kinds[kind], tmp_path / "d.tar", chunk_rows=10)
    archive = Archive(saved.path)
    members = split_members(archive.manifest, archive.index, "train")
    assert read_table(members, archive.read).to_pydict() == frame.to_dict("list")
    described = saved.manifest["payload"]["subsets"]["default"]["splits"]["train"]
    assert (described["num_rows"], described["chunk_rows"]) == (25, [10, 10, 5])
    assert [one["column"] for one in saved.manifest["payload"]["schema"]] == ["n", "x", "word"]
    columns = archive.read_json(STATISTICS)["splits"]["train"]
    assert columns["n"] | {"mean": 12.0, "std": pytest.approx(frame["n"].std())} == columns["n"]
    assert (columns["n"]["min"], columns["n"]["max"], columns["n"]["count"], columns["n"]["missing"]) == (0, 24, 25, 0)
    assert (columns["word"]["distinct"], columns["word"]["top"]) == (3, [["a", 10], ["b", 10], ["c", 5]])


def test_the_folders_in_a_folder_are_splits(tmp_path: Path) -> None:
    every_kind(tmp_path)
    saved = save_dataset(tmp_path / "parquet", tmp_path / "d.tar")
    splits = saved.manifest["payload"]["subsets"]["default"]["splits"]
    assert {name: one["num_rows"] for name, one in splits.items()} == {"one": 10, "two": 15}


def test_statistics_of_odd_columns(tmp_path: Path) -> None:
    frame = mixed_frame(25).drop(columns=["maybe", "floor"])
    frame["wild"] = [math.nan, math.inf, -math.inf, None, *range(21)]
    saved = save_dataset({"train": frame, "none": frame.iloc[:0]}, tmp_path / "d.tar", chunk_rows=7)
    found = Archive(saved.path).read_json(STATISTICS)["splits"]
    assert found["none"]["age"] == {"count": 0, "missing": 0, "min": None, "max": None, "mean": None, "std": None}
    wild = found["train"]["wild"]
    assert (wild["missing"], wild["min"], wild["max"], wild["mean"]) == (2, "-Infinity", "Infinity", 10.0)
    assert wild["std"] == pytest.approx(pd.Series(range(21)).std())
    assert found["train"]["age"]["missing"] == frame["age"].isna().sum()
    assert found["train"]["age"]["std"] == pytest.approx(frame["age"].std())
    assert found["train"]["sold"]["distinct"] == 2 and found["train"]["grade"]["distinct"] == 3
    assert found["train"]["seen"]["min"] == "2024-01-01T00:00:00+01:00"
    assert found["train"]["empty"] == {"count": 25, "missing": 25}
    many = pd.DataFrame({"id": [f"n{number}" for number in range(2000)]})
    statistics = Archive(save_dataset(many, tmp_path / "m.tar", chunk_rows=900).path).read_json(STATISTICS)
    assert statistics["splits"]["train"]["id"] == {"count": 2000, "missing": 0, "distinct": None, "top": []}


def test_two_versions_of_a_dataset_are_told_apart(tmp_path: Path) -> None:
    one = pd.DataFrame({"x": [1.0, 2.0, 3.0], "gone": [1, 2, 3], "same": ["a", "b", "c"], "typed": [1, 2, 3]})
    two = pd.DataFrame({"x": [3.0, 4.0, 5.0], "same": ["a", "b", "c"], "typed": [1.0, 2.0, 3.0], "new": [1, 2, 3]})
    stored = [save_dataset(data, tmp_path / f"{n}.tar") for n, data in enumerate([one, {"train": two, "test": two}])]
    files = [Archive(one.path) for one in stored]
    statistics = tuple(one.read_json(STATISTICS) for one in files)
    found = difference((files[0].manifest, files[1].manifest), statistics)  # type: ignore[arg-type]
    assert (found.added, found.removed, found.types) == (["new"], ["gone"], {"typed": ("int64", "float64")})
    assert found.rows == {"train": (3, 3), "test": (None, 3)}
    assert [(change.column, change.shift) for change in found.columns] == [("x", 2.0)]
    assert found and not difference((files[0].manifest, files[0].manifest), (statistics[0], statistics[0]))


def test_what_is_not_in_a_dataset_is_listed(tmp_path: Path) -> None:
    saved = save_dataset({"train": pd.DataFrame({"a": [1]}), "test": pd.DataFrame({"a": [1]})}, tmp_path / "d.tar")
    archive = Archive(saved.path)
    with pytest.raises(PackagingError, match=r"Say which split.*'train', 'test'"):
        split_members(archive.manifest, archive.index)
    with pytest.raises(PackagingError, match="no split 'x'"):
        split_members(archive.manifest, archive.index, "x")
    with pytest.raises(PackagingError, match=r"no column 'b'\. It has: 'a'"):
        read_table(split_members(archive.manifest, archive.index, "test"), archive.read, ["b"])
    with pytest.raises(PackagingError, match="which the archive does not have"):
        split_members(archive.manifest, [], "test")


def test_a_tree_that_hugging_face_has_saved_is_read(tmp_path: Path) -> None:
    needs("datasets")
    datasets = importlib.import_module("datasets")
    both = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"a": [1, 2]})})
    both["test"] = datasets.Dataset.from_dict({"a": [3]})
    both.save_to_disk(tmp_path / "tree")
    files = {f"hf/{one.relative_to(tmp_path / 'tree')}": one for one in (tmp_path / "tree").rglob("*") if one.is_file()}
    manifest = {"payload": {"subsets": {"default": ["train", "test"]}, "data_dir": "hf", "library_version": "1"}}
    members = split_members(manifest, files, "train")
    assert read_table(members, lambda name: files[name].read_bytes()).to_pydict() == {"a": [1, 2]}
    stored = save_dataset(both, tmp_path / "d.tar").manifest["payload"]
    assert {name: one["num_rows"] for name, one in stored["subsets"]["default"]["splits"].items()} == {
        "train": 2, "test": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "options", "what"),
    [
        ({}, {}, "no splits"),
        ({"../x": pd.DataFrame({"a": [1]})}, {}, r"split name '\.\./x'"),
        ({"train": [1, 2]}, {}, "Split 'train' is a list"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, "several columns named 'a'"),
        (pd.DataFrame({"a": [1, "x"]}), {}, "cannot be stored as Parquet"),
        ("/no/such/folder", {}, "no Parquet or CSV files"),
        (pd.DataFrame({"a": [1]}), {"chunk_rows": 0}, "chunk_rows is 0"),
        (pd.DataFrame({"a": [1]}), {"units": {"b": "kg"}}, "column 'b'"),
    ],
)
def test_what_cannot_be_stored_leaves_nothing(tmp_path: Path, data: Any, options: dict[str, Any], what: str) -> None:
    with pytest.raises(PackagingError, match=what):
        save_dataset(data, tmp_path / "d.tar", **options)
    assert list(tmp_path.iterdir()) == []
