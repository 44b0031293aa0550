"""What a data scientist does all day, against a real server, its store and a real satellite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import luml_app as luml
from luml_app.client.http import Client
from luml_app.client.objects import DeploymentFailed
from luml_app.client.orbits import OrbitHandle
from luml_app.packaging.errors import PackagingError
from luml_app.schemas.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound
from satellite.daemon import Daemon
from tests.cast import Cast, Person
from tests.client.conftest import sha256
from tests.satellite.models import write_model
from tests.serving import RunningServer

MakeFile = Callable[..., Path]


@pytest.fixture
def double(tmp_path: Path) -> Path:
    """A model file that doubles its input `x`."""
    return write_model(tmp_path / "double.luml")


# Orbits


def test_an_orbit_by_name_by_id_and_by_being_the_only_one(client: Client, cast: Cast) -> None:
    for name in ("Garden", cast.here.orbit_id, str(cast.here.orbit_id), None):
        assert client.orbit(name).data.id == cast.here.orbit_id


def test_orbits_that_do_not_fit_are_answered_with_those_there_are(client: Client, cast: Cast) -> None:
    with pytest.raises(NotFound, match=r"'Gaden'.*'Garden'"):
        client.orbit("Gaden")
    client.orbits.create(cast.here.organization_id, name="Pond", bucket_secret_id=cast.here.bucket_id)
    with pytest.raises(Conflict, match="'Garden', 'Pond'"):
        client.orbit()
    other = client.organizations.create(name="Other")
    bucket = client.buckets.list(other.id)[0].id
    twin = client.orbits.create(other.id, name="Garden", bucket_secret_id=bucket)
    with pytest.raises(Conflict, match=str(twin.id)):
        client.orbit("Garden")
    assert client.orbit(twin.id).organization_id == other.id


def test_who_may_enter_none_is_told_so(server: RunningServer, client: Client, charlie: Person, cast: Cast) -> None:
    with Client(server.address, charlie.api_key) as his:
        with pytest.raises(NotFound, match="Inventing room"):
            his.orbit("Garden")
        his.orbits.delete(cast.elsewhere.organization_id, cast.elsewhere.orbit_id)
        with pytest.raises(NotFound, match="no orbit that you can enter"):
            his.orbit()


# Artifacts


def test_a_collection_is_found_or_made(orbit: OrbitHandle) -> None:
    for name in ("models", "model", "100%_", "Models"):
        made = orbit.collection(name)
        assert orbit.collection(name).id == made.id
    assert len(orbit.client.collections.list(*orbit.ids).items) == 4


def test_files_are_stored_by_what_they_are(orbit: OrbitHandle, make_file: MakeFile, double: Path) -> None:
    dataset, model = orbit.upload(make_file()), orbit.upload(double, metrics={"auc": np.float64(0.5)}, tags=["new"])
    assert (dataset.data.type, dataset.data.collection.name) == ("dataset", "datasets")  # type: ignore[attr-defined]
    assert (model.data.type, model.data.collection.name) == ("model", "models")  # type: ignore[attr-defined]
    assert model.data.extra_values["auc"] == 0.5 and model.data.tags == ["new"]
    with pytest.raises(BadRequest, match="dataset"):
        orbit.upload(make_file(), "models")
    assert orbit.upload(double, "all kinds", name="another").data.name == "another"


def test_what_is_no_artifact_is_not_announced(orbit: OrbitHandle, tmp_path: Path, double: Path) -> None:
    (tmp_path / "notes.tar").write_text("hello")
    for path in (tmp_path / "notes.tar", tmp_path / "missing.luml"):
        with pytest.raises((PackagingError, FileNotFoundError)):
            orbit.upload(path)
    with pytest.raises(Invalid, match="metrics"):
        orbit.upload(double, metrics={"auc": "good"})  # type: ignore[dict-item]
    assert list(orbit.artifacts()) == []


def test_an_artifact_by_name_or_id(orbit: OrbitHandle, make_file: MakeFile) -> None:
    first = orbit.upload(make_file(), name="a")
    second = orbit.upload(make_file(), name="a")
    orbit.upload(make_file(), name="a or b")
    assert orbit.artifact("a").id == second.id
    assert orbit.artifact(first.id).id == orbit.artifact(str(first.id).upper()).id == first.id
    with pytest.raises(NotFound, match="'a or b', 'a'"):
        orbit.artifact("c")
    second.delete()
    assert orbit.artifact("a").id == first.id


def test_all_pages_are_read(orbit: OrbitHandle, make_file: MakeFile) -> None:
    path = make_file(10)
    for number in range(7):
        orbit.upload(path, name=f"n{number}")
    assert [one.name for one in orbit.artifacts(limit=3)] == [f"n{n}" for n in range(6, -1, -1)]


def test_who_may_only_look(server: RunningServer, victor: Person, make_file: MakeFile) -> None:
    with Client(server.address, victor.api_key) as client, pytest.raises(Forbidden, match="viewer"):
        client.orbit().upload(make_file())


# Models, datasets, experiments


def test_a_model_survives_the_journey(orbit: OrbitHandle, customers: pd.DataFrame, tmp_path: Path) -> None:
    from fnnx.stable.v1 import Runtime

    inputs = customers[["age", "city"]]
    words = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), remainder="passthrough")
    model = make_pipeline(words, LogisticRegression()).fit(inputs, customers["left"])
    stored = orbit.log_model(model, "churn/2026", sample=inputs, metrics={"auc": 0.9}, tags=["t"])
    assert (stored.data.name, stored.data.type, stored.data.extra_values["auc"]) == ("churn/2026", "model", 0.9)
    found = stored.download(tmp_path)
    assert found.parent == tmp_path and sha256(found) == stored.data.file_hash
    answer = Runtime(str(found)).compute({"age": np.array([20, 50]), "city": np.array(["a", "b"])}, {})
    assert list(answer["prediction"]) == list(model.predict(pd.DataFrame({"age": [20, 50], "city": ["a", "b"]})))


def test_artifacts_by_what_is_known_of_them(orbit: OrbitHandle, make_file: MakeFile) -> None:
    path = make_file(10)
    for number in range(5):
        orbit.upload(path, name=f"n{number}", metrics={"auc": number / 10}, params={"depth": number, "word": "tea"})
    good = 'metrics.auc >= 0.2 and params.word = "tea"'
    assert [one.name for one in orbit.artifacts(filter=good, sort_by="auc", limit=2)] == ["n4", "n3", "n2"]
    assert [one.name for one in orbit.artifacts(filter=good, sort_by="params.depth", order="asc")] == ["n2", "n3", "n4"]
    logged = orbit.artifact("n0").log(metrics={"auc": 0.9, "f1": 1}, params={"word": None})
    assert logged.data.extra_values == {"auc": 0.9, "f1": 1}
    assert logged.data.params == {"depth": 0}
    assert next(orbit.artifacts(sort_by="auc")).name == "n0"
    with pytest.raises(Invalid, match=r"auc > 1\n +\^"):
        next(orbit.artifacts(filter="auc > 1"))


def test_datasets_and_experiments(orbit: OrbitHandle, customers: pd.DataFrame, tmp_path: Path) -> None:
    dataset = orbit.log_dataset({"train": customers, "test": customers.head(1)}, "customers")
    assert dataset.data.manifest["payload"]["total_rows"] == 5
    pd.testing.assert_frame_equal(dataset.to_pandas("train"), customers)
    assert dataset.to_pandas("test", columns=["age"]).to_dict("list") == {"age": [20]}
    assert dataset.column_statistics("train")["age"]["mean"] == 35
    with pytest.raises(PackagingError, match="Say which split"):
        dataset.to_pandas()
    later = orbit.log_dataset(customers.assign(age=customers["age"] + 10, new=1), "customers")
    changes = dataset.changes_to(later)
    assert (changes.added, changes.rows) == (["new"], {"train": (4, 4), "test": (1, None)})
    assert [change.column for change in changes.columns] == ["age"]
    with luml.Experiment("run", tmp_path) as experiment:
        experiment.log_metrics({"loss": 0.25})
        experiment.log_params({"depth": 3})
        run = orbit.log_experiment(experiment)
    assert (run.data.type, run.data.extra_values["loss"]) == ("experiment", 0.25)
    with pytest.raises(Conflict, match="only datasets have rows"):
        run.to_pandas()
    assert [one.id for one in orbit.artifacts(filter="params.depth = 3")] == [run.id]
    assert sha256(run.download(tmp_path)) == run.data.file_hash


# Tracks


def test_promoting_twice_is_once_and_a_stage_moves(orbit: OrbitHandle, double: Path) -> None:
    first, second = orbit.upload(double, name="one"), orbit.upload(double, name="two")
    track = orbit.track("line")
    assert orbit.track("line").data.id == track.data.id
    assert track.add(first).id == track.add(first).id
    one = track.promote(first, "production")
    assert track.promote(first, "production").id == one.id
    two = track.promote(second, "production")
    assert (one.version, two.version) == (1, 2)
    stages = {entry.version: entry.stage_id for entry in track.entries()}
    assert stages == {2: track.stage("production").id, 1: None}
    with pytest.raises(NotFound, match=r"'prod'.*staging, production"):
        track.promote(first, "prod")
    with pytest.raises(Conflict, match="track"):
        first.delete()


def test_a_track_remembers_what_was_where(orbit: OrbitHandle, double: Path) -> None:
    first, second = orbit.upload(double, name="one"), orbit.upload(double, name="two")
    track = orbit.track("line", protected=["production"])
    assert track.stage("production").protected
    track.promote(first, "production", why="the only one")
    then = datetime.now(UTC)
    track.promote(second, "production", why="a better one")
    now, before = track.history("production")
    assert (now.version.artifact_name, now.why, now.until) == ("two", "a better one", None)
    assert (before.version.artifact_name, before.why, before.ended_why) == ("one", "the only one", "a better one")
    assert track.version_in("production").version == 2
    assert track.version_in("production", as_of=then).artifact_name == "one"
    assert track.version_in("staging") is None
    assert [one.version for one in track.as_of(then).versions] == [1]


def test_a_track_takes_one_type(orbit: OrbitHandle, make_file: MakeFile) -> None:
    with pytest.raises(luml.LumlError, match="dataset"):
        orbit.track("line").add(orbit.upload(make_file()))


# Deployments


def test_satellites_that_do_not_fit(orbit: OrbitHandle) -> None:
    with pytest.raises(NotFound, match="none"):
        orbit.satellite()
    orbit.client.satellites.create(*orbit.ids, name="far")
    with pytest.raises(NotFound, match=r"'far \(not started yet\)'"):
        orbit.satellite()
    with pytest.raises(NotFound, match="'near'"):
        orbit.satellite("near")
    assert orbit.satellite("far").name == "far"


def test_from_a_file_to_predictions_and_back_to_nothing(
    orbit: OrbitHandle, double: Path, start_satellite: Callable[..., Daemon]
) -> None:
    start_satellite()
    live = orbit.upload(double).deploy("live").wait(60)
    assert live.compute({"x": [1, 2.5]}) == {"y": [2.0, 5.0]}
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=["a", "b"])
    pd.testing.assert_frame_equal(live.predict(frame), pd.DataFrame({"y": [2.0, 4.0]}, index=["a", "b"]))
    assert orbit.deployment("live").artifact.data.name == "double"
    with pytest.raises(Invalid, match="x"):
        live.compute({})
    with pytest.raises(NotFound, match="'live'"):
        orbit.deployment("dead")
    live.delete()
    with pytest.raises((NotFound, DeploymentFailed)):
        live.wait(30)


def test_a_model_that_does_not_load_says_why(
    orbit: OrbitHandle, tmp_path: Path, start_satellite: Callable[..., Daemon]
) -> None:
    start_satellite()
    broken = write_model(tmp_path / "broken.luml", warmup="raise ValueError('no weights')")
    live = orbit.upload(broken).deploy()
    with pytest.raises(DeploymentFailed, match="no weights"):
        live.wait(60)
    with pytest.raises(Conflict, match="no weights"):
        live.compute({"x": [1]})


def test_waiting_ends(orbit: OrbitHandle, double: Path, start_satellite: Callable[..., Daemon]) -> None:
    start_satellite().stop()
    live = orbit.upload(double).deploy()
    with pytest.raises(DeploymentFailed, match="still pending after 0 s"):
        live.wait(0)
    with pytest.raises(Conflict, match="wait"):
        live.predict([1.0])


# Answers as tables


@pytest.fixture
def table() -> Iterator[Callable[..., Any]]:
    from luml_app.client.inference import predictions

    yield predictions


def test_outputs_become_columns(table: Callable[..., Any]) -> None:
    frame = table({"y": [1, 2], "p": [[0.1, 0.9], [0.2, 0.8]]}, {"x": [1, 2]})
    assert frame.to_dict("list") == {"y": [1, 2], "p_0": [0.1, 0.2], "p_1": [0.9, 0.8]}


@pytest.mark.parametrize("outputs", [{"y": 1}, {"y": [[1], [1, 2]]}, {"y": [1], "z": [1, 2]}, {"y": [1, [2]]}])
def test_outputs_that_are_no_columns_stay_what_they_are(table: Callable[..., Any], outputs: dict[str, Any]) -> None:
    assert table(outputs, [1]) == outputs


def test_no_rows(table: Callable[..., Any]) -> None:
    assert table({"y": []}, pd.DataFrame({"x": []})).shape == (0, 1)
