"""Many who do something in one moment, and limits that they meet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import update

from luml_app.core import tables as t
from luml_app.schemas.errors import LumlError
from tests.api.stage import Stage

MANY = 20


def together(act: Callable[[int], Any]) -> list[Any]:
    """`act(0)`, `act(1)`, … at once; what each gave, or the kind of error it met."""
    start = threading.Barrier(MANY)

    def one(number: int) -> Any:
        start.wait()
        try:
            return act(number)
        except LumlError as error:
            return type(error)

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(one, range(MANY)))


def set_limit(stage: Stage, **limits: int) -> None:
    """Limit the organization of the stage: ``set_limit(stage, orbits_limit=3)``."""
    with stage.house.database.write() as db:
        mine = t.organizations.c.id == stage.cast.here.organization_id
        db.execute(update(t.organizations).where(mine).values(**limits))
