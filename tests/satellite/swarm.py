"""A swarm of two engines on one machine: each `dockerd` has process ids, mounts and a network of its own.

They are joined by a switch: a third network, of a process that does nothing, which also has their disks: in memory, and
seen by them only. All three processes are killed by the kernel when the tests' own process ends, however it ends, and
everything that they have started, their networks and disks with them. Only logs and sockets may be left, and those are
removed by the next run.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from satellite.model_server.environment import SERVER_REQUIREMENTS
from tests.satellite.contract_server import until
from tests.satellite.engine import missing, need_engine, open_engine

PREFIX = "luml-swarm-"
NETWORK = "10.213"
BOUND_TO_US = ["setpriv", "--pdeathsig", "KILL", "--"]
ALONE = ["unshare", "--net", "--mount", "--kill-child", "--fork"]
DISKS = "/run"
PROGRAMS = ("dockerd", "setpriv", "unshare", "nsenter", "ip")


class Node:
    """One engine, on a machine that is as good as one of its own: killed, it is gone with all its containers."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        folder.mkdir()
        self.host = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, switch: Switch) -> None:
        """Power on. Its network is given to it from outside, and it waits for that."""
        engine = (
            f"while ! ip addr show eth0 | grep -q inet; do sleep 0.05; done; mkdir -p {self.disk}; "
            f"exec dockerd --host {self.host} --data-root {self.disk} --exec-root {self.folder}/exec "
            f"--pidfile {self.folder}/pid --storage-driver overlay2 --cgroup-parent {self.cgroup}"
        )
        (self.folder / "pid").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "exec", ignore_errors=True)
        log = (self.folder / "log").open("ab")
        words = [*BOUND_TO_US, *switch.enter("--mount"), *ALONE, "--pid", "--mount-proc", "sh", "-c", engine]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        switch.plug(first_child(self.process.pid), self.address)
        until(self.answers, 60, f"the engine of {self.folder} answers (see its log)")

    def answers(self) -> bool:
        import docker
        import docker.errors

        try:
            with contextlib.closing(docker.DockerClient(base_url=self.host)) as client:
                return bool(client.ping())
        except (docker.errors.DockerException, OSError):
            return False

    def client(self) -> contextlib.AbstractContextManager[Any]:
        import docker

        return contextlib.closing(docker.DockerClient(base_url=self.host, timeout=120))

    def kill(self) -> None:
        """Power off, in the middle of everything."""
        if self.process:
            psutil.Process(first_child(self.process.pid)).kill()
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        """Leave nothing."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        for group in Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}"):
            for folder in (*group.glob("*/"), group):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    @property
    def disk(self) -> str:
        return f"{DISKS}/{self.folder.name}"

    @property
    def cgroup(self) -> str:
        return f"{self.folder.parent.name}-{self.folder.name}"


class Switch:
    """A network in which nodes, and this machine, see each other."""

    def __init__(self) -> None:
        disks = f"mount -t tmpfs -o size=6g none {DISKS} && exec sleep infinity"
        self.process = subprocess.Popen([*BOUND_TO_US, *ALONE, "sh", "-c", disks])
        self.pid = first_child(self.process.pid)
        until(lambda: psutil.Process(self.pid).name() == "sleep", 10, "the disks of the swarm")
        self.ports = 0
        self.run("ip link set lo up", "ip link add br0 type bridge", "ip link set br0 up")
        number = self.connect_machine()
        self.prefix, self.cable = f"{NETWORK}.{number}", f"luml{number}"
        self.run("ip link set machine master br0", "ip link set machine up")
        ip("addr", "add", f"{self.prefix}.1/24", "dev", self.cable)
        ip("link", "set", self.cable, "up")

    def connect_machine(self) -> int:
        """Lay a cable to this machine; returns its number, which nobody else has here."""
        for number in range(100, 250):
            with contextlib.suppress(subprocess.CalledProcessError):
                cable = ("link", "add", f"luml{number}", "type", "veth")
                ip(*cable, "peer", "name", "machine", "netns", str(self.pid))
                return number
        return missing("this machine gives no more networks to engines")

    def plug(self, pid: int, address: str) -> None:
        """Connect the network of a process."""
        self.ports += 1
        port = f"port{self.ports}"
        ip("link", "add", "eth0", "netns", str(pid), "type", "veth", "peer", "name", port, "netns", str(self.pid))
        self.run(f"ip link set {port} master br0", f"ip link set {port} up")
        inside(pid, "ip link set lo up", "ip link set eth0 up", f"ip addr add {address}/24 dev eth0")

    def run(self, *commands: str) -> None:
        inside(self.pid, *commands)

    def enter(self, what: str) -> list[str]:
        """The words that come before a command which is to see what the switch sees."""
        return ["nsenter", "-t", str(self.pid), what, "--"]

    def remove(self) -> None:
        self.process.kill()
        self.process.wait()
        until(lambda: not Path(f"/sys/class/net/{self.cable}").exists())


class Swarm:
    """Node `one` manages, node `two` works. `machine` is the address of this machine, where the satellite runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.switch = Switch()
        self.machine = f"{self.switch.prefix}.1"
        self.one = Node(folder / "one", f"{self.switch.prefix}.2")
        self.two = Node(folder / "two", f"{self.switch.prefix}.3")

    def start(self) -> None:
        """Both engines, joined. Nodes that fall silent are noticed in seconds."""
        for node in (self.one, self.two):
            node.start(self.switch)
        with self.one.client() as one, self.two.client() as two:
            quick = {"dispatcher_heartbeat_period": 10**9}
            one.swarm.init(advertise_addr=self.one.address, listen_addr=self.one.address, **quick)
            token = one.swarm.attrs["JoinTokens"]["Worker"]
            two.swarm.join([self.one.address], token, advertise_addr=self.two.address, listen_addr=self.two.address)
        until(lambda: len(self.up()) == 2)

    def up(self) -> list[str]:
        """The addresses of the nodes that the swarm hears of."""
        with self.one.client() as one:
            return [node["Status"]["Addr"] for node in one.api.nodes() if node["Status"]["State"] == "ready"]

    def give_image(self, image: Any) -> None:
        """Load an image of another engine on both nodes."""
        path = self.folder / "image.tar"
        with path.open("wb") as sink:
            for chunk in image.save(named=True):
                sink.write(chunk)

        def load(node: Node) -> None:
            with node.client() as client, path.open("rb") as source:
                client.images.load(source)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(load, (self.one, self.two)))
        path.unlink()

    def remove(self) -> None:
        for node in (self.two, self.one):
            node.remove()
        self.switch.remove()


