"""Satellites and their tasks."""

from __future__ import annotations

from msgspec import field

from luml_app.schemas.artifacts import Artifact
from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Any,
    Description,
    Document,
    Literal,
    LongUrl,
    MaybeName,
    Meta,
    Record,
    Struct,
    UnsetType,
    datetime,
)

SatelliteStatus = Literal["active", "inactive", "error"]
TaskStatus = Literal["pending", "running", "done", "failed"]
TaskType = Literal["deploy", "undeploy"]
FieldType = Literal["text", "number", "boolean", "dropdown"]
Capabilities = dict[str, Document | None]
Purpose = Literal["inference", "logs"]
LeaseSeconds = Annotated[float, Meta(ge=1, le=3600)]


class FormValidator(Struct, kw_only=True):
    """One rule of a field: `type` is min, max, regex, equal, notEqual or in; `message` is shown when it is broken."""

    type: str
    value: Any = None
    message: str = ""


class FormCondition(Struct, kw_only=True):
    """When a field is asked for. `type` is field or model; `body` is `{field, operator, value}`, or more conditions."""

    type: str
    body: Document | list[FormCondition]


class FormField(Struct, kw_only=True):
    """One parameter of a satellite's deployments, as its capability "deploy" declares it (`extra_fields_form_spec`).

    `values` of a dropdown are texts, numbers or `{label, value}`. `whole`, `default` and `description` are ours.
    """

    name: str
    type: FieldType
    values: list[Any] | None = None
    required: bool = False
    validators: list[FormValidator] = []
    conditions: list[FormCondition] = []
    whole: bool = False
    default: bool | float | str | None = None
    description: str = ""


class Satellite(Record, kw_only=True):
    """A worker attached to one orbit, which runs deployments."""

    orbit_id: UUID
    name: str | None = None
    description: str | None = None
    base_url: str | None = None
    paired: bool
    capabilities: Capabilities
    slug: str | None = None
    last_seen_at: datetime | None = None
    status: SatelliteStatus


class SatelliteCreate(Struct, kw_only=True):
    """A satellite that will pair with the key that its creation gives."""

    name: MaybeName | None = None
    description: Description | None = None


class SatelliteUpdate(Struct, kw_only=True):
    """Changes of a satellite; what is not sent stays."""

    name: MaybeName | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET


class SatelliteCreated(Struct, kw_only=True):
    """A new satellite; `api_key` is shown this once and never again."""

    satellite: Satellite
    api_key: str


class SatellitePair(Struct, kw_only=True):
    """What a satellite says of itself at each start: where it serves, and what it can do."""

    base_url: LongUrl
    capabilities: Capabilities
    slug: Annotated[str, Meta(max_length=255)] | None = None


class SessionOpen(Struct, kw_only=True):
    """Which instance of a satellite wants to work, and for how long (seconds) nobody else may without its renewing."""

    instance: Annotated[str, Meta(pattern="^[0-9a-zA-Z_-]{1,64}$", max_length=64)]
    lease_seconds: LeaseSeconds = 30


class SatelliteSession(Struct, kw_only=True):
    """The instance of a satellite that works; `predecessor` is the one whose session had run out, if one had."""

    instance: str
    expires_at: datetime
    predecessor: str | None = None


class Task(Record, kw_only=True):
    """One job of a satellite. `lease_token` is given to the one who claims it; reports carry it back."""

    satellite_id: UUID
    orbit_id: UUID
    type: TaskType
    payload: Document
    status: TaskStatus
    scheduled_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: Document | None = None
    lease_token: UUID | None = None
    lease_expires_at: datetime | None = None


class TaskUpdate(Struct, kw_only=True):
    """`running` claims the task for `lease_seconds`; `done` and `failed` end it."""

    status: TaskStatus
    result: Document | None = None
    lease_token: UUID | None = None
    lease_seconds: LeaseSeconds | None = None


class TaskRenew(Struct, kw_only=True):
    """Keeps a claimed task for another `lease_seconds`."""

    lease_token: UUID
    lease_seconds: LeaseSeconds = 30


class InferenceAccess(Struct, kw_only=True):
    """An API key that somebody has sent to a satellite, and what `for`: calling a deployment, or reading its logs."""

    api_key: Annotated[str, Meta(max_length=255)]
    purpose: Purpose = field(default="inference", name="for")


class InferenceAccessAnswer(Struct, kw_only=True):
    """Whether that key opens this to its holder, in this satellite's orbit."""

    authorized: bool


class ArtifactForSatellite(Struct, kw_only=True):
    """An artifact that a satellite's deployment refers to, and a signed address of its bytes.

    `model` is the artifact once more, under the name that older satellites look for, whichever path they ask.
    """

    artifact: Artifact
    model: Artifact
    url: str
