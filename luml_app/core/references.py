"""References that live in JSON, where no foreign key can watch them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Text, cast, func, or_, select

from luml_app.core import tables as t


def uses_of_secret(secret_id: Any, *conditions: ColumnElement[bool]) -> Select[Any]:
    """The living deployments that refer to a secret, from any of their revisions or by their dynamic attributes.

    All revisions count, not the current one alone: a rollback needs its secrets again.
    """
    d, r = t.deployments, t.revisions
    refers = or_(holds(r.c.env_variables_secrets, secret_id), holds(d.c.dynamic_attributes_secrets, secret_id))
    living = (d.c.desired != "deleted") & (r.c.deployment_id == d.c.id)
    return select(d.c.id, d.c.name).distinct().select_from(d.join(r, living)).where(refers, *conditions)


def holds(column: Any, secret_id: Any) -> ColumnElement[bool]:
    """Whether a JSON object of names and ids has this id among its values."""
    entry = func.jsonb_each_text(column).table_valued("key", "value").render_derived()
    return cast(secret_id, Text).in_(select(entry.c.value))
