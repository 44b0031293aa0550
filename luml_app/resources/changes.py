"""What every PATCH does: only what was sent, and only what differs."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Table


def sent(body: msgspec.Struct, table: Table) -> dict[str, Any]:
    """The columns of `table` that the body changes.

    Absent is not null. An explicit null for a column that cannot be null counts as absent, too: clients that fill
    every field of their form send such.
    """
    return {
        name: value
        for name in body.__struct_fields__
        if name in table.c
        and (value := getattr(body, name)) is not msgspec.UNSET
        and not (value is None and not table.c[name].nullable)
    }
