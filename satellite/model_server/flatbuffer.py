"""Just enough of FlatBuffers to ask a message of Arrow what it holds. Positions outside of the buffer read as zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One table, whose fields are known by their numbers."""

    buffer: bytes
    position: int

    def has(self, field: int) -> bool:
        """Whether a field is there."""
        return self.offset(field) != 0

    def byte(self, field: int) -> int:
        """A field of one byte; 0 where it is not."""
        return number(self.buffer, self.position + self.offset(field), 1) if self.has(field) else 0

    def follow(self, field: int) -> Table | None:
        """The table to which a field points."""
        if not self.has(field):
            return None
        place = self.position + self.offset(field)
        return Table(self.buffer, place + number(self.buffer, place, 4))

    def offset(self, field: int) -> int:
        """Where a field is, counted from the table's position; 0 where it is not."""
        places = self.position - number(self.buffer, self.position, 4, signed=True)
        within = 4 + 2 * field < number(self.buffer, places, 2)
        return number(self.buffer, places + 4 + 2 * field, 2) if within else 0


def root_of(buffer: bytes) -> Table:
    """The outermost table."""
    return Table(buffer, number(buffer, 0, 4))


def number(buffer: bytes, place: int, size: int, *, signed: bool = False) -> int:
    """A little-endian number."""
    return int.from_bytes(buffer[place : place + size], "little", signed=signed) if place >= 0 else 0
