"""`python -m tests.chaos.job_worker ADDRESS TOKEN FOLDER`: a satellite's worker, whose work is a line in a file."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any, cast

from satellite.control import DataFolder
from satellite.jobs import Worker
from satellite.plan import Outcome
from satellite.rest import RestPlatform

LEASE_SECONDS = 3.0
THREADS = 2


class Lines:
    """In the place of the reconciler: what is done for a deployment is one line, written in one go."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def converge(self, deployment_id: str, abandoned: threading.Event) -> Outcome:
        os.write(self.file, f"{deployment_id}\n".encode())
        return "absent"


def main(address: str, token: str, folder: str) -> None:
    platform = RestPlatform(address, token)
    work = cast(Any, Lines(Path(folder) / "done.txt"))
    data = DataFolder(Path(folder) / str(os.getpid()))
    with data.only_one():
        Worker(platform, work, LEASE_SECONDS, 5.0, THREADS, data).start()
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
