"""The right to work: of all instances of a satellite that share its key, one has it, and the others stand by."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from satellite.platform import Conflict, PlatformAway, PlatformError, Unauthorized
from satellite.rest import RestPlatform

log = logging.getLogger("satellite.session")

ASK_AGAIN_SECONDS = 1.0


class Session:
    """Held at the platform for `seconds`, and renewed in a third of them. A platform without sessions lets all work.

    `lost` is set, and `tell` called, when another instance has taken over, because this one was not heard of for so
    long. A platform that is away takes nothing away: what runs goes on.
    """

    def __init__(self, platform: RestPlatform, instance: str, seconds: float, tell: Callable[[], None]) -> None:
        self.platform = platform
        self.instance = instance
        self.seconds = seconds
        self.tell = tell
        self.predecessor: str | None = None
        self.lost = threading.Event()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None

    def wait(self, stopping: threading.Event, step_aside: Callable[[], None]) -> bool:
        """Stand by until it is this one's turn; False when told to stop before. `step_aside` is called when another one
        is found at work. Raises Unauthorized.
        """
        standing_by = False
        while not stopping.is_set():
            try:
                self.predecessor = self.platform.open_session(self.instance, self.seconds)
            except Unauthorized:
                raise
            except Conflict as error:
                if not standing_by:
                    log.info("Standing by: %s", error)
                    step_aside()
                standing_by = True
                stopping.wait(self.seconds / 3)
            except (PlatformAway, PlatformError) as error:
                log.warning("The platform cannot be asked for the right to work: %s", error)
                self.let_others_be_first(standing_by, stopping)
            else:
                self.thread = threading.Thread(target=self.keep, name="session", daemon=True)
                self.thread.start()
                return True
        return False

    def let_others_be_first(self, standing_by: bool, stopping: threading.Event) -> None:
        """While the platform was away nobody could renew: whoever was at work gets the time to, or each restart of the
        platform would move all deployments.
        """
        while standing_by and not stopping.wait(ASK_AGAIN_SECONDS):
            if self.platform.answers():
                stopping.wait(self.seconds)
                return
        stopping.wait(ASK_AGAIN_SECONDS)

    def keep(self) -> None:
        """Renew the session until it ends, or is somebody else's."""
        pause = self.seconds / 3
        while not self.ended.wait(pause):
            try:
                self.platform.open_session(self.instance, self.seconds)
                pause = self.seconds / 3
            except Conflict as error:
                log.warning("This satellite must stand by: %s", error)
                self.lost.set()
                self.tell()
                return
            except (PlatformAway, PlatformError) as error:
                log.warning("The session could not be renewed: %s", error)
                pause = min(ASK_AGAIN_SECONDS, self.seconds / 3)

    def close(self, release: bool) -> None:
        """Renew no more; with `release`, the next one may work at once."""
        self.ended.set()
        if self.thread:
            self.thread.join()
            if release and not self.lost.is_set():
                self.platform.close_session(self.instance)
        self.platform.close()
