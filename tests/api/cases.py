"""One valid call of every operation. Budgets, permissions, events and the contract are checked by playing them.

A new operation needs a case here; `test_every_operation_has_a_case` says which are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from sqlalchemy import insert, update

from luml_app.core import tables as t
from luml_app.core.ids import new_id
from luml_app.core.keys import new_token
from luml_app.core.operations import Operation
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.resources import all_operations
from luml_app.resources.sessions import VISIT
from tests.api.stage import CAPABILITIES, SATELLITE_TOKEN, Stage, announced, mark_uploaded
from tests.cast import PASSWORD, add_person, join_organization
from tests.provider import IdentityProvider, shared_provider


@dataclass
class Case:
    """What to send: `path` where it differs from the stage's own ids, `token` where it is not Alice who calls."""

    body: Any = None
    query: dict[str, Any] = field(default_factory=dict)
    path: dict[str, Any] = field(default_factory=dict)
    refresh_token: str | None = None
    token: str | None = None
    visit: str | None = None


Maker = Callable[[Stage], Case]
CASES: dict[str, Maker] = {}
OPERATIONS = all_operations()


def case(name: str) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        CASES[name] = maker
        return maker

    return register


def plain(name: str, body: Any = None, **query: Any) -> None:
    CASES[name] = lambda stage: Case(body, query)


def request_of(stage: Stage, operation: Operation, credentials: Credentials | None = None) -> Request:
    """The case of an operation as a request of whom it is for, or of somebody else."""
    played = CASES[operation.name](stage)
    path = {name: played.path.get(name, stage.ids.get(name)) for name in operation.path_parameters}
    token = {"user": stage.cast.alice.api_key, "satellite": SATELLITE_TOKEN, "anyone": None}[operation.by]
    who = credentials or Credentials(
        token=played.token or token, refresh_token=played.refresh_token, visit=played.visit
    )
    return Request(operation, path, played.query, played.body, who)


def _signed_in(stage: Stage) -> dict[str, str]:
    body = {"email": stage.cast.alice.email, "password": PASSWORD}
    answer = stage.house.service.call(Request(OPERATIONS["auth.signin"], body=body))
    return {name: value for name, (value, _) in answer.cookies.items()}


plain("auth.signin", {"email": "alice@example.org", "password": PASSWORD})
plain("auth.create_link")
plain("auth.logout")
plain("auth.me")
plain("auth.update_me", {"full_name": "Alice Liddell", "password": "through the looking glass"})


@case("auth.refresh")
def _(stage: Stage) -> Case:
    return Case(refresh_token=_signed_in(stage)["refresh_token"])


plain("accounts.signup", {"email": "Ada@example.org", "password": "analytical engine", "full_name": "Ada"})
plain("accounts.resend_confirmation", {"email": "alice@example.org"})
plain("accounts.forgot_password", {"email": "alice@example.org"})


def _mailed_token(stage: Stage, kind: str, *, confirmed: bool) -> str:
    """What a mail to Alice would have brought."""
    token, u, tokens = new_token(), t.users, t.account_tokens
    moment = datetime.now(UTC) + timedelta(hours=1)
    row = {"hash": stage.house.keys.hash(token), "user_id": stage.cast.alice.id, "kind": kind, "expires_at": moment}
    with stage.house.database.write() as db:
        db.execute(insert(tokens).values(row))
        if not confirmed:
            db.execute(update(u).where(u.c.id == stage.cast.alice.id).values(email_confirmed_at=None))
    return token


@case("accounts.confirm_email")
def _(stage: Stage) -> Case:
    return Case(query={"confirmation_token": _mailed_token(stage, "confirm", confirmed=False)})


@case("accounts.reset_password")
def _(stage: Stage) -> Case:
    _signed_in(stage)
    token = _mailed_token(stage, "reset", confirmed=True)
    return Case({"reset_token": token, "new_password": "through the looking glass"})


