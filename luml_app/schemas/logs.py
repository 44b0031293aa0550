"""Lines of a deployment's log, as its satellite gives them."""

from __future__ import annotations

from typing import Any

import msgspec

from luml_app.schemas.fields import Struct, datetime


class LogLine(Struct, kw_only=True, frozen=True):
    """One line. `str()` gives it as it is shown: the time, who has printed it, and the line.

    `stream` is stdout or stderr; output where the two cannot be told apart; satellite for what the satellite itself
    says of the deployment. `revision` is empty and `replica` None where a line concerns the deployment as a whole.
    """

    id: str
    time: datetime
    revision: str = ""
    replica: int | None = None
    stream: str
    line: str

    @property
    def source(self) -> str:
        """Who has printed the line: ``r3.0`` is replica 0 of revision 3, ``satellite`` the satellite."""
        if self.stream == "satellite":
            return "satellite"
        return f"r{self.revision}.{self.replica}"

    def __str__(self) -> str:
        return f"{self.time:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"Z {self.source}  {self.line}"


class RequestRecord(Struct, kw_only=True, frozen=True):
    """A request to a model that its satellite has recorded, as the deployment's parameter `monitoring` asks for.

    `path` is what was called (``/compute``), `status` the answer's, `seconds` how long it took, `digest` the model's.
    `asked` and `answered` are the bodies where they are JSON of up to 64 KiB, else None; the values of dynamic
    attributes are hidden. `answered_bytes` is None where the answer came in parts.
    """

    id: str
    time: datetime
    revision: str = ""
    request_id: str
    path: str
    status: int
    seconds: float
    digest: str = ""
    asked_bytes: int
    answered_bytes: int | None = None
    asked: Any = None
    answered: Any = None

    def __str__(self) -> str:
        moment, duration = f"{self.time:%Y-%m-%d %H:%M:%S.%f}"[:-3], f"{self.seconds * 1000:.1f} ms"
        bodies = ["-" if body is None else msgspec.json.encode(body).decode() for body in (self.asked, self.answered)]
        return f"{moment}Z r{self.revision} {self.path} {self.status} {duration}  {' -> '.join(bodies)}"