@contextlib.contextmanager
def open_swarm() -> Iterator[Swarm]:
    """A swarm; skips where there cannot be one."""
    need_to_be_able()
    remove_leftovers()
    # Sockets have no long names.
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    swarm = Swarm(folder)
    try:
        swarm.start()
        yield swarm
    finally:
        swarm.remove()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def swarm_with_image() -> Iterator[Swarm]:
    """A swarm whose nodes have the model image, made by the engine of the other tests: nodes reach no package index."""
    from satellite.runtimes.docker import DockerRuntime
    from tests.satellite.test_runtimes import runtime_settings

    with tempfile.TemporaryDirectory() as data, open_engine() as engine:
        maker = DockerRuntime(runtime_settings(Path(data), need_engine()))
        maker.ensure_image()
        maker.close(stop_replicas=False)
        with open_swarm() as swarm:
            swarm.give_image(engine.images.get(maker.tag))
            yield swarm


@functools.cache
def wheels() -> Path:
    """All that the tests' environments are built from, for builders that reach no package index."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-wheels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    words = ["download", "--quiet", "--only-binary", ":all:", "--dest", str(folder), *SERVER_REQUIREMENTS]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "toolz==0.12.1"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        missing(f"no package index can be reached: {done.stderr[-200:]}")
    folder.chmod(0o755)
    return folder


def need_to_be_able() -> None:
    """Skip where engines cannot be started, or be given networks."""
    lacking = [program for program in PROGRAMS if not shutil.which(program)]
    if lacking:
        missing(f"a swarm needs {', '.join(lacking)} on this machine")
    if os.geteuid() != 0:
        missing("a swarm of two engines can be started by root only")
    links = "ip link add br0 type bridge && ip link add veth0 type veth peer name veth1"
    tried = subprocess.run(
        [*ALONE, "--pid", "sh", "-c", links],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode:
        missing(f"this machine gives no network to a second engine: {tried.stderr.strip()}")


def remove_leftovers() -> None:
    """Folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def first_child(pid: int) -> int:
    """The process that `unshare` has started in its new namespaces."""
    children: list[psutil.Process] = until(lambda: psutil.Process(pid).children(), 10)
    return children[0].pid


def inside(pid: int, *commands: str) -> None:
    """Run commands in the network of a process."""
    for command in commands:
        subprocess.run(["nsenter", "-t", str(pid), "-n", *command.split()], check=True, capture_output=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
