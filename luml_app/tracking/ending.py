"""How a run ends: by its block, or, where nobody has ended it, with the interpreter."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luml_app.tracking.folders import Status
    from luml_app.tracking.run import Run


def how_it_ended(error: BaseException | None) -> Status:
    """The status of a run that ends with this exception, or without one."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)) or isinstance(error, GeneratorExit):
        return "completed"
    return "aborted" if isinstance(error, KeyboardInterrupt) else "failed"


def end_at_exit(run: Run) -> None:
    """End the run when the interpreter does, unless somebody has done so before."""
    _unended.add(run)


def has_ended(run: Run) -> None:
    """Somebody has ended the run."""
    _unended.discard(run)


_unended: set[Run] = set()


@atexit.register
def _end_all() -> None:
    # In a script `last_value` is what ended it. In a notebook it is any cell's mistake, which says nothing of the run.
    error = None if "IPython" in sys.modules else getattr(sys, "last_value", None)
    for run in list(_unended):
        run.finish(how_it_ended(error), error)
