"""The demo: a small model on mixed-type data, from training to a served prediction, by the public Python API."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from luml_app.client.objects import ArtifactHandle, DeploymentHandle
from luml_app.client.orbits import OrbitHandle
from luml_app.packaging import Experiment
from luml_app.schemas.errors import LumlError, NotFound

if TYPE_CHECKING:
    import pandas as pd

NAME = "churn-demo"
TRACK = "churn"
ROWS = 2_000
SEED = 7
SATELLITE_SECONDS = 900.0
Say = Callable[[str], None]


class DemoFailed(LumlError):  # noqa: N818
    """The endpoint predicts something else than the model itself."""

    code = "demo"


def run_demo(orbit: OrbitHandle, say: Say) -> None:
    """Run it in `orbit`, reusing what an earlier run has left there.

    Raises whatever went wrong, and DemoFailed when the endpoint predicts something else than the model itself.
    """
    say("Demo: which customers will leave?")
    customers = make_customers(ROWS, SEED)
    train, test = customers.iloc[: ROWS * 4 // 5], customers.iloc[ROWS * 4 // 5 :]
    model, metrics = train_model(train, test)
    say(f"  trained     logistic regression on {len(train)} customers, AUC {metrics['auc']:.3f}")
    dataset = _reused(orbit, f"{NAME}-data") or orbit.log_dataset({"train": train, "test": test}, f"{NAME}-data")
    say(f"  dataset     {_page(orbit, dataset)}")
    experiment = _reused(orbit, f"{NAME}-run") or _log_experiment(orbit, metrics)
    say(f"  experiment  {_page(orbit, experiment)}")
    stored = _reused(orbit, NAME) or orbit.log_model(
        model, NAME, sample=_inputs(test).head(50), data=_inputs(train), metrics=metrics, tags=["demo"]
    )
    say(f"  model       {_page(orbit, stored)}")
    track = orbit.track(TRACK)
    entry = track.promote(stored, "production")
    say(f"  track       {TRACK} version {entry.version} is in production: {_address(orbit, f'tracks/{track.data.id}')}")
    live = _deployed(orbit, stored, say).wait()
    say(f"  deployment  {_address(orbit, f'deployments/{live.data.id}')}")
    _predict(live, model, _varied(model, _inputs(test)), say)


def luml_command() -> str:
    """How to call this `luml` from the folder we were started in: its name where the shell finds it, else its path."""
    own, found = Path(sys.executable).with_name("luml"), shutil.which("luml")
    if not own.exists() or (found and Path(found).samefile(own)):
        return "luml"
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))


def make_customers(rows: int, seed: int) -> pd.DataFrame:
    """Customers of a telephone company: numbers, words, yes/no, and holes in the data. The same for the same seed."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, rows),
            "monthly_charge": random.gamma(6.0, 9.0, rows).round(2),
            "contract": random.choice(["monthly", "yearly", "two years"], rows, p=[0.55, 0.3, 0.15]),
            "region": random.choice(["north", "east", "south", "west"], rows),
            "paperless": random.random(rows) < 0.6,
        }
    )
    leaning = 0.03 * (frame.monthly_charge - 50) - 0.02 * (frame.age - 45) + 1.4 * (frame.contract == "monthly") - 1.2
    frame["left"] = random.random(rows) < 1 / (1 + np.exp(-leaning))
    frame.loc[random.random(rows) < 0.05, "monthly_charge"] = np.nan
    return frame


def train_model(train: pd.DataFrame, test: pd.DataFrame) -> tuple[Any, dict[str, float]]:
    """A fitted scikit-learn pipeline with a column transformer, and its metrics on `test`."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [("numbers", numbers, ["age", "monthly_charge"]), ("words", words, ["contract", "region"])],
        remainder="passthrough",
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(_inputs(train), train["left"])
    chance = model.predict_proba(_inputs(test))[:, 1]
    return model, {
        "auc": float(roc_auc_score(test["left"], chance)),
        "accuracy": float(accuracy_score(test["left"], chance > 0.5)),
        "log_loss": float(log_loss(test["left"], chance)),
    }


def _inputs(customers: pd.DataFrame) -> pd.DataFrame:
    return customers.drop(columns="left")


def _reused(orbit: OrbitHandle, name: str) -> ArtifactHandle | None:
    try:
        return orbit.artifact(name)
    except NotFound:
        return None


def _log_experiment(orbit: OrbitHandle, metrics: dict[str, float]) -> ArtifactHandle:
    with tempfile.TemporaryDirectory(prefix="luml-") as folder, Experiment(f"{NAME}-run", Path(folder)) as experiment:
        experiment.log_params({"model": "LogisticRegression", "max_iter": 500, "seed": SEED, "rows": ROWS})
        experiment.log_metrics(metrics)
        return orbit.log_experiment(experiment, tags=["demo"])


def _deployed(orbit: OrbitHandle, stored: ArtifactHandle, say: Say) -> DeploymentHandle:
    """The demo's deployment; one that has failed is replaced."""
    alive = {"pending", "active", "not_responding"}
    for one in orbit.deployments():
        if one.data.name == NAME and one.data.artifact_id == stored.id and one.data.status in alive:
            return one
    return stored.deploy(NAME, satellite=_satellite(orbit, say))


def _satellite(orbit: OrbitHandle, say: Say) -> UUID:
    """The satellite of this machine, else the first that works; a new one may need minutes to prepare its runtime."""
    deadline, told = time.monotonic() + SATELLITE_SECONDS, False
    while time.monotonic() < deadline:
        ready = [one for one in orbit.client.satellites.list(*orbit.ids) if one.status == "active"]
        for one in sorted(ready, key=lambda one: one.name != "local"):
            return one.id
        if not told:
            say("  satellite   has not started yet; waiting for it …")
            told = True
        time.sleep(0.5)
    raise NotFound("No satellite has started in this orbit; `luml doctor` may know why.")


def _varied(model: Any, customers: pd.DataFrame) -> pd.DataFrame:
    """Four customers: two who will stay and two who will leave, as far as the model knows."""
    leaving = model.predict(customers)
    chosen = [*customers.index[~leaving][:2], *customers.index[leaving][:2]]
    return customers.loc[sorted(chosen)]


def _predict(live: DeploymentHandle, model: Any, rows: pd.DataFrame, say: Say) -> None:
    answer = live.predict(rows)
    if answer["prediction"].tolist() != model.predict(rows).tolist():
        raise DemoFailed(
            f"The endpoint predicts {answer['prediction'].tolist()}, the model itself {model.predict(rows).tolist()}."
        )
    shown = rows.assign(will_leave=answer["prediction"], chance=answer["probabilities_1"].round(3))
    say("  prediction  of the endpoint, the same as the model's own:\n")
    say("\n".join("    " + line for line in shown.to_string(index=False).splitlines()))
    say(f"\nCall it yourself:\n    {luml_command()} predict {NAME} --example\n")


def _page(orbit: OrbitHandle, artifact: ArtifactHandle) -> str:
    return _address(orbit, f"artifacts/{artifact.id}")


def _address(orbit: OrbitHandle, rest: str) -> str:
    return f"{orbit.client.address}/app/o/{orbit.data.id}/{rest}"
