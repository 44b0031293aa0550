"""What nodes fetch from the satellite, and how they keep it: both sides of the depot, without an engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from satellite.model_server.depot import Depot as Customer
from satellite.model_server.depot import DepotAway, DepotRefused
from satellite.model_server.volume import Volume, unpack
from satellite.runtimes.depot import Depot
from satellite.runtimes.handover import Handovers
from satellite.runtimes.parcels import Parcels, digest_of, write_parcel

SECRETS, ATTRIBUTES = {"KEY": "hush-variable"}, {"key": "one"}
Shop = Callable[..., Customer]


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    made = Depot(tmp_path / "depot", Parcels(tmp_path / "parcels"), Handovers(tmp_path / "handed", shared=False))
    made.open(0)
    yield made
    made.close()


@pytest.fixture
def customer(depot: Depot) -> Shop:
    """A replica that knows its own token, unless told otherwise."""

    def make(key: str = "d.r.0", token: str = "", certificate: str = "") -> Customer:
        source = f"https://127.0.0.1:{depot.open(0)}"
        return Customer(source, key, token or depot.word("token", key), certificate or depot.public_certificate())

    return make


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A folder with what environments and models have: programs, links out of it, empty folders."""
    folder = tmp_path / "content"
    (folder / "bin").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "bin" / "run").write_text("#!/bin/sh")
    (folder / "bin" / "run").chmod(0o700)
    (folder / "bin" / "python").symlink_to("/usr/bin/python3")
    (folder / "weights").write_bytes(os.urandom(3_000_000))
    return folder


def test_a_parcel_is_the_same_wherever_it_is_made(content: Path, tmp_path: Path) -> None:
    before = digest_of(content)
    os.utime(content / "weights", (1, 1))
    (content / "bin" / "run").chmod(0o755)
    moved = content.rename(tmp_path / "moved")
    assert digest_of(moved) == before
    (moved / "weights").write_bytes(b"other")
    assert digest_of(moved) != before


def test_what_is_fetched_is_what_was_offered(depot: Depot, customer: Shop, content: Path, tmp_path: Path) -> None:
    parcel = depot.parcels.offer(content)
    customer().fetch(parcel, tmp_path / "fetched.tar")
    (tmp_path / "unpacked").mkdir()
    unpack(tmp_path / "fetched.tar", tmp_path / "unpacked")
    assert digest_of(tmp_path / "unpacked") == parcel
    assert (tmp_path / "unpacked" / "bin" / "python").readlink() == Path("/usr/bin/python3")
    assert os.access(tmp_path / "unpacked" / "bin" / "run", os.X_OK)


def test_something_else_than_was_offered_is_refused(
    depot: Depot, customer: Shop, content: Path, tmp_path: Path
) -> None:
    parcel = depot.parcels.offer(content)
    (content / "weights").write_bytes(b"swapped")
    with pytest.raises(DepotRefused, match=f"for {parcel}"):
        customer().fetch(parcel, tmp_path / "fetched.tar")


@pytest.mark.parametrize("parcel", ["0" * 64, "../secret", "x", ""])
def test_what_was_not_offered_is_not_given(customer: Shop, parcel: str, tmp_path: Path) -> None:
    with pytest.raises(DepotRefused, match="404"):
        customer().fetch(parcel, tmp_path / "fetched.tar")


def test_only_who_has_the_token_is_served(depot: Depot, customer: Shop, content: Path, tmp_path: Path) -> None:
    parcel = depot.parcels.offer(content)
    for stranger in (customer(token="x"), customer("d.r.1", token=depot.word("token", "d.r.0"))):
        with pytest.raises(DepotRefused, match="401"):
            stranger.fetch(parcel, tmp_path / "fetched.tar")
        with pytest.raises(DepotRefused, match="401"):
            stranger.attributes("")


def test_a_replica_trusts_no_other_satellite(customer: Shop, tmp_path: Path) -> None:
    other = Depot(tmp_path / "other", Parcels(tmp_path / "p"), Handovers(tmp_path / "h", shared=False))
    other.open(0)
    try:
        with pytest.raises(DepotAway, match="CERTIFICATE_VERIFY_FAILED"):
            customer(certificate=other.public_certificate()).attributes("")
    finally:
        other.close()


