"""The engine's stream of a container's output, taken apart: frames of two streams, with a time in front of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal

from satellite.logs.lines import Lines
from satellite.runtimes.interface import Printed

HEADER = 8
STDERR = 2


def frames(chunks: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """The frames of a multiplexed stream, as many as each chunk completes: the stream's number and the payload."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        found, at = [], 0
        while len(held) - at >= HEADER:
            size = int.from_bytes(held[at + 4 : at + HEADER], "big")
            if len(held) - at - HEADER < size:
                break
            found.append((held[at], bytes(held[at + HEADER : at + HEADER + size])))
            at += HEADER + size
        del held[:at]
        if found:
            yield found


def printed(chunks: Iterable[bytes], after: str) -> Iterator[list[Printed]]:
    """The lines of a stream with timestamps, without those up to the time `after`, which have been read before."""
    lines: dict[int, Lines] = defaultdict(Lines)
    for found in frames(chunks):
        batch = []
        for number, payload in found:
            time, _, text = payload.partition(b" ")
            position = time.decode(errors="replace")
            if position > after:
                batch += [Printed(moment(position), stream(number), one, position) for one in lines[number].feed(text)]
        if batch:
            yield batch


def stream(number: int) -> Literal["stdout", "stderr"]:
    """What the engine's number of a stream stands for."""
    return "stderr" if number == STDERR else "stdout"


def moment(text: str) -> datetime:
    """A time of the engine, which has nine digits after the second and ends with Z."""
    try:
        return datetime.fromisoformat(text[:26].rstrip("Z")).replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)


def present() -> str:
    """The position of what is printed from now on."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def question(position: str) -> dict[str, str]:
    """What to ask the engine for: both streams with their times from a position on, and what comes."""
    return {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1", "since": since(position)}


def since(position: str) -> str:
    """The time of a position as the engine wants it in a question: seconds and nanoseconds."""
    if not position:
        return "0"
    nanoseconds = position.partition(".")[2].rstrip("Z").ljust(9, "0")[:9]
    return f"{int(moment(position[:19]).timestamp())}.{nanoseconds}"
