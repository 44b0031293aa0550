"""What the model server is told from outside: its arguments."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class ServerSettings:
    """Where the model is and where to listen.

    `model` is a `.luml` file or the folder it was unpacked into. Port 0 takes a free one. `port_file`, if given, gets
    the port once the socket listens. `handover` is the folder with the model's secrets (see handover.py).

    `workers` processes serve on one socket, each with the model in its memory. `queue` requests wait in each of them
    at most; more are refused. A request that takes longer than `request_seconds` is given up (0: none is). One call
    computes up to `batch_rows` rows of several requests (1: never), and a request waits up to `batch_delay_ms` for
    others to join it.
    """

    model: Path
    host: str = "127.0.0.1"
    port: int = 0
    port_file: Path | None = None
    body_limit: int = 64 * 1024 * 1024
    handover: Path | None = None
    workers: int = 1
    queue: int = 256
    request_seconds: float = 0.0
    batch_rows: int = 1024
    batch_delay_ms: float = 0.0


def from_arguments(argv: list[str]) -> ServerSettings:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="luml-model-server", description="Serve one .luml model over HTTP")
    parser.add_argument("--model", type=Path, required=True, help="a .luml file, or the folder it was unpacked into")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--port-file", type=Path, help="gets the port once the socket listens")
    parser.add_argument("--body-limit", type=int, default=64 * 1024 * 1024, help="largest request body in bytes")
    parser.add_argument("--handover", type=Path, help="the folder with the model's secrets")
    parser.add_argument("--workers", type=at_least(1), default=1, help="processes, each with the model in its memory")
    parser.add_argument("--queue", type=at_least(1), default=256, help="requests that may wait, for each worker")
    parser.add_argument("--request-seconds", type=float, default=0.0, help="longest time of a request; 0 sets no limit")
    parser.add_argument("--batch-rows", type=at_least(1), default=1024, help="most rows of a merged call, 1: never")
    parser.add_argument("--batch-delay-ms", type=float, default=0.0, help="how long a request waits for others")
    return ServerSettings(**vars(parser.parse_args(argv)))


def at_least(least: int) -> Callable[[str], int]:
    """A whole number that is not smaller."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more")
        return int(text)

    return number


def builder_arguments(argv: list[str]) -> tuple[str, Path]:
    """The arguments of `environment`: what to build (JSON) and where."""
    parser = argparse.ArgumentParser(prog="luml-model-server environment", description="Build a model's environment")
    parser.add_argument("--spec", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(argv)
    return options.spec, options.folder


@dataclass(frozen=True)
class NodeSettings:
    """What a replica on a node of a swarm fetches from the satellite at `source`, and what it then becomes.

    `model` and `environment` (where one is needed) are the sha256 of parcels, `volume_bytes` is how much of them the
    node keeps.
    """

    source: str
    replica: str
    model: str
    command: list[str]
    environment: str = ""
    environment_key: str = ""
    volume_bytes: int = 50 * 1024 * 1024 * 1024


def node_arguments(argv: list[str]) -> NodeSettings:
    """The arguments of `node`; the command comes after `--`."""
    parser = argparse.ArgumentParser(prog="luml-model-server node", description="Serve a model on a node of a swarm")
    for name in ("--source", "--replica", "--model"):
        parser.add_argument(name, required=True)
    parser.add_argument("--environment", default="")
    parser.add_argument("--environment-key", default="")
    parser.add_argument("--volume-bytes", type=int, required=True)
    words = argv.index("--")
    return NodeSettings(command=argv[words + 1 :], **vars(parser.parse_args(argv[:words])))


def builder_environment() -> dict[str, str]:
    """What uv sees: everything, unchanged."""
    return dict(os.environ)


def add_to_environment(variables: Mapping[str, str]) -> None:
    """Let the model see these variables."""
    os.environ.update(variables)


def share_processors(workers: int) -> None:
    """Tell numerical libraries how many processors each worker has: with all of them each, they were in their way."""
    if workers > 1:
        each = max(1, len(os.sched_getaffinity(0)) // workers)
        for name in THREAD_VARIABLES:
            os.environ.setdefault(name, str(each))