def test_nothing_that_is_handed_out_holds_the_key(depot: Depot) -> None:
    assert "PRIVATE" not in depot.public_certificate()
    assert (depot.folder / "certificate.pem").stat().st_mode & 0o777 == 0o600
    assert (depot.folder / "secret").stat().st_mode & 0o777 == 0o600


def test_attributes_are_followed(depot: Depot, customer: Shop) -> None:
    with depot.handovers.given("d.r.0", SECRETS, ATTRIBUTES):
        pass
    version, found = customer().attributes("")
    assert found == ATTRIBUTES
    answers: list[dict[str, str] | None] = []
    waiting = threading.Thread(target=lambda: answers.append(customer().attributes(version)[1]))
    waiting.start()
    depot.handovers.refresh("d.r.0", {"key": "two"})
    depot.tell()
    waiting.join(10)
    assert answers == [{"key": "two"}]


def test_a_replica_that_nothing_was_handed_to_is_told_so(customer: Shop) -> None:
    with pytest.raises(DepotRefused, match="404"):
        customer("no.such.0").attributes("x")


def test_a_depot_that_comes_back_is_the_same(depot: Depot, customer: Shop, content: Path, tmp_path: Path) -> None:
    parcel, port = depot.parcels.offer(content), depot.open(0)
    replica = customer()
    depot.close()
    with pytest.raises(DepotAway):
        replica.fetch(parcel, tmp_path / "fetched.tar")
    again = Depot(depot.folder, Parcels(depot.parcels.folder), depot.handovers)
    try:
        assert again.open(0) == port
        replica.fetch(parcel, tmp_path / "fetched.tar")
    finally:
        again.close()


def test_offers_of_what_runs_no_more_are_forgotten(content: Path, tmp_path: Path) -> None:
    parcel = Parcels(tmp_path / "parcels").offer(content)
    later = Parcels(tmp_path / "parcels")
    later.keep_only({parcel})
    assert later.find(parcel) == content
    later.keep_only(set())
    assert later.find(parcel) is None


HOLD = """
import sys
from pathlib import Path
from satellite.model_server.volume import Volume
print(Volume(Path(sys.argv[1]), int(sys.argv[2])).hold(sys.argv[3], None), flush=True)
sys.stdin.read()
"""


def test_a_node_fetches_once_and_forgets_what_nobody_holds(content: Path, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    fetched: list[str] = []

    def hold(name: str, limit: int) -> Path:
        def fetch(path: Path) -> None:
            fetched.append(name)
            with path.open("wb") as sink:
                write_parcel(content, sink)

        return Volume(tmp_path / "volume", limit).hold(name * 64, fetch)

    def there() -> set[str]:
        return {path.name[0] for path in (tmp_path / "volume").iterdir() if path.is_dir()}

    fill = [sys.executable, "-c", FILL, str(tmp_path / "volume"), str(content)]
    subprocess.run([*fill, "a"], check=True)
    subprocess.run([*fill, "b"], check=True)
    user = [sys.executable, "-c", HOLD, str(tmp_path / "volume"), "1", "a" * 64]
    with subprocess.Popen(user, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline().strip().endswith("a" * 64)
        hold("c", limit=4_000_000)
        assert there() == {"a", "c"}
        holder.kill()
    hold("d", limit=1)
    assert there() == {"c", "d"}
    hold("d", limit=1)
    assert fetched == ["c", "d"]


FILL = """
import sys
from pathlib import Path
from satellite.model_server.volume import Volume
from satellite.runtimes.parcels import write_parcel
def fetch(path):
    with path.open("wb") as sink:
        write_parcel(Path(sys.argv[2]), sink)
Volume(Path(sys.argv[1]), 10**9).hold(sys.argv[3] * 64, fetch)
"""


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise DepotRefused("no")

    with pytest.raises(DepotRefused):
        Volume(tmp_path / "volume", 1).hold("a" * 64, fail)
    assert [path.suffix for path in (tmp_path / "volume").iterdir()] == [".lock"]
