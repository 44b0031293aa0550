"""A stage on which every operation can be played: one object of each kind in Alice's orbit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.ids import new_id
from luml_app.core.keys import SATELLITE_KEY
from luml_app.core.scope import Credentials
from luml_app.core.service import Service
from luml_app.core.settings import Settings
from luml_app.resources import all_operations
from luml_app.web.house import House
from luml_app.web.local import LocalApi
from tests.cast import KEYS, Cast, load_cast

SATELLITE_TOKEN = f"{SATELLITE_KEY}of-the-stage".ljust(50, "0")
INFERENCE_KEY = "dfs_for-inference-only".ljust(47, "0")
CAPABILITIES: dict[str, Any] = {
    "deploy": {"version": 1, "supported_variants": ["pyfunc", "pipeline"], "extra_fields_form_spec": [], "rollouts": 1},
    "monitoring": None,
}
MODEL_MANIFEST: dict[str, Any] = {
    "variant": "pyfunc",
    "producer_name": "tests",
    "producer_version": "1.0",
    "producer_tags": ["tests:1"],
    "inputs": [{"name": "x", "content_type": "NDJSON", "dtype": "Array[float32]", "shape": [-1]}],
    "outputs": [{"name": "y", "content_type": "NDJSON", "dtype": "Array[float32]", "shape": [-1]}],
    "dynamic_attributes": [],
    "env_vars": [],
}
DATASET_MANIFEST: dict[str, Any] = {
    "artifact_type": "dataset",
    "variant": "tabular",
    "producer_name": "tests",
    "producer_version": "1.0",
    "producer_tags": [],
    "payload": {"rows": 3},
}


def announced(content: bytes = b"a model", name: str = "Mock turtle", **fields: Any) -> dict[str, Any]:
    """The body that announces a model of this content."""
    known = {
        "name": name,
        "file_name": "model.luml",
        "manifest": MODEL_MANIFEST,
        "file_index": {"manifest.json": [0, 7]},
        "file_hash": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "extra_values": {"accuracy": 0.9},
        "tags": ["soup"],
    }
    return known | fields


def mark_uploaded(database: Database, artifact_id: Any) -> None:
    """Pretend that an artifact's bytes are there; real uploads have their own tests."""
    with database.write() as db:
        db.execute(update(t.artifacts).where(t.artifacts.c.id == artifact_id).values(status="uploaded"))


def build_stage(database: Database) -> None:
    """Put one object of each kind into Alice's orbit."""
    cast, service = load_cast(database), Service(all_operations(), database, KEYS, Settings())
    alice, here = LocalApi(service, Credentials(user_id=cast.alice.id)), cast.here.path
    collection = alice.collections.create(*here, name="Croquet", type="mixed", tags=["queen"])
    made = [alice.artifacts.create(*here, collection.id, **announced(name=name)) for name in ("Dormouse", "Hatter")]
    for one in made:
        mark_uploaded(database, one.artifact.id)
    track = alice.tracks.create(*here, name="Tea party", artifact_type="model", stages=["staging", "production"])
    alice.track_entries.create(*here, track.id, artifact_id=made[0].artifact.id, stage_id=track.stages[0].id)
    satellite = alice.satellites.create(*here, name="White rabbit").satellite
    key = {"id": new_id(), "user_id": cast.alice.id, "name": "inference", "scopes": ["inference"], "hint": "only"}
    with database.write() as db:
        mine = t.satellites.c.id == satellite.id
        db.execute(update(t.satellites).where(mine).values(key_hash=KEYS.hash(SATELLITE_TOKEN)))
        db.execute(insert(t.api_keys).values(**key, key_hash=KEYS.hash(INFERENCE_KEY)))
    rabbit = LocalApi(service, Credentials(token=SATELLITE_TOKEN))
    rabbit.agent.pair(base_url="http://127.0.0.1:9", capabilities=CAPABILITIES, slug=None)
    secret = {"PASSWORD": alice.secrets.create(*here, name="riddle", value="a raven and a writing desk").id}
    parts = {"satellite_id": satellite.id, "artifact_id": made[0].artifact.id, "env_variables_secrets": secret}
    alice.deployments.create(*here, name="Oracle", **parts)
    alice.invites.create(here[0], email="dodo@example.org", role="member")
    alice.service_accounts.create(here[0], name="Knave")


@dataclass
class Stage:
    """The stage of one test: `ids` by the names of path parameters, and the apis of those who act on it."""

    house: House
    cast: Cast

    @cached_property
    def ids(self) -> dict[str, UUID]:
        here = self.cast.here
        ids = {"organization_id": here.organization_id, "orbit_id": here.orbit_id, "secret_id": here.bucket_id}
        tables = {
            "collection_id": t.collections,
            "artifact_id": t.artifacts,
            "track_id": t.tracks,
            "entry_id": t.track_entries,
            "satellite_id": t.satellites,
            "deployment_id": t.deployments,
            "task_id": t.jobs,
            "orbit_secret_id": t.orbit_secrets,
            "invite_id": t.invites,
        }
        with self.house.database.read() as db:
            for name, table in tables.items():
                ids[name] = db.scalars(select(table.c.id).order_by(table.c.created_at, table.c.id)).first()
            keys = select(t.api_keys.c.id).where(t.api_keys.c.name == "inference")
            ids["key_id"] = db.scalars(keys).one()
            ids["account_id"] = db.scalars(select(t.users.c.id).where(t.users.c.full_name == "Knave")).one()
            for orbit, table in ((True, t.orbit_members), (False, t.organization_members)):
                bob = select(table.c.id).where(table.c.user_id == self.cast.bob.id)
                ids["orbit_member_id" if orbit else "member_id"] = db.scalars(bob).one()
        return ids | {"model_artifact_id": ids["artifact_id"]}

    def path(self, *names: str) -> tuple[UUID, ...]:
        """The ids with which the calls about an object begin, those of the orbit first."""
        return (*self.cast.here.path, *(self.ids[name] for name in names))

    @cached_property
    def alice(self) -> LocalApi:
        return self.house.api(Credentials(token=self.cast.alice.api_key))

    @cached_property
    def satellite(self) -> LocalApi:
        return self.house.api(Credentials(token=SATELLITE_TOKEN))

    @cached_property
    def spare(self) -> Any:
        """The uploaded artifact that nothing uses."""
        (other,) = (one for one in self.alice.artifacts.list(*self.path()).items if one.name == "Hatter")
        return other
