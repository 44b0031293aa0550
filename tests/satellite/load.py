"""Callers that never stop: a steady number of requests each second, and what became of every one of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from luml_app.client.inference import CONNECT_PATIENCE


class Load:
    """`rate` requests a second to `url`; `failures` tells of each that was not answered with 200.

    With `repeat` a caller whose connection is cut asks a second time, and one that finds nobody listening tries again
    for a while, as our own client does; `cut` and `refused` count that.
    """

    def __init__(self, url: str, key: str, body: Any, rate: float = 50.0, *, repeat: bool = False) -> None:
        self.url, self.body, self.rate, self.repeat = url, body, rate, repeat
        self.cut = self.refused = 0
        self.http = httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60)
        self.pool = ThreadPoolExecutor(64)
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.failures: list[str] = []
        self.by_revision: Counter[str] = Counter()
        self.answered = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        due = time.monotonic()
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            self.pool.submit(self._ask)
            due = max(due + 1 / self.rate, time.monotonic() - 1)

    def _ask(self) -> None:
        try:
            answer = self._post()
        except httpx.HTTPError as error:
            self._note(f"{type(error).__name__}: {error}", "")
        else:
            fault = "" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"
            self._note(fault, answer.headers.get("X-Revision", ""))

    def _post(self) -> httpx.Response:
        try:
            return self.http.post(self.url, json=self.body)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            if not self.repeat:
                raise
            with self.lock:
                self.cut += 1
        except httpx.ConnectError:
            if not self.repeat:
                raise
            with self.lock:
                self.refused += 1
        # The connections that are kept were cut with it.
        with httpx.Client(headers=self.http.headers, timeout=60) as again:
            return self._patiently(again)

    def _patiently(self, client: httpx.Client) -> httpx.Response:
        deadline = time.monotonic() + CONNECT_PATIENCE
        while True:
            try:
                return client.post(self.url, json=self.body)
            except httpx.ConnectError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _note(self, fault: str, revision: str) -> None:
        with self.lock:
            self.answered += 1
            self.by_revision[revision] += 1
            if fault:
                self.failures.append(fault)

    def count(self) -> int:
        """How many requests have been answered so far."""
        with self.lock:
            return self.answered

    def since(self, before: Counter[str]) -> Counter[str]:
        """How many each revision has answered since `before`, a copy of `by_revision`."""
        with self.lock:
            return self.by_revision - before

    def seen(self) -> Counter[str]:
        """A copy of `by_revision`."""
        with self.lock:
            return self.by_revision.copy()


@contextmanager
def load(url: str, key: str, body: Any, rate: float = 50.0, *, repeat: bool = False) -> Iterator[Load]:
    """Requests as long as the block runs; at its end those under way are waited for."""
    made = Load(url, key, body, rate, repeat=repeat)
    made.thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        made.thread.join()
        made.pool.shutdown(wait=True)
        made.http.close()
