"""The log of a deployment on its page: the last lines, those that come, and a search in them."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import param

from luml_app.client.connections import TIMEOUT
from luml_app.client.logs import Reading, log_url, read
from luml_app.schemas.deployments import Deployment
from luml_app.schemas.errors import LumlError
from luml_app.schemas.logs import LogLine
from luml_widgets import blocks as b
from luml_widgets import inference
from luml_widgets.blocks import Block
from luml_widgets.outbound import open_http

SHOWN = 300
"""Lines on the page; `luml logs` shows all."""
LONGEST = 2000


class DeploymentLog(param.Parameterized):
    """The last lines of a log, read straight from the satellite. `look` reads what has come since the last time."""

    lines = param.List(doc="The last lines (`LogLine`), oldest first.")
    search = param.String(doc="Only lines that hold this are shown.")
    paused = param.Boolean(default=False, doc="Whether lines to come are left for later.")
    refusal = param.String(doc="Why there are no lines.")
    looked = param.Boolean(default=False, doc="Whether there has been an answer.")

    def __init__(self, api: Any, ids: tuple[str, str], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]
        self.api, self.ids = api, ids
        self._http: httpx.Client | None = None
        self._url = ""
        self._busy = threading.Lock()
        self._closed = False

    def look(self, deployment: Deployment) -> None:
        """Read the lines that have come; the first time the last ones. One look at a time."""
        if self.paused or self._closed or not self._busy.acquire(blocking=False):
            return
        try:
            new = self._read(deployment)
        except LumlError as error:
            self.param.update(refusal=error.message, looked=True)
        except RuntimeError:  # the connection was closed in this very moment
            if not self._closed:
                raise
        else:
            self.param.update(lines=[*self.lines, *new][-SHOWN:], refusal="", looked=True)
        finally:
            self._busy.release()

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        if self._http is not None:
            self._http.close()

    def blocks(self) -> list[Block]:
        """The lines, a search in them, and the button that holds them still."""
        if not self.looked:
            return [b.section("Log", [b.skeleton(3)])]
        if self.refusal and not self.lines:
            return [b.section("Log", [b.notice("The log cannot be read.", self.refusal, tone="warn")])]
        found = [line for line in self.lines if self.search.lower() in f"{line.source} {line.line}".lower()]
        button = b.action("Follow" if self.paused else "Pause", "pause_log", not self.paused, active=self.paused)
        note = f"{len(found)} of the last {len(self.lines)} lines" if self.search else f"last {len(found)} lines"
        bar = b.bar(search=self.search, placeholder="Search the log", note=note, actions=[button])
        trouble = [b.notice("No new lines.", self.refusal, tone="warn")] if self.refusal else []
        return [b.section("Log", [*trouble, bar, b.log([_row(line) for line in found])])]

    def _read(self, deployment: Deployment) -> list[LogLine]:
        if not self._url:
            satellite = self.api.satellites.get(*self.ids, deployment.satellite_id)
            self._url = log_url(deployment, satellite)
        if self._http is None:
            self._http = open_http(self.api, "satellite", timeout=TIMEOUT)
        last = self.lines[-1].id if self.lines else ""
        # It has been waited for on the page already; whoever does not answer now is asked again in a moment.
        key = inference.key_for(self.api, self.ids[1])
        reading = Reading(self._url, key, tail=SHOWN, last=last, begun=bool(last), started=0.0)
        return list(read(self._http, reading))


def _row(line: LogLine) -> Block:
    return {
        "id": line.id, "time": line.time.isoformat(), "clock": f"{line.time:%H:%M:%S}", "from": line.source,
        "stream": line.stream, "text": line.line[:LONGEST],
    }  # fmt: skip
