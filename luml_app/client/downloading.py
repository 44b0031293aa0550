"""Fetches files from a bucket. A file appears under its name only when all of it is there and its sha256 fits.

Large files come in several ranges at once. What a broken download has brought lies in the cache, and whoever begins it
anew, in this process or another one, goes on from there. What was fetched is kept, by its sha256, up to a size.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

import httpx

from luml_app.client.ledgers import Ledger, forget_old, in_parallel, sole_user
from luml_app.client.settings import cache_bytes, cache_folder
from luml_app.client.transfers import (
    EXPIRED,
    PIECE,
    Progress,
    RefusedByBucket,
    TransferError,
    begins_at,
    check,
    pause,
)
from luml_app.client.uploading import FilePart, locked
from luml_app.schemas.errors import Unavailable

Value = TypeVar("Value")

PART = 32 * PIECE
"""Files of more than two parts come in several ranges at once."""


class NoRanges(TransferError):  # noqa: N818
    """The bucket sends the whole object when it is asked for a part of it."""


class Address:
    """A signed address, and how to get another one when it has run out."""

    def __init__(self, find: Callable[[], str]) -> None:
        self.find = find
        self.url = find()
        self.lock = threading.Lock()

    def use(self, work: Callable[[str], Value]) -> Value:
        """What `work` makes of the address, or of another one when this one has run out."""
        url = self.url
        try:
            return work(url)
        except RefusedByBucket as error:
            if error.status not in EXPIRED:
                raise
        return work(self.after(url))

    def after(self, url: str) -> str:
        """The address to use instead of one that is not good any more."""
        with self.lock:
            if self.url == url:
                self.url = self.find()
            return self.url


@dataclass(frozen=True)
class Cache:
    """Files by their sha256, up to `limit` bytes together; the ones that were used longest ago go first."""

    folder: Path
    limit: int

    @classmethod
    def usual(cls) -> Cache:
        """The one of this person on this machine."""
        return cls(cache_folder(), cache_bytes())

    def path(self, sha256: str) -> Path:
        """Where a file is kept."""
        return self.folder / "files" / sha256

    def draft(self, sha256: str) -> Path:
        """Where one lies that is on its way."""
        return self.folder / "drafts" / sha256

    def give(self, sha256: str, target: Path) -> bool:
        """Put a copy of a kept file there, if there is one and it is what it should be; whether it was."""
        kept = self.path(sha256)
        if not kept.is_file():
            return False
        with private(target) as draft:
            if copied(kept, draft.path) != sha256:
                kept.unlink(missing_ok=True)
                return False
            draft.finish()
        with suppress(OSError):
            os.utime(kept)
        return True

    def keep(self, sha256: str, draft: Path, target: Path) -> None:
        """Move a file that has been fetched to its place, and keep a copy if there is room for it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with private(target) as mine:
            if draft.stat().st_size > self.limit:
                shutil.move(draft, mine.path)
            else:
                kept = self.path(sha256)
                kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copyfile(draft, mine.path)
                draft.replace(kept)
            mine.finish()
        self.trim()

    def trim(self) -> None:
        """Let the oldest go, until the rest fits."""
        with suppress(OSError):
            files = sorted((self.folder / "files").iterdir(), key=lambda path: path.stat().st_mtime)
            total = sum(path.stat().st_size for path in files)
            for path in files:
                if total <= self.limit:
                    return
                total -= path.stat().st_size
                path.unlink(missing_ok=True)


