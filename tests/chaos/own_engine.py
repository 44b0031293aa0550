"""A Docker engine of a test's own, on this machine's network, whose death is not the end of its containers.

It lives in process ids and mounts of its own: their first process is killed by the kernel when the tests' own process
ends, however it ends, and everything else with it. Its bridge alone may be left over, and is removed by the next run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.satellite.contract_server import until
from tests.satellite.engine import missing, need_engine
from tests.satellite.swarm import BOUND_TO_US, first_child, ip, need_to_be_able, wheels

PREFIX = "luml-engine-"
NETWORK = "10.214"
DISK = "/run"
# The first process of a house of processes has to bury its dead; a shell that waits does.
HOUSE = f"mount -t tmpfs -o size=4g none {DISK} && while sleep 1; do :; done"
# Rules of the firewall are all engines' together, so this one makes none: it has a bridge, which is enough from here.
ALONE = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]


class OwnEngine:
    """An engine that can be killed. With `live_restore` it takes its containers back when it returns."""

    def __init__(self, folder: Path, live_restore: bool) -> None:
        self.folder, self.live_restore = folder, live_restore
        self.address = f"unix://{folder}/docker.sock"
        self.house = subprocess.Popen(
            [*BOUND_TO_US, "unshare", "--mount", "--pid", "--mount-proc", "--kill-child", "--fork", "sh", "-c", HOUSE]
        )
        self.pid = first_child(self.house.pid)
        until(lambda: psutil.Process(self.pid).children(), 10, "the disk of the engine")
        self.bridge = lay_bridge()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again where it was."""
        # In so small a house the number of the dead one is soon another's.
        (self.folder / "pid").unlink(missing_ok=True)
        enter = ["nsenter", "-t", str(self.pid), "--mount", "--pid", "--"]
        words = [
            "dockerd", "--host", self.address, "--data-root", f"{DISK}/data", "--exec-root", f"{self.folder}/exec",
            "--pidfile", f"{self.folder}/pid", "--storage-driver", "overlay2", "--cgroup-parent", self.bridge,
            "--bridge", self.bridge, *ALONE, *(["--live-restore"] if self.live_restore else []),
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*enter, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self.answers, 60, f"the engine of {self.folder} answers (see its log)")

    def kill(self) -> None:
        """`kill -9` of the engine. Its containers have processes of their own."""
        assert self.process
        psutil.Process(first_child(self.process.pid)).kill()
        self.process.wait()

    def answers(self) -> bool:
        import docker
        import docker.errors

        with contextlib.suppress(docker.errors.DockerException, OSError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self) -> contextlib.AbstractContextManager[Any]:
        import docker

        return contextlib.closing(docker.DockerClient(base_url=self.address, timeout=120))

    def give_image(self, name: str) -> None:
        """Load an image of the engine of the other tests."""
        import docker

        with contextlib.closing(docker.DockerClient(base_url=need_engine())) as there, self.client() as here:
            here.images.load(b"".join(there.images.get(name).save(named=True)))

    def remove(self) -> None:
        """Leave nothing."""
        self.house.kill()
        self.house.wait()
        if self.process:
            self.process.wait()
        ip("link", "del", self.bridge)
        shutil.rmtree(self.folder, ignore_errors=True)
        for group in sorted(Path("/sys/fs/cgroup").glob(f"*/{self.bridge}/**/"), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()


def lay_bridge() -> str:
    """A bridge that nobody else has here, marked with our process id; its name."""
    for number in range(1, 250):
        name = f"luml-e{number}"
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "add", name, "type", "bridge")
            ip("link", "set", name, "alias", f"{PREFIX}{os.getpid()}", "up")
            ip("addr", "add", f"{NETWORK}.{number}.1/24", "dev", name)
            return name
    return missing("this machine gives no more bridges to engines")


def remove_leftovers() -> None:
    """Bridges and folders of runs that were killed."""
    told = subprocess.run(["ip", "-json", "link", "show", "type", "bridge"], check=True, capture_output=True).stdout
    for bridge in json.loads(told or "[]"):
        pid = bridge.get("ifalias", "").removeprefix(PREFIX)
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            ip("link", "del", bridge["ifname"])
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def model_image() -> str:
    """The model image, made by the engine of the other tests: this one reaches no package index."""
    from satellite.runtimes.docker import DockerRuntime
    from tests.satellite.test_runtimes import runtime_settings

    with tempfile.TemporaryDirectory() as data:
        maker = DockerRuntime(runtime_settings(Path(data), need_engine()))
        maker.ensure_image()
        maker.close(stop_replicas=False)
        return maker.tag


@contextlib.contextmanager
def own_engine(*, live_restore: bool) -> Iterator[OwnEngine]:
    """A running engine that has the model image; skips where there cannot be one. `wheels()` builds environments."""
    need_to_be_able()
    remove_leftovers()
    image = model_image()
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")), live_restore)
    try:
        engine.start()
        engine.give_image(image)
        yield engine
    finally:
        engine.remove()


__all__ = ["OwnEngine", "own_engine", "wheels"]
