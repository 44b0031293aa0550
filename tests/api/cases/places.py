"""Calls about orbits, their secrets and buckets, and the deletion of whole places."""

from __future__ import annotations

from typing import Any

from tests.api.cases.playing import CASES, Case, case, plain
from tests.api.stage import Stage

BUCKET = {"endpoint": "s3.example.org", "bucket_name": "treacle", "access_key": "open", "secret_key": "sesame"}


def _other_bucket(stage: Stage) -> dict[str, Any]:
    return {"secret_id": stage.alice.buckets.create(stage.cast.here.organization_id, **BUCKET).id}


plain("buckets.list")
plain("buckets.create", BUCKET)
plain("buckets.get")
plain("buckets.probe_urls", {})
plain("buckets.try_urls", BUCKET)
plain("buckets.probe")
CASES["buckets.update"] = lambda stage: Case({"region": "eu", "secret_key": "abracadabra"}, path=_other_bucket(stage))
CASES["buckets.delete"] = lambda stage: Case(path=_other_bucket(stage))


plain("orbits.list")


@case("orbits.create")
def _(stage: Stage) -> Case:
    members = [{"user_id": str(stage.cast.bob.id), "role": "admin"}]
    return Case({"name": "Kitchen", "bucket_secret_id": str(stage.cast.here.bucket_id), "members": members})


plain("orbits.get")


@case("orbits.update")
def _(stage: Stage) -> Case:
    other = stage.alice.buckets.create(stage.cast.here.organization_id, **BUCKET)
    return Case({"name": "Flower bed", "bucket_secret_id": str(other.id)})


@case("orbits.delete")
def _(stage: Stage) -> Case:
    here = stage.cast.here
    made = stage.alice.orbits.create(here.organization_id, name="Empty", bucket_secret_id=here.bucket_id)
    return Case(path={"orbit_id": made.id})


SECRET = {"name": "well", "value": "treacle", "tags": ["sweet"]}
plain("secrets.list")
plain("secrets.create", SECRET)
for name in ("secrets.get", "agent.secret"):
    CASES[name] = lambda stage: Case(path={"secret_id": stage.ids["orbit_secret_id"]})
CASES["secrets.update"] = lambda stage: Case(
    {"name": "spring", "value": "molasses"}, path={"secret_id": stage.ids["orbit_secret_id"]}
)
CASES["secrets.delete"] = lambda stage: Case(path={"secret_id": stage.alice.secrets.create(*stage.path(), **SECRET).id})


plain("deletions.list")
plain("collections.force_delete", confirm="Croquet")
plain("orbits.force_delete", confirm="Garden")
plain("organizations.force_delete", confirm="Wonderland")
