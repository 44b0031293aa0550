"""`luml://` as pandas, polars, DuckDB and Dask see it, against a real server and its store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pytest

from luml_app.client.addresses import find, part_of
from luml_app.client.filesystem import LumlFileSystem
from luml_app.client.http import Client
from luml_app.client.orbits import OrbitHandle
from luml_app.packaging.errors import PackagingError
from luml_app.schemas.errors import Conflict, Invalid, NotFound
from tests.cast import Cast, Person
from tests.client.proxy import Fault, Proxy
from tests.satellite.models import write_model
from tests.serving import RunningServer

MakeFile = Callable[..., Path]
FRAME = pd.DataFrame({"age": range(250), "city": [f"town {n % 7}" for n in range(250)]})
CHUNK = "luml://Garden/datasets/bank/data/default/train/chunk_000.parquet"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, server: RunningServer, alice: Person) -> None:
    """Address and key where the client finds them by itself."""
    monkeypatch.setenv("LUML_ADDRESS", server.address)
    monkeypatch.setenv("LUML_API_KEY", alice.api_key)


@pytest.fixture
def fs(server: RunningServer, alice: Person) -> LumlFileSystem:
    return LumlFileSystem(server.address, alice.api_key)


@pytest.fixture
def bank(orbit: OrbitHandle) -> OrbitHandle:
    orbit.log_dataset({"train": FRAME, "test": FRAME[:10]}, "bank", chunk_rows=100)
    return orbit


def chunks(split: str = "train") -> str:
    return f"luml://Garden/datasets/bank/data/default/{split}/*.parquet"


def test_pandas_reads_a_member(bank: OrbitHandle, known: None) -> None:
    pd.testing.assert_frame_equal(pd.read_parquet(CHUNK), FRAME[:100])


def test_pandas_reads_with_an_address_and_a_key(bank: OrbitHandle, server: RunningServer, alice: Person) -> None:
    options = {"address": server.address, "api_key": alice.api_key}
    pd.testing.assert_frame_equal(
        pd.read_parquet(CHUNK, storage_options=options, columns=["city"]), FRAME[["city"]][:100]
    )


def test_dask_reads_all_chunks(bank: OrbitHandle, known: None) -> None:
    import dask.dataframe as dd

    whole = dd.read_parquet(chunks()).compute(scheduler="threads")
    assert sorted(whole["age"]) == list(range(250))


def test_duckdb_reads_all_chunks(bank: OrbitHandle, fs: LumlFileSystem) -> None:
    connection = duckdb.connect()
    connection.register_filesystem(fs)
    found = connection.sql(f"select count(*), sum(age), count(distinct city) from '{chunks()}'").fetchall()
    assert found == [(250, sum(range(250)), 7)]


def test_polars_reads_open_files(bank: OrbitHandle, fs: LumlFileSystem) -> None:
    frames = [pl.read_parquet(fs.open(path)) for path in fs.glob(chunks())]
    assert pl.concat(frames)["age"].to_list() == list(range(250))


def test_only_what_is_asked_for_goes_over_the_wire(
    far_orbit: OrbitHandle, proxy: Proxy, alice: Person, make_file: MakeFile
) -> None:
    far_orbit.upload(make_file(20_000_000), name="large")
    fs = LumlFileSystem(proxy.address, alice.api_key)
    with fs.open("luml://Garden/datasets/large/data/x") as file:
        file.seek(10_000_000)
        before = proxy.down
        assert len(file.read(100)) == 100
        assert proxy.down - before < 6_000_000


def test_a_signed_address_that_has_run_out_is_asked_for_anew(bank: OrbitHandle, fs: LumlFileSystem) -> None:
    artifact = bank.artifact("bank")
    fs.cat_file(CHUNK)
    address = fs._addresses.known(str(artifact.id))
    assert address is not None
    address.url += "0"
    assert fs.cat_file(CHUNK)[:4] == b"PAR1"


def test_folders_are_listed_as_the_names_go(bank: OrbitHandle, fs: LumlFileSystem, cast: Cast) -> None:
    names = [one["name"] for one in fs.ls("luml://")]
    assert len(names) == len(fs.client.organizations.list())
    (organization,) = [one.name for one in fs.client.organizations.list() if one.id == cast.here.organization_id]
    assert f"{part_of(organization)}/Garden" in fs.ls(part_of(organization), detail=False)
    assert fs.ls("Garden", detail=False) == ["Garden/datasets"]
    (entry,) = fs.ls("Garden/datasets")
    assert (entry["name"], entry["type"], entry["artifact_type"]) == ("Garden/datasets/bank", "directory", "dataset")
    assert sorted(fs.ls("Garden/datasets/bank/data/default", detail=False)) == [
        "Garden/datasets/bank/data/default/test",
        "Garden/datasets/bank/data/default/train",
    ]
    assert len(fs.glob("luml://Garden/*/bank/data/**/*.parquet")) == 4
    assert fs.du("Garden/datasets/bank") == sum(size for _, size in bank.artifact("bank").data.file_index.values())


def test_paths_are_told_apart(bank: OrbitHandle, fs: LumlFileSystem) -> None:
    assert fs.isfile(CHUNK)
    assert fs.isdir("luml://Garden/datasets/bank/data")
    assert fs.isdir("luml://Garden/datasets")
    for missing in (
        "luml://Garden/datasets/bank/data/nothing",
        "luml://Garden/datasets/x",
        "luml://Pond",
        f"{CHUNK}/a",
    ):
        assert not fs.exists(missing)
        with pytest.raises(FileNotFoundError):
            fs.open(missing)
    with pytest.raises(IsADirectoryError, match="member"):
        fs.open("luml://Garden/datasets/bank/data")
    for wrong in ("luml://Garden/../x", "luml://Garden//x"):
        with pytest.raises(Invalid, match="empty part"):
            fs.info(wrong)


def test_the_whole_file_can_be_read_and_copied(bank: OrbitHandle, fs: LumlFileSystem, tmp_path: Path) -> None:
    downloaded = bank.artifact("bank").download(tmp_path / "one.tar")
    assert fs.cat_file("luml://Garden/datasets/bank") == downloaded.read_bytes()
    assert fs.cat_file("luml://Garden/datasets/bank", -512) == bytes(512)
    fs.get("luml://Garden/datasets/bank/data/", str(tmp_path / "data"), recursive=True)
    assert len(list((tmp_path / "data").rglob("*.parquet"))) == 4


def test_names_with_signs_find_what_they_name(orbit: OrbitHandle, fs: LumlFileSystem, make_file: MakeFile) -> None:
    for name in ("a/b", "100%", "mail@home", "ratio:3", "ä b", "..", "*?[x]#"):
        stored = orbit.upload(make_file(data=name.encode()), "odd names", name=name)
        (entry,) = [one for one in fs.ls("luml://Garden/odd names") if one["id"] == str(stored.id)]
        assert fs.cat_file(entry["name"] + "/data/x") == name.encode()


def test_the_newest_of_a_name_is_meant_and_the_others_have_ids(
    orbit: OrbitHandle, fs: LumlFileSystem, make_file: MakeFile
) -> None:
    first = orbit.upload(make_file(data=b"1"), name="twin")
    orbit.upload(make_file(data=b"2"), name="twin")
    assert fs.cat_file("luml://Garden/datasets/twin/data/x") == b"2"
    assert fs.ls("luml://Garden/datasets", detail=False) == ["Garden/datasets/twin", f"Garden/datasets/{first.id}"]
    assert fs.cat_file(f"luml://Garden/datasets/{first.id}/data/x") == b"1"


def test_versions_of_tracks_have_addresses(orbit: OrbitHandle, client: Client, make_file: MakeFile) -> None:
    track = orbit.track("data", "dataset", stages=["production"])
    stored = [orbit.upload(make_file(data=text), name="x") for text in (b"1", b"2")]
    track.promote(stored[0], "production")
    track.add(stored[1])
    found = {
        address: find(client, address).artifact
        for address in ("Garden/data@production", "Garden/datasets/data@production", "Garden/data:2", "Garden/data:1")
    }
    assert [one.id for one in found.values() if one] == [stored[0].id, stored[0].id, stored[1].id, stored[0].id]
    assert client.artifact("luml://Garden/data:2").id == stored[1].id
    assert client.artifact(str(stored[0].id)).id == stored[0].id
    for wrong, said in (
        ("Garden/data:3", "no version 3"),
        ("Garden/data@staging", "It has: production"),
        ("Garden/tada:1", "'data'"),
        ("Gaden/datasets/x", "Garden"),
        ("Garden/datasats/x", "'datasets'"),
        ("Garden/datasets/y", "'x'"),
    ):
        with pytest.raises(NotFound, match=said):
            find(client, wrong)


def test_an_orbit_that_may_be_another_one_is_not_guessed(bank: OrbitHandle, client: Client, fs: LumlFileSystem) -> None:
    other = client.organizations.create(name="Garden")
    bucket = client.buckets.list(other.id)[0].id
    twin = client.orbits.create(other.id, name="datasets", bucket_secret_id=bucket)
    with pytest.raises(Conflict, match=str(twin.id)):
        fs.info("luml://Garden/datasets/bank")
    assert fs.isdir(f"luml://{bank.data.id}/datasets/bank")


def test_artifacts_are_written(orbit: OrbitHandle, fs: LumlFileSystem, tmp_path: Path) -> None:
    model = write_model(tmp_path / "double.luml")
    fs.put_file(str(model), "luml://Garden/models/double")
    assert orbit.artifact("double").data.type == "model"
    with pytest.raises(FileExistsError), fs.open("luml://Garden/models/double", "xb") as file:
        file.write(b"")
    with fs.transaction:
        with fs.open("luml://Garden/models/later", "wb") as file:
            file.write(model.read_bytes())
        assert not fs.exists("luml://Garden/models/later")
    assert fs.exists("luml://Garden/models/later")


def test_what_is_given_up_or_no_artifact_is_not_stored(orbit: OrbitHandle, fs: LumlFileSystem) -> None:
    with pytest.raises(PackagingError), fs.open("luml://Garden/models/noise", "wb") as file:
        file.write(b"noise" * 1000)
    with pytest.raises(ZeroDivisionError), fs.open("luml://Garden/models/broken", "wb") as file:
        file.write(b"x" * (1 // 0))
    with pytest.raises(Invalid, match="Artifacts do not change"):
        fs.open("luml://Garden/models/double/member", "wb")
    with pytest.raises(Invalid, match="'ab'"):
        fs.open("luml://Garden/models/double", "ab")
    assert list(orbit.artifacts()) == []


def test_it_is_known_by_its_scheme(server: RunningServer) -> None:
    assert fsspec.get_filesystem_class("luml") is LumlFileSystem


def test_a_broken_line_is_read_again(far_orbit: OrbitHandle, proxy: Proxy, alice: Person) -> None:
    far_orbit.log_dataset(FRAME, "bank")
    fs = LumlFileSystem(proxy.address, alice.api_key)
    proxy.plan(Fault("GET /store", after=700))
    path = "luml://Garden/datasets/bank/data/default/train/chunk_000.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(path, filesystem=fs), FRAME)
    assert not proxy.faults
