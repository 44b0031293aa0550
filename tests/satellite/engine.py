"""The Docker engine of the tests, where there is one."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest

BASE_IMAGE = os.environ.get("SATELLITE_BASE_IMAGE", "luml-base:test")
OWN_ENGINE = f"unix://{os.environ.get('LUML_ENGINE_DIR', '/tmp/luml-dockerd')}/docker.sock"


@functools.cache
def engine_with_base() -> tuple[str, str]:
    """The address of an engine that has the base image, and if there is none, why."""
    import docker
    import docker.errors

    why = "no Docker engine answers (.ci/engine starts one)"
    for host in dict.fromkeys([os.environ.get("DOCKER_HOST", ""), "unix:///var/run/docker.sock", OWN_ENGINE]):
        if not host:
            continue
        try:
            client = docker.DockerClient(base_url=host)
            client.images.get(BASE_IMAGE)
        except docker.errors.ImageNotFound:
            why = f"the engine at {host} has no image {BASE_IMAGE} (.ci/base-image makes it)"
        except docker.errors.DockerException:
            continue
        else:
            client.close()
            return host, ""
    return "", why


def need_engine() -> str:
    """The engine's address; skips the test where there is none, and fails it where nothing may skip."""
    host, why = engine_with_base()
    if not host:
        missing(why)
    return host


def open_engine() -> contextlib.AbstractContextManager[Any]:
    """A client of the engine; skips the test where there is none."""
    import docker

    return contextlib.closing(docker.DockerClient(base_url=need_engine()))


class EngineDoor:
    """A socket that leads to the engine's: shut, the engine has stopped for those who know no other way to it."""

    def __init__(self, path: Path, host: str) -> None:
        self.path, self.target = path, host.removeprefix("unix://")
        self.connections: list[socket.socket] = []
        self.listener: socket.socket | None = None
        self.open()

    @property
    def address(self) -> str:
        return f"unix://{self.path}"

    def open(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(64)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections and cut those that are open."""
        if self.listener:
            self.path.unlink()
            end(self.listener)
            self.listener = None
        for connection in self.connections:
            end(connection)
        self.connections.clear()

    def accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self.target)
                self.connections += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=(source, sink), daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Bytes one way, until either side hangs up."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def end(connection: socket.socket) -> None:
    """Hang up, also on whoever waits for it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def missing(why: str) -> NoReturn:
    """Skip, or fail where nothing may skip."""
    if os.environ.get("LUML_TEST_NO_SKIP") == "1":
        pytest.fail(why)
    pytest.skip(why)
