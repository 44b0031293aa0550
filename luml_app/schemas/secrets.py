"""Secrets of an orbit, which deployments refer to."""

from __future__ import annotations

from luml_app.schemas.fields import UNSET, UUID, Annotated, Meta, Record, Struct, Tags, UnsetType

SecretName = Annotated[str, Meta(min_length=1, max_length=255)]
SecretValue = Annotated[str, Meta(max_length=8192)]


class Secret(Record, kw_only=True):
    """A secret of an orbit. `value` is empty wherever it is not asked for by `secrets.get`, or by a satellite."""

    name: str
    value: str = ""
    orbit_id: UUID
    tags: list[str] | None = None


class SecretCreate(Struct, kw_only=True):
    """A new secret; its name is unique in the orbit."""

    name: SecretName
    value: SecretValue
    tags: Tags | None = None


class SecretUpdate(Struct, kw_only=True):
    """Changes of a secret; what is not sent stays, and so does the value when an empty one is sent."""

    name: SecretName | UnsetType | None = UNSET
    value: SecretValue | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
