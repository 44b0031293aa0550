"""Who uses what is kept in a cache: a lock per entry, and leases that keep an entry from going."""

from __future__ import annotations

import fcntl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other threads and other processes respect; it ends with the process, however that ends."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Leases:
    """How often each entry is in use by somebody in this process."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Have an entry in use. Begin before its lock is taken: whoever wants to remove it asks under the lock."""
        with self._lock:
            self._held[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[name] -= 1

    def is_free(self, name: str, in_use: Callable[[], set[str]]) -> bool:
        """Whether nobody uses an entry. Asked under its lock, it stays so until the lock is given back.

        `in_use`, what runs, is asked last: what a lease has started by its end is seen there.
        """
        with self._lock:
            if self._held[name]:
                return False
        return name not in in_use()
