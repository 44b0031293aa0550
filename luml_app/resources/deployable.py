"""What may be deployed where: the model, the satellite and the secrets of a deployment, found and checked together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, null, select

from luml_app.core import tables as t
from luml_app.core.paths import in_living_collection
from luml_app.resources.parameters import ModelTraits, check_kind, check_parameters
from luml_app.schemas.errors import Conflict, NotFound
from luml_app.schemas.fields import UnsetType

SECRETS = ("env_variables_secrets", "dynamic_attributes_secrets")
CURRENT = ("artifact_id", "parameters", "env_variables", "env_variables_secrets", "served_at")


def find_parts(
    db: Connection,
    orbit_id: Any,
    *,
    satellite_id: Any,
    artifact_id: Any,
    secrets: Iterable[UUID] = (),
    revision_id: Any = None,
    missing: str = "There is no such artifact in this orbit.",
) -> Any:
    """The model, the satellite, which of the `secrets` there are, and the deployment's current revision (`current_…`;
    all None without one), in one query.

    Model and secrets are held, so that they stay as they are until the transaction ends. Raises NotFound, for the model
    with the sentence `missing`.
    """
    a, s, r = t.artifacts, t.satellites, t.revisions
    artifact = (a.c.id == artifact_id) & (a.c.orbit_id == orbit_id) & in_living_collection()
    satellite = (s.c.id == satellite_id) & (s.c.orbit_id == orbit_id)
    manifest = (a.c.manifest["variant"].astext.label("variant"), a.c.manifest["producer_tags"].label("producer_tags"))
    held = held_secrets(orbit_id, set(secrets)).label("secrets")
    current = [r.c[name].label(f"current_{name}") for name in CURRENT]
    columns = [a.c.id, a.c.type, a.c.status, a.c.file_hash, *manifest, s.c.paired, s.c.capabilities, held, *current]
    joined = a.join(s, satellite).outerjoin(r, r.c.id == (null() if revision_id is None else revision_id))
    row = db.execute(
        select(*columns).select_from(joined).where(artifact).with_for_update(read=True, of=a)
    ).one_or_none()
    if row is None:
        found = db.scalar(select(a.c.id).where(artifact))
        raise NotFound("There is no such satellite in this orbit." if found else missing)
    return row


def in_stage(orbit_id: Any, stage_id: Any) -> Any:
    """The artifact of the version that is in a stage of the orbit, as a subquery."""
    e, tr = t.track_entries, t.tracks
    here = select(e.c.artifact_id).join(tr, tr.c.id == e.c.track_id)
    return here.where(e.c.stage_id == stage_id, tr.c.orbit_id == orbit_id).scalar_subquery()


def secrets_of(body: Any) -> set[UUID]:
    """The secrets that a body refers to."""
    return {secret for _, secret in _named_secrets(body)}


def _named_secrets(body: Any) -> list[tuple[str, UUID]]:
    sent = {name: getattr(body, name, None) for name in SECRETS}
    return [(name, one) for name, given in sent.items() if isinstance(given, dict) for one in given.values()]


def held_secrets(orbit_id: Any, secrets: set[UUID]) -> Any:
    """Which of the secrets the orbit has, as a column; none of them is deleted before the transaction ends."""
    s = t.orbit_secrets
    mine = select(s.c.id).where(s.c.orbit_id == orbit_id, s.c.id.in_(secrets))
    held = mine.with_for_update(read=True, key_share=True).cte("held")
    return func.array(select(held.c.id).scalar_subquery())


def check_secrets(body: Any, known: Any) -> None:
    """Raise NotFound, which names the field, for a secret that is not among the `known`."""
    for name, wanted in _named_secrets(body):
        if wanted not in known:
            raise NotFound(f"There is no secret {wanted} in this orbit ({name}).")


def check_parts(parts: Any, parameters: Mapping[str, Any]) -> None:
    """Raise Conflict, with the reason, unless the satellite can deploy the model; Invalid for what is wrong with its
    parameters.
    """
    if parts.type != "model":
        raise Conflict(f"Only a model can be deployed; this artifact is of the type {parts.type}.")
    if parts.status != "uploaded":
        raise Conflict(f"The model is {parts.status.replace('_', ' ')}; deploy it when it is uploaded.")
    if not parts.paired:
        raise Conflict("The satellite has not paired yet; start it first.")
    able = parts.capabilities.get("deploy")
    if able is None:
        raise Conflict("The satellite does not deploy models.")
    traits = ModelTraits(parts.variant or "", frozenset(parts.producer_tags or ()))
    check_kind(able, traits)
    check_parameters(able, parameters, traits)


def check_rollouts(capabilities: Mapping[str, Any], what: str) -> None:
    """Raise Conflict for a satellite whose software knows only "deploy" and "undeploy", as the contract does."""
    if not (capabilities.get("deploy") or {}).get("rollouts"):
        raise Conflict(f"The satellite's software cannot {what}; update the satellite, or send all requests at once.")


def given(value: Any, otherwise: Any) -> Any:
    """What was sent, or, where nothing (or null) was, what there is."""
    return otherwise if value is None or isinstance(value, UnsetType) else value