@case("accounts.delete_me")
def _(stage: Stage) -> Case:
    ada = add_person(stage.house.database, "ada")
    stage.house.api(Credentials(token=ada.api_key)).organizations.create(name="Engines")
    return Case(token=ada.api_key)


@case("sessions.list")
def _(stage: Stage) -> Case:
    _signed_in(stage)
    return Case()


@case("sessions.delete")
def _(stage: Stage) -> Case:
    _signed_in(stage)
    return Case(path={"session_id": stage.alice.sessions.list()[0].id})


@case("sessions.delete_others")
def _(stage: Stage) -> Case:
    _signed_in(stage)
    return Case()


plain("identities.providers")
plain("identities.list")


def _with_providers(stage: Stage) -> IdentityProvider:
    """Set all providers up, as one that signs everybody in as Grace."""
    provider = shared_provider()
    ways = [provider.settings(name) for name in ("google", "microsoft", "oidc")]
    stage.house.know(replace(stage.house.settings, **{name: value for way in ways for name, value in way.items()}))
    return provider


def _returning(stage: Stage, way: str) -> Case:
    """Somebody who has been here before comes back from a provider."""
    provider = _with_providers(stage)
    provider.tenants = way == "microsoft"
    provider.be(tid="tenant")
    cases = []
    for _ in range(2):
        left = stage.house.service.call(Request(OPERATIONS[f"identities.{way}_login"]))
        back = parse_qs(urlsplit(httpx.get(left.value.url).headers["Location"]).query)
        cases.append(Case(query={name: values[0] for name, values in back.items()}, visit=left.cookies[VISIT][0]))
    first = Credentials(visit=cases[0].visit)
    stage.house.service.call(Request(OPERATIONS[f"identities.{way}_callback"], {}, cases[0].query, None, first))
    return cases[1]


for _way in ("google", "microsoft", "oidc"):

    @case(f"identities.{_way}_login")
    def _(stage: Stage, way: str = _way) -> Case:
        _with_providers(stage).tenants = way == "microsoft"
        return Case()

    @case(f"identities.{_way}_callback")
    def _(stage: Stage, way: str = _way) -> Case:
        return _returning(stage, way)


@case("identities.link")
def _(stage: Stage) -> Case:
    _with_providers(stage).tenants = False
    return Case({"provider": "oidc"})


@case("identities.delete")
def _(stage: Stage) -> Case:
    identity_id, i = new_id(), t.identities
    row = {"id": identity_id, "user_id": stage.cast.alice.id, "provider": "oidc", "issuer": "x", "subject": "y"}
    with stage.house.database.write() as db:
        db.execute(insert(i).values(row))
    return Case(path={"identity_id": identity_id})


@case("auth.use_link")
def _(stage: Stage) -> Case:
    return Case(query={"token": stage.alice.auth.create_link().path.partition("token=")[2]})


@case("auth.logout")
def _(stage: Stage) -> Case:
    return Case(refresh_token=_signed_in(stage)["refresh_token"])


@case("api_keys.create_default")
def _(stage: Stage) -> Case:
    stage.alice.api_keys.create_default()
    return Case()


@case("api_keys.delete_default")
def _(stage: Stage) -> Case:
    stage.alice.api_keys.create_default()
    return Case()


plain("api_keys.list")
plain("api_keys.create", {"name": "of the notebook", "scopes": ["api"]})
plain("api_keys.update", {"name": "renamed"})
plain("api_keys.delete")
plain("api_keys.validate")

plain("organizations.list")
plain("organizations.create", {"name": "Looking glass"})
plain("organizations.get")
plain("organizations.update", {"name": "Through the looking glass"})


@case("organizations.delete")
def _(stage: Stage) -> Case:
    return Case(path={"organization_id": stage.alice.organizations.create(name="Empty").id})


