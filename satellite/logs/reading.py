"""Finds kept lines again: the last ones, those since a time, those after a cursor. Reads files, and nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from satellite.logs.kept import Kept, numbered, parsed, records_of, segment, size_of

BATCH = 256 * 1024
"""Bytes that are read at once."""


class Cursor(NamedTuple):
    """A place between two lines: the number of a segment and an offset in it."""

    number: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.number}-{self.offset}"


def parse_cursor(text: str) -> Cursor:
    """A cursor from its text; raises ValueError."""
    number, _, offset = text.partition("-")
    if not (number.isdecimal() and offset.isdecimal() and len(text) < 40):
        raise ValueError(text)
    return Cursor(int(number), int(offset))


@dataclass(frozen=True)
class Wanted:
    """Which lines: of a revision, of a replica, from a time on. What concerns all of them is among each one's."""

    since: str = ""
    revision: str = ""
    replica: int | None = None

    def __contains__(self, record: Kept) -> bool:
        if record.time < self.since or (self.revision and record.revision not in ("", self.revision)):
            return False
        return self.replica is None or record.replica in (None, self.replica)


Found = tuple[Cursor, Kept]


def tail(folder: Path, lines: int, wanted: Wanted) -> list[Found]:
    """The last lines that fit, in their order."""
    found: deque[Found] = deque()
    for number, path in reversed(numbered(folder)):
        room = lines - len(found)
        if room <= 0:
            break
        fitting: deque[Found] = deque(
            ((Cursor(number, offset), record) for offset, record in records_of(path) if record in wanted), room
        )
        found.extendleft(reversed(fitting))
    return list(found)


def end(folder: Path) -> Cursor:
    """The place after the last line."""
    segments = numbered(folder)
    return Cursor(segments[-1][0], size_of(segments[-1][1])) if segments else Cursor()


def after(folder: Path, cursor: Cursor, wanted: Wanted) -> tuple[list[Found], Cursor]:
    """A batch of the lines after a cursor, and where to go on; the same cursor when there is nothing new.

    A segment that has been removed meanwhile is passed over: its lines are gone.
    """
    for number, path in numbered(folder):
        if number < cursor.number:
            continue
        start = cursor.offset if number == cursor.number else 0
        block = whole_lines(path, start)
        if block:
            found = [(Cursor(number, at), one) for at, one in parsed_block(block, start) if one in wanted]
            return found, Cursor(number, start + len(block))
    return [], cursor


def whole_lines(path: Path, start: int) -> bytes:
    """Up to `BATCH` bytes of whole lines."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            block = file.read(BATCH)
            if b"\n" not in block and len(block) == BATCH:
                block += file.readline()
    except OSError:
        return b""
    return block[: block.rfind(b"\n") + 1]


def parsed_block(block: bytes, start: int) -> Iterator[tuple[int, Kept]]:
    """The lines of a block, each with the offset after it."""
    offset = start
    for raw in block.splitlines(keepends=True):
        offset += len(raw)
        if record := parsed(raw):
            yield offset, record


def is_there(folder: Path, cursor: Cursor) -> bool:
    """Whether the line before the cursor may still be kept; if not, lines after it may have been removed."""
    return cursor.number == 0 or segment(folder, cursor.number).exists()
