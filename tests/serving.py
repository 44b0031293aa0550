"""Servers in the test's own process, and the asynchronous client for tests that are not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from luml_app.client.http import AsyncClient
from luml_app.web.house import House
from luml_app.web.server import Server

Value = TypeVar("Value")


def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """The first true value of `condition`; fails, saying `what` did not happen, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"In {seconds:g} s it did not happen that {what}."
        time.sleep(0.01)
    return value


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], timeout: float = 60) -> Any:
        """Run a coroutine there and wait for what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def stop(self) -> None:
        """End the thread and close the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=10)
        self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


class RunningServer:
    """A server of a house that listens on a free port."""

    def __init__(self, house: House, **options: Any) -> None:
        self.house = house
        self.server = Server(house, **options)
        self._thread = LoopThread("server")
        try:
            self.port: int = self._thread.run(self._start())
        except BaseException:
            self._thread.stop()
            raise
        self._running = True

    @property
    def address(self) -> str:
        return self.house.settings.address

    def stop(self) -> None:
        """Stop it; a second time does nothing."""
        if self._running:
            self._running = False
            self._thread.run(self.server.stop())
            self._thread.stop()

    async def _start(self) -> int:
        return self.server.start()


class SynchronousClient:
    """An `AsyncClient` whose methods can be called without awaiting: they run on a loop in another thread."""

    def __init__(self, address: str, api_key: str) -> None:
        self._thread = LoopThread("client")
        self._client = self._thread.run(_open(address, api_key))

    @property
    def address(self) -> str:
        return self._client.address

    def close(self) -> None:
        """Close the client and its loop."""
        self._thread.run(self._client.aclose())
        self._thread.stop()

    def __getattr__(self, name: str) -> Any:
        return _Waiting(getattr(self._client, name), self._thread)


class _Waiting:
    """A group of operations, each of which is waited for."""

    def __init__(self, group: Any, thread: LoopThread) -> None:
        self._group = group
        self._thread = thread

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._group, name)
        return lambda *args, **kwargs: self._thread.run(method(*args, **kwargs), timeout=120)


async def _open(address: str, api_key: str) -> AsyncClient:
    return AsyncClient(address, api_key)


def in_a_loop(work: Coroutine[Any, Any, Value]) -> Value:
    """What a coroutine gives, run in a thread: that of the tests may have a loop already, which drives a browser."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
