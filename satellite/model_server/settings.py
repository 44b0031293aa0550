"""What the model server is told from outside: its arguments."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerSettings:
    """Where the model is and where to listen.

    `model` is a `.luml` file or the folder it was unpacked into. Port 0 takes a free one. `port_file`, if given, gets
    the port once the socket listens. `handover` is the folder with the model's secrets (see handover.py).
    """

    model: Path
    host: str = "127.0.0.1"
    port: int = 0
    port_file: Path | None = None
    body_limit: int = 64 * 1024 * 1024
    handover: Path | None = None


def from_arguments(argv: list[str]) -> ServerSettings:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="luml-model-server", description="Serve one .luml model over HTTP")
    parser.add_argument("--model", type=Path, required=True, help="a .luml file, or the folder it was unpacked into")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--port-file", type=Path, help="gets the port once the socket listens")
    parser.add_argument("--body-limit", type=int, default=64 * 1024 * 1024, help="largest request body in bytes")
    parser.add_argument("--handover", type=Path, help="the folder with the model's secrets")
    return ServerSettings(**vars(parser.parse_args(argv)))


def builder_arguments(argv: list[str]) -> tuple[str, Path]:
    """The arguments of `environment`: what to build (JSON) and where."""
    parser = argparse.ArgumentParser(prog="luml-model-server environment", description="Build a model's environment")
    parser.add_argument("--spec", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(argv)
    return options.spec, options.folder


def builder_environment() -> dict[str, str]:
    """What uv sees: everything, unchanged."""
    return dict(os.environ)
