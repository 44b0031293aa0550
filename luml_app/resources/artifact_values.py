"""The table `artifact_values`: metrics and parameters of artifacts, one row each, for filters and sorts on an index.

Rows are written by the statement that writes the artifact, so that no artifact is ever seen without them, and a
write costs no statement more.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    Double,
    Numeric,
    Select,
    Text,
    case,
    cast,
    column,
    delete,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.sql.dml import ReturningUpdate

from luml_app.core import tables as t
from luml_app.resources.sizes import VALUES_BYTES, check_size
from luml_app.schemas.errors import Invalid
from luml_app.schemas.filters import MAX_NAME, TEXT_COMPARED

Changes = dict[str, Any]
MAX_VALUES = 5000
GROUPS = {"metrics": "extra_values", "params": "params"}
"""The column of each group of values, by the word that stands before the dot in filters and sorts."""


def check_values(values: dict[str, Any], field: str) -> None:
    """Raise Invalid for more values, or larger ones, than an artifact may have of one group."""
    if len(values) > MAX_VALUES:
        raise Invalid.field(field, f"These are {len(values)} values; an artifact may have {MAX_VALUES}.")
    check_size(values, field, VALUES_BYTES)


def insert_values(artifacts: CTE) -> CTE:
    """The part of a statement that stores the values of all `artifacts`, the rows that another part of it inserts."""
    kept = [_values_of(artifacts, artifacts.c[column], group) for group, column in GROUPS.items()]
    return insert(t.artifact_values).from_select(_NAMES, union_all(*kept)).cte("stored_values")


def sent_values(body: Any) -> dict[str, Changes]:
    """The metrics and parameters that a PATCH sends, by group and name; None stands for one to be removed."""
    sent = {group: getattr(body, group) for group in GROUPS}
    found = {group: values for group, values in sent.items() if isinstance(values, dict) and values}
    for group, values in found.items():
        check_values(values, group)
    return found


def old_values(one: Any, changes: dict[str, Changes]) -> dict[str, Changes]:
    """What the artifact has instead of these changes until now."""
    return {
        group: {name: getattr(one, GROUPS[group]).get(name) for name in values} for group, values in changes.items()
    }


def merge_values(change: ReturningUpdate[Any], changes: dict[str, Changes]) -> Select[Any]:
    """The `change` of one artifact, with its metrics and parameters merged and their rows written along."""
    v = t.artifact_values
    columns = {GROUPS[group]: _merged(group, values) for group, values in changes.items()}
    changed = change.values(columns).cte("changed")
    kept = [_values_of(changed, _document(values), group) for group, values in changes.items()]
    new = insert(v).from_select(_NAMES, union_all(*kept))
    replaced = {"number": new.excluded.number, "text": new.excluded.text}
    stored = new.on_conflict_do_update(index_elements=["artifact_id", "name"], set_=replaced).cte("stored_values")
    gone = [f"{group}.{name}" for group, values in changes.items() for name, value in values.items() if value is None]
    mine = v.c.artifact_id.in_(select(changed.c.id)) & (v.c.name == func.any(literal(gone, ARRAY(Text))))
    return select(changed).add_cte(stored, delete(v).where(mine).cte("dropped_values"))


def _merged(group: str, values: Changes) -> Any:
    """The column of the group with the values in it, worked out by the database: two at once lose nothing."""
    gone = [name for name, value in values.items() if value is None]
    kept = {name: value for name, value in values.items() if value is not None}
    both = t.artifacts.c[GROUPS[group]].op("||")(_document(kept))
    return both.op("-")(literal(gone, ARRAY(Text)))


def _document(values: Changes) -> Any:
    return literal(values, t.artifacts.c.params.type)


_NAMES = ["artifact_id", "name", "orbit_id", "number", "text"]


def _values_of(artifacts: CTE, document: Any, group: str) -> Select[Any]:
    """One row for each value of a JSON document that can be compared, or at least be there."""
    one = func.jsonb_each(document).table_valued(column("key", Text), column("value", JSONB)).render_derived()
    kind, value = func.jsonb_typeof(one.c.value), one.c.value
    text = value.op("#>>")(literal_column("'{}'"))
    return (
        select(
            artifacts.c.id,
            literal(f"{group}.").concat(one.c.key),
            artifacts.c.orbit_id,
            case((kind == "number", _double(value))),
            case(((kind == "string") | (kind == "boolean"), func.left(text, TEXT_COMPARED))),
        )
        .select_from(artifacts.join(one, true()))
        .where(kind != "null", func.length(one.c.key) <= MAX_NAME)
    )


def _double(value: Any) -> Any:
    """A JSON number as a double. JSON knows no bounds: too large becomes an infinity, too small zero."""
    exact = cast(value, Numeric)
    return case(
        (exact > literal_column("1.7e308"), literal_column("'Infinity'::double precision")),
        (exact < literal_column("-1.7e308"), literal_column("'-Infinity'::double precision")),
        (func.abs(exact) < literal_column("1e-307"), literal_column("0::double precision")),
        else_=cast(exact, Double),
    )
