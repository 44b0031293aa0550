"""A small house for the tests: a database, and a child with a family that is hard to end.

``python -m tests.embedded.house HOME`` prints one line of JSON when it stands, and one for each incident after that.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from luml_app.embedded.children import Command
from luml_app.embedded.home import Home
from luml_app.embedded.postgres import Postgres
from luml_app.embedded.supervisor import Supervisor
from luml_app.schemas.errors import LumlError

# Ignores SIGTERM, has a child that does, too, and one that has left for a session of its own.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1:] == ["parent"]:
    words = [sys.executable, "-c", sys.orig_argv[2]]
    subprocess.Popen(words)
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen(words, start_new_session=True)
        os._exit(0)
print("ready", flush=True)
while True:
    signal.pause()
"""


def main() -> None:
    home = Home(Path(sys.argv[1]))
    with home.lock(), Supervisor(home.run, home.logs, mark=home.mark, report=say) as supervisor:
        postgres = Postgres(home.postgres, run=home.run)
        supervisor.start(postgres.command(), ready=postgres.ready)
        log = home.logs / "stubborn.log"
        earlier = log.read_text().count("ready") if log.exists() else 0
        stubborn = Command(
            "stubborn", (sys.executable, "-c", STUBBORN, "parent"), {"PATH": os.defpath}, grace=float(sys.argv[2])
        )
        supervisor.start(stubborn, ready=lambda: log.read_text().count("ready") >= earlier + 3)
        say("stands", url=postgres.url, pids=supervisor.pids)
        supervisor.watch()


def say(event: str, **more: object) -> None:
    print(json.dumps({"event": event, **more}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except LumlError as error:
        sys.exit(error.message)