@case("organizations.leave")
def _(stage: Stage) -> Case:
    """Victor's own organization, of which Alice is an admin: she cannot leave hers, which she owns."""
    victor = stage.house.api(Credentials(token=stage.cast.victor.api_key))
    organization_id = victor.organizations.create(name="Looking glass").id
    join_organization(stage.house.database, organization_id, stage.cast.alice.id, "admin")
    return Case(path={"organization_id": organization_id})


CASES["organizations.transfer"] = lambda stage: Case({"member_id": str(stage.ids["member_id"])})
CASES["permissions.check"] = lambda stage: Case(
    query={"permission": "deployment:create", "orbit_id": str(stage.cast.here.orbit_id)}
)

plain("members.list")
CASES["members.create"] = lambda stage: Case({"user_id": str(stage.cast.charlie.id), "role": "member"})
plain("members.update", {"role": "admin"})
plain("members.delete")

plain("invites.list")
plain("invites.create", {"email": "Gryphon@example.org", "role": "member"})
plain("invites.resend")
plain("invites.delete")
plain("invitations.list")


def _alices_invitation(stage: Stage) -> Case:
    """To Charlie's organization, which is not hers yet."""
    charlie = stage.house.api(Credentials(token=stage.cast.charlie.api_key))
    place = stage.cast.elsewhere.organization_id
    return Case(path={"invite_id": charlie.invites.create(place, email=stage.cast.alice.email, role="member").id})


CASES["invitations.accept"] = _alices_invitation
CASES["invitations.reject"] = _alices_invitation

plain("service_accounts.list")
plain("service_accounts.create", {"name": "Card soldier"})
plain("service_accounts.delete")
plain("service_accounts.keys")
plain("service_accounts.create_key", {"name": "of the spade", "scopes": ["api"]})


@case("service_accounts.delete_key")
def _(stage: Stage) -> Case:
    account = (stage.cast.here.organization_id, stage.ids["account_id"])
    stage.alice.service_accounts.create_key(*account, name="of the heart")
    return Case(path={"key_id": stage.alice.service_accounts.keys(*account)[0].id})


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


plain("orbit_members.list")
CASES["orbit_members.update"] = lambda stage: Case({"role": "viewer"}, path=_bob_in_the_orbit(stage))
CASES["orbit_members.delete"] = lambda stage: Case(path=_bob_in_the_orbit(stage))


def _bob_in_the_orbit(stage: Stage) -> dict[str, Any]:
    return {"member_id": stage.ids["orbit_member_id"]}


@case("orbit_members.create")
def _(stage: Stage) -> Case:
    return Case({"user_id": str(stage.ids["account_id"]), "role": "member"})


SECRET = {"name": "well", "value": "treacle", "tags": ["sweet"]}
plain("secrets.list")
plain("secrets.create", SECRET)
for name in ("secrets.get", "agent.secret"):
    CASES[name] = lambda stage: Case(path={"secret_id": stage.ids["orbit_secret_id"]})
CASES["secrets.update"] = lambda stage: Case(
    {"name": "spring", "value": "molasses"}, path={"secret_id": stage.ids["orbit_secret_id"]}
)
CASES["secrets.delete"] = lambda stage: Case(path={"secret_id": stage.alice.secrets.create(*stage.path(), **SECRET).id})


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


@case("uploads.multipart")
def _(stage: Stage) -> Case:
    size = 300 * 2**20
    body = announced() | {"size": size}
    upload = stage.alice.artifacts.create(*stage.path("collection_id"), **body).upload_details
    place = {"bucket_id": str(upload.bucket_secret_id), "bucket_location": upload.bucket_location}
    return Case({**place, "size": size, "upload_id": "0123456789abcdef0123456789abcdef"})


def _unfinished(stage: Stage) -> Case:
    made = stage.alice.artifacts.create(*stage.path("collection_id"), **announced()).artifact
    return Case(path={"artifact_id": made.id})


