"""Follows the file that a replica prints into, and keeps that file small."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from satellite.logs.lines import Lines
from satellite.runtimes.interface import FROM_NOW, Printed

LIMIT = 8 * 1024 * 1024
"""Bytes to which a file may grow before its beginning, which has been read, is cut off."""
KEPT = 64 * 1024
CHUNK = 64 * 1024
POLL_SECONDS = 0.2


def follow(path: Path, position: str, stopping: threading.Event) -> Iterator[list[Printed]]:
    """What is printed into the file from `position` on, until it is removed or replaced."""
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        yield from FollowedFile(path, file, position).batches(stopping)


class FollowedFile:
    """An open file that somebody else appends to. `offset` is the end of the last whole line that was read."""

    def __init__(self, path: Path, file: IO[bytes], position: str) -> None:
        self.path = path
        self.file = file
        self.inode = os.fstat(file.fileno()).st_ino
        self.lines = Lines()
        self.go_to(self.start(position))

    def batches(self, stopping: threading.Event) -> Iterator[list[Printed]]:
        """Lines as they come. The open file can be read to its end even when it has been removed."""
        while not stopping.is_set():
            removed = self.is_removed()
            if batch := self.read():
                yield batch
            elif self.file.tell() < self.size():
                continue  # in the middle of a long line
            elif removed:
                yield from self.unfinished()
                return
            else:
                self.keep_small()
                stopping.wait(POLL_SECONDS)

    def read(self) -> list[Printed]:
        """The next whole lines."""
        if self.size() < self.file.tell():  # cut by somebody else
            self.go_to(0)
        chunk = self.file.read(CHUNK)
        at, batch, moment = self.file.tell() - len(chunk), [], datetime.now(UTC)
        *whole, rest = chunk.split(b"\n")
        for piece in (*(one + b"\n" for one in whole), rest):
            at += len(piece)
            for line in self.lines.feed(piece):
                self.offset = at
                batch.append(Printed(moment, "output", line, self.position))
        return batch

    def unfinished(self) -> Iterator[list[Printed]]:
        """A last line that nobody has ended."""
        self.offset = self.file.tell()
        if line := self.lines.take():
            yield [Printed(datetime.now(UTC), "output", line, self.position)]

    def keep_small(self) -> None:
        """Cut off what has been read. The writer appends, so it goes on at the new end."""
        if self.size() > LIMIT:
            limit(self.path, KEPT)
            self.go_to(self.size())

    def go_to(self, offset: int) -> None:
        """Go on reading there."""
        self.offset = offset
        self.file.seek(offset)
        self.lines = Lines()

    def start(self, position: str) -> int:
        """The offset that a position stands for; in another file than the one it was taken in, the beginning."""
        inode, _, offset = position.partition(":")
        if position == FROM_NOW:
            return self.size()
        known = inode == str(self.inode) and offset.isdecimal() and int(offset) <= self.size()
        return int(offset) if known else 0

    def is_removed(self) -> bool:
        """Whether the path leads to this file no more."""
        try:
            return self.path.stat().st_ino != self.inode
        except OSError:
            return True

    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self.file.fileno()).st_size

    @property
    def position(self) -> str:
        """Where the output goes on."""
        return f"{self.inode}:{self.offset}"


def limit(path: Path, kept: int, size: int = 0) -> None:
    """Keep the last `kept` bytes of a file that has more than `size`."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > max(kept, size):
            with path.open("r+b") as file:
                file.seek(-kept, os.SEEK_END)
                end = file.read(kept)
                file.truncate(0)
                file.seek(0)
                file.write(end)
