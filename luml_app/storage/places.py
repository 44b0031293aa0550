"""What a bucket elsewhere is: where, under which name, and with which credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from luml_app.schemas.errors import Invalid
from luml_app.storage.connection_string import read_connection_string

COLUMNS = ("type", "endpoint", "bucket_name", "region", "secure", "cert_check")
SECRETS = ("access_key", "secret_key", "session_token")
# It becomes a part of a host's name.
_REGION = re.compile(r"(?![0-9]+\Z)(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


@dataclass(frozen=True)
class Place:
    """A bucket. `secrets` may hold ``access_key``, ``secret_key``, ``session_token`` (S3) or ``account_name`` and
    ``account_key`` (Azure, whose `endpoint` is the address of the account's blobs).
    """

    type: Literal["s3", "azure"]
    endpoint: str
    bucket_name: str
    region: str | None = None
    secure: bool | None = None
    cert_check: bool | None = None
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def columns(self) -> dict[str, Any]:
        """What may be shown of it: everything but the secrets."""
        return {name: getattr(self, name) for name in COLUMNS}

    def changed(self, fields: Mapping[str, Any]) -> Place:
        """The place with other fields or secrets; an empty text takes a secret away. Raises `Invalid`."""
        same_kind = fields.get("type", self.type) == self.type
        same_account = same_kind and fields.get("endpoint", self.endpoint) == self.endpoint
        if self.type == "azure" and same_account:
            # The address as it is shown, without the key in it: forms send it back with everything else.
            fields = {name: value for name, value in fields.items() if name != "endpoint"}
            return Place(**{**asdict(self), **_columns_in(fields)})
        secrets = self.secrets if same_kind and self.type == "s3" else {}
        return described({**self.columns, **secrets, **fields})


def described(fields: Mapping[str, Any]) -> Place:
    """The place that the fields of a request describe. Raises `Invalid`, which names the field."""
    columns = _columns_in(fields)
    if columns["type"] == "azure":
        endpoint, secrets = read_connection_string(columns["endpoint"])
        return Place("azure", endpoint, columns["bucket_name"], secrets=secrets)
    if (region := columns.get("region")) and not _REGION.fullmatch(region):
        raise Invalid.field("region", "A region is of letters, digits and hyphens, as in eu-central-1.")
    secrets = {name: fields[name] for name in SECRETS if fields.get(name)}
    for name, other in (("secret_key", "access_key"), ("access_key", "secret_key"), ("access_key", "session_token")):
        if other in secrets and name not in secrets:
            raise Invalid.field(name, f"Is needed where there is a value for {other}.")
    return Place(**columns, secrets=secrets)


def _columns_in(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in COLUMNS if name in fields}