CASES["uploads.retry"] = _unfinished
CASES["uploads.abort"] = _unfinished

plain("deletions.list")
plain("collections.force_delete", confirm="Croquet")
plain("orbits.force_delete", confirm="Garden")
plain("organizations.force_delete", confirm="Wonderland")

plain("collections.create", {"name": "Flamingos", "type": "model", "tags": ["pink"]})
plain("collections.list", search="cro", types=["model"], sort_by="total_artifacts")
plain("collections.get")
plain("collections.update", {"description": "with hedgehogs"})


@case("collections.delete")
def _(stage: Stage) -> Case:
    return Case(path={"collection_id": stage.alice.collections.create(*stage.path(), name="Empty", type="model").id})


plain("artifacts.create", announced())
EXPRESSION = (
    'metrics.accuracy > 0.5 and not (tags contains "odd" or params.depth in (1, 2)) and created_at > "2026-01-01"'
)
plain("artifacts.list", search="a", sort_by="accuracy", types=["model"], filter=EXPRESSION, with_total=True)
plain("artifacts.find")
plain("artifacts.by_hash", sha256=announced()["file_hash"])


def _elsewhere(stage: Stage) -> dict[str, Any]:
    return {"target_collection_id": str(stage.alice.collections.create(*stage.path(), name="Wood", type="model").id)}


CASES["artifacts.move"] = lambda stage: Case(_elsewhere(stage))
CASES["artifacts.move_many"] = lambda stage: Case({"artifact_ids": [str(stage.spare.id)], **_elsewhere(stage)})
CASES["artifacts.delete_many"] = lambda stage: Case({"artifact_ids": [str(stage.spare.id)]})
plain("artifacts.get")
plain("search.list", text="mad ha", kinds=["artifact", "deployment"])
plain("artifacts.update", {"description": "sleepy", "tags": [], "metrics": {"f1": 1}, "params": {"depth": None}})
plain("artifacts.download_url")
for name in ("artifacts.delete_url", "artifacts.delete", "artifacts.force_delete"):
    CASES[name] = lambda stage: Case(path={"artifact_id": stage.spare.id})

plain("tracks.create", {"name": "Lobster quadrille", "artifact_type": "model", "stages": ["one", "two"]})
plain("tracks.list", search="tea", sort_by="total_entries")
plain("tracks.get")
plain("tracks.stages")
plain("tracks.delete")


@case("tracks.update")
def _(stage: Stage) -> Case:
    staging, _ = stage.alice.tracks.stages(*stage.path("track_id"))
    stages = [{"name": "new"}, {"id": str(staging.id), "name": "renamed"}]
    return Case({"name": "Mad tea party", "stages": stages})


@case("track_entries.create")
def _(stage: Stage) -> Case:
    _, production = stage.alice.tracks.stages(*stage.path("track_id"))
    return Case({"artifact_id": str(stage.spare.id), "stage_id": str(production.id)})


@case("track_entries.update")
def _(stage: Stage) -> Case:
    _, production = stage.alice.tracks.stages(*stage.path("track_id"))
    where = stage.path("track_id")
    stage.alice.track_entries.create(*where, artifact_id=stage.spare.id, stage_id=production.id)
    return Case({"stage_id": str(production.id)}, {"force": True})


@case("track_entries.by_stage")
def _(stage: Stage) -> Case:
    staging, _ = stage.alice.tracks.stages(*stage.path("track_id"))
    return Case(query={"stage_id": str(staging.id)})


plain("track_entries.list", sort_by="stage")
plain("track_entries.get")
plain("track_entries.delete")
CASES["track_entries.delete_many"] = lambda stage: Case({"entry_ids": [str(stage.ids["entry_id"])]})


def _a_stage(stage: Stage) -> dict[str, Any]:
    return {"stage_id": stage.alice.tracks.stages(*stage.path("track_id"))[0].id}