class private:  # noqa: N801  # reads as a word of the language: with private(target) as draft
    """A file beside `target` that takes its place with `finish`, and is gone otherwise."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.parent / f".luml-{uuid4().hex}.part"

    def __enter__(self) -> private:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        return self

    def finish(self) -> None:
        """It is complete."""
        self.path.replace(self.target)

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)


def download(
    http: httpx.Client,
    find: Callable[[], str],
    target: Path,
    sha256: str,
    size: int,
    progress: Progress = lambda _: None,
    cache: Cache | None = None,
) -> Path:
    """Fetch a file of `size` bytes; `find` gives the signed address, as often as one runs out.

    Raises TransferError when the bytes do not arrive, or are others.
    """
    cache = cache or Cache.usual()
    if cache.give(sha256, target):
        progress(size)
        return target
    address = Address(find)
    with sole_user(cache.draft(sha256).with_suffix(".lock")) as alone:
        forget_old(cache.folder / "drafts")
        # A file that is larger than the cache has no business in its folder, which may be on a small disk.
        draft = cache.draft(sha256) if size <= cache.limit else target.parent / f".luml-{sha256[:32]}.part"
        if not alone:
            with private(target) as mine:
                Fetching(http, address, mine.path, size, sha256, progress).run()
                mine.finish()
            return target
        draft.parent.mkdir(parents=True, exist_ok=True)
        Fetching(http, address, draft, size, sha256, progress, Ledger.read(draft.with_suffix(".json"))).run()
        cache.keep(sha256, draft, target)
    return target


class Fetching:
    """One file on its way into a draft, which may have been begun before."""

    def __init__(
        self, http: httpx.Client, address: Address, draft: Path, size: int, sha256: str, progress: Progress,
        ledger: Ledger | None = None,
    ) -> None:  # fmt: skip
        self.http, self.address, self.draft = http, address, draft
        self.size, self.sha256 = size, sha256
        self.progress = locked(progress)
        self.ledger = ledger or Ledger(None)

    def run(self) -> None:
        """Fetch what is missing. What an earlier attempt has left may be damaged: then all of it comes again."""
        resumed = self.draft.exists()
        found = self.fetch()
        if found != self.sha256 and resumed:
            self.progress(-self.size)
            self.forget()
            found = self.fetch()
        if found != self.sha256:
            self.forget()
            raise TransferError(f"The bytes have the sha256 {found}, not {self.sha256}; nothing is kept.")
        self.ledger.end()

    def forget(self) -> None:
        """Begin anew."""
        self.draft.unlink(missing_ok=True)
        self.ledger.end()
        self.ledger.parts = {}

    def fetch(self) -> str:
        """The sha256 of what is there then."""
        if self.size > 2 * PART:
            try:
                self.in_ranges()
            except NoRanges:
                self.forget()
                self.in_one_go()
        else:
            self.in_one_go()
        with self.draft.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def in_ranges(self) -> None:
        """Several parts at once, each into its place in the draft."""
        starts = range(0, self.size, PART)
        parts = [FilePart(n, start, min(PART, self.size - start)) for n, start in enumerate(starts, 1)]
        if not self.draft.exists() or self.draft.stat().st_size != self.size:
            self.ledger.parts = {}
        with self.draft.open("r+b" if self.draft.exists() else "x+b") as file:
            file.truncate(self.size)
        self.progress(sum(part.size for part in parts if part.number in self.ledger.parts))
        in_parallel(parts, self.part, self.ledger)

    def part(self, part: FilePart, go_on: Callable[[], None]) -> str:
        """One range, from where it stopped when the line breaks."""
        with self.draft.open("r+b") as file:
            self.through(file, part.start, part.start + part.size, go_on)
        return ""

    def in_one_go(self) -> None:
        """From where the draft ends."""
        with self.draft.open("ab") as file:
            start = file.tell()
            if start > self.size:
                file.truncate(0)
                start = 0
            self.progress(start)
        with self.draft.open("r+b") as file:
            self.through(file, start, None, lambda: None)

    def through(self, file: BinaryIO, start: int, end: int | None, go_on: Callable[[], None]) -> None:
        """Read on from where a broken connection stopped; only attempts that bring nothing count as failed."""
        attempt, at, url, renewed = 0, start, self.address.url, False
        while end is None or at < end:
            file.seek(at)
            try:
                self.some(url, file, at, end, go_on)
                if end is None or file.tell() >= end:
                    return
                raise Unavailable("The bucket gave less than was asked for.")
            except RefusedByBucket as error:
                if error.status not in EXPIRED or renewed:
                    raise
                url, renewed = self.address.after(url), True
            except (httpx.TransportError, Unavailable) as error:
                attempt = 1 if file.tell() > at else attempt + 1
                pause(error, attempt)
            at = file.tell()

    def some(self, url: str, file: BinaryIO, start: int, end: int | None, go_on: Callable[[], None]) -> None:
        """Whatever one answer brings."""
        wanted = f"bytes={start}-{'' if end is None else end - 1}" if start or end is not None else ""
        headers = {"Accept-Encoding": "identity", **({"Range": wanted} if wanted else {})}
        with self.http.stream("GET", url, headers=headers, follow_redirects=True) as answer:
            if end is None and start and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # nothing is left to read; the sha256 tells whether that is all
            check(answer)
            if wanted and not begins_at(answer, start):
                if end is not None:
                    raise NoRanges("The bucket does not give parts of objects.")
                file.seek(0)
                file.truncate()
                self.progress(-start)
            for piece in answer.iter_bytes():  # as they come: what waits to fill a larger piece is lost with the line
                go_on()
                file.write(piece)
                self.progress(len(piece))


def copied(source: Path, target: Path) -> str:
    """Copy a file; the sha256 of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as written:
        while piece := read.read(PIECE):
            digest.update(piece)
            written.write(piece)
    return digest.hexdigest()
