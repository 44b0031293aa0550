"""Lines of a deployment's log, as its satellite gives them."""

from __future__ import annotations

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
