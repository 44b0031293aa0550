"""Calls to buckets elsewhere: on the loop that fsspec runs for its file systems, each with an end to its patience.

A caller waits in a thread of its own, with a connection to the database in its hand. So a bucket that is silent must
not be waited for by many, nor for long: at most `AT_ONCE` callers at a time, `SECONDS` each, and after a silence
nobody for `REST` seconds.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, TypeVar, cast

from fsspec.asyn import get_loop, sync
from fsspec.exceptions import FSTimeoutError

from luml_app.schemas.errors import Unavailable
from luml_app.storage.endpoints import PrivateAddress
from luml_app.storage.errors import BucketRefused

Value = TypeVar("Value")
SECONDS = 10.0
CONNECT_SECONDS = 4.0
READ_SECONDS = 8.0
"""For one answer to begin, and between two pieces of it; `SECONDS` is for all of it."""
SLOWEST = 2**20
"""Bytes per second below which a read counts as silence."""
AT_ONCE = 4
REST = 5.0
PIECE = 4 * 2**20


class Line:
    """The line to one bucket, `name` in sentences. Thread-safe."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._silent_until = 0.0

    def call(self, work: Callable[[], Awaitable[Value]], seconds: float | None = None) -> Value:
        """What `work` gives within `seconds` (`SECONDS`). Raises `Unavailable`, and what `work` raises."""
        if time.monotonic() < self._silent_until:
            raise self.silence()
        if not self._places.acquire(timeout=CONNECT_SECONDS):
            raise self.silence(REST)
        try:
            return run(work, seconds or SECONDS)
        except (FSTimeoutError, TimeoutError) as error:
            self._silent_until = time.monotonic() + REST
            raise self.silence() from error
        finally:
            self._places.release()

    def silence(self, retry_after: float | None = None, why: str = "") -> Unavailable:
        """The error to raise when the bucket does not answer."""
        reason = f" ({why})" if why else ""
        return Unavailable(
            f"{self.name} does not answer{reason}; check its address, or try again later.", retry_after=retry_after
        )

    def failed(self, error: BaseException) -> BucketRefused | Unavailable:
        """The error to raise for one of the connection."""
        if any(isinstance(one, PrivateAddress) for one in _chain(error)):
            return BucketRefused(f"{self.name}: {PrivateAddress.__doc__}")
        return self.silence(why=_reason(error))


def run(work: Callable[[], Awaitable[Value]], seconds: float | None = None) -> Value:
    """Run a coroutine on fsspec's loop and wait for what it gives. Raises `FSTimeoutError` after `seconds`."""
    return cast(Value, sync(get_loop(), work, timeout=seconds))


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what lies under it; libraries keep the cause in places of their own."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [
                one.__cause__,
                one.__context__,
                getattr(one, "os_error", None),
                getattr(one, "inner_exception", None),
            ]
            waiting += [*getattr(one, "kwargs", {}).values(), *getattr(one, "exceptions", ())]
    return found


def _reason(error: BaseException) -> str:
    """The innermost cause in words of the operating system: they name no address with a signature in it."""
    causes = [one for one in _chain(error) if isinstance(one, OSError) and one.strerror]
    return str(causes[-1].strerror) if causes else ""


class RangeReader(io.RawIOBase):
    """An object as a seekable file that reads by ranges: `read_at` gives at most so many bytes from an offset on."""

    def __init__(self, size: int, read_at: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._read_at = read_at
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        length = min(len(buffer), max(0, self._size - self._position))
        data = self._read_at(self._position, length) if length else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def stream(size: int, read_at: Callable[[int, int], bytes]) -> BinaryIO:
    """A buffered file over `RangeReader`."""
    return cast(BinaryIO, io.BufferedReader(RangeReader(size, read_at), buffer_size=PIECE))


def seconds_for(length: int) -> float:
    """How long reading `length` bytes may take."""
    return SECONDS + length / SLOWEST


async def gathered(work: list[Awaitable[Value]]) -> list[Value]:
    """What all of them give, in their order."""
    return list(await asyncio.gather(*work))
