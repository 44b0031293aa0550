"""`python -m satellite [VERB]`: the composition root. Settings come from the environment."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from types import FrameType

from satellite.commands import NOT_RUNNING, parser, perform
from satellite.control import AlreadyRunning, NotRunning
from satellite.daemon import Daemon
from satellite.gateway.supervisor import GatewayFailed
from satellite.platform import Unauthorized
from satellite.privacy import keep_memory_private
from satellite.runtimes.interface import RuntimeFailure, Unknown
from satellite.settings import Settings, SettingsError, from_environment


def run(settings: Settings) -> int:
    """Run a satellite until SIGTERM or SIGINT; returns the exit code. For the main thread of a process."""
    stop = threading.Event()

    def told_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()
        daemon.ask_to_stop()

    keep_memory_private()
    daemon = Daemon(settings)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, told_to_stop)
    try:
        daemon.start()
        daemon.over.wait()
        while not stop.is_set():
            daemon.stop()
            # Another instance works; this one stands by until it is its turn again.
            daemon = Daemon(settings)
            if not stop.is_set():
                daemon.start()
                daemon.over.wait()
    except Unauthorized as error:
        return refuse(f"The platform refuses this satellite's key: {error}")
    except (AlreadyRunning, GatewayFailed, RuntimeFailure, Unknown) as error:
        return refuse(str(error))
    finally:
        daemon.stop()
    return 0


def refuse(message: str) -> int:
    """One clear sentence instead of a traceback."""
    print(message, file=sys.stderr)
    return 1


def main(argv: list[str] | None = None) -> int:
    """Perform a verb; without one, run: read settings, log to standard error, serve."""
    options = parser().parse_args(argv)
    if options.verb in {None, "run"}:
        return run_from_environment()
    try:
        return perform(options)
    except NotRunning as error:
        print(error, file=sys.stderr)
        return NOT_RUNNING


def run_from_environment() -> int:
    """Run until told to stop; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = from_environment()
    except SettingsError as error:
        return refuse(str(error))
    return run(settings)


if __name__ == "__main__":
    raise SystemExit(main())