CASES["track_history.stage"] = lambda stage: Case(path=_a_stage(stage))
CASES["track_history.stage_then"] = lambda stage: Case(path=_a_stage(stage))
plain("track_history.track_then")

plain("events.list", action="track.", limit=1000)
plain("events.list_in_orbit", actor="alice@example.org")
plain("events.export")
plain("events.export_of_orbit", since="2026-01-01T00:00:00Z")


def _a_webhook(stage: Stage) -> dict[str, Any]:
    made = stage.alice.webhooks.create(stage.cast.here.organization_id, url="https://example.org/hook", actions=["*"])
    return {"webhook_id": made.webhook.id}


def _a_delivery(stage: Stage) -> dict[str, Any]:
    hook = _a_webhook(stage)
    sent = stage.alice.webhooks.test(stage.cast.here.organization_id, hook["webhook_id"])
    return hook | {"delivery_id": sent.id}


plain("webhooks.create", {"url": "https://example.org/hook/of/luml", "actions": ["track.*"]})
plain("webhooks.list")
for name in ("get", "delete", "rotate_secret", "test", "deliveries"):
    CASES[f"webhooks.{name}"] = lambda stage: Case(path=_a_webhook(stage))
CASES["webhooks.update"] = lambda stage: Case({"enabled": False, "description": "asleep"}, path=_a_webhook(stage))
for name in ("delivery", "redeliver"):
    CASES[f"webhooks.{name}"] = lambda stage: Case(path=_a_delivery(stage))

plain("satellites.create", {"name": "Cheshire cat"})
plain("satellites.list", paired=True)
plain("satellites.get")
plain("satellites.update", {"description": "late"})
plain("satellites.rotate_key")


@case("satellites.delete")
def _(stage: Stage) -> Case:
    return Case(path={"satellite_id": stage.alice.satellites.create(*stage.path(), name="Empty").satellite.id})


@case("deployments.create")
def _(stage: Stage) -> Case:
    ids = {name: str(stage.ids[name]) for name in ("satellite_id", "artifact_id")}
    secret = str(stage.ids["orbit_secret_id"])
    secrets = {"env_variables_secrets": {"PASSWORD": secret}, "dynamic_attributes_secrets": {"token": secret}}
    return Case({**ids, "name": "Second oracle", "env_variables": {"MOOD": "mad"}, **secrets})


plain("deployments.list")
plain("deployments.get")
CASES["deployments.update"] = lambda stage: Case(
    {"name": "Sibyl", "dynamic_attributes_secrets": {"token": str(stage.ids["orbit_secret_id"])}}
)
plain("deployments.delete")
plain("deployments.force_delete")

plain("agent.pair", {"base_url": "http://127.0.0.1:10", "capabilities": CAPABILITIES, "slug": "rabbit"})
plain("agent.tasks", status="pending")
plain("agent.update_task", {"status": "running", "lease_seconds": 30})


@case("agent.renew_task")
def _(stage: Stage) -> Case:
    task = stage.satellite.agent.update_task(stage.ids["task_id"], status="running", lease_seconds=30)
    return Case({"lease_token": str(task.lease_token), "lease_seconds": 60})


plain("agent.deployments")
plain("agent.deployment")
plain("agent.update_deployment", {"status": "active", "inference_url": "http://127.0.0.1:9/d", "generation": 1})
plain("agent.update_deployment_status", {"status": "failed"})


@case("agent.delete_deployment")
def _(stage: Stage) -> Case:
    stage.alice.deployments.delete(*stage.path("deployment_id"))
    return Case()


CASES["agent.inference_access"] = lambda stage: Case({"api_key": stage.cast.alice.api_key})
plain("agent.secrets")
plain("agent.artifact")
plain("agent.artifact_url")
plain("agent.model")
plain("agent.model_url")

__all__ = ["CASES", "OPERATIONS", "Case", "mark_uploaded", "request_of"]
