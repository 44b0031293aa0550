"""Model files and environments on disk: whole or not there, once however many ask."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from satellite import reasons
from satellite.bundle import NotAModel, environment_of
from satellite.cache import DigestMismatch, ModelCache, at_most
from satellite.environments import EnvironmentCache, spec_of
from satellite.model_server import environment
from satellite.model_server.environment import EnvironmentSpec, running_python, unmet
from tests.satellite.models import write_model

Download = Callable[[], AbstractContextManager[Iterator[bytes]]]


class Source:
    """Bytes to download, counted."""

    def __init__(self, data: bytes) -> None:
        self.data, self.count = data, 0
        self.digest = hashlib.sha256(data).hexdigest()

    @contextmanager
    def download(self) -> Iterator[Iterator[bytes]]:
        self.count += 1
        yield iter([self.data[:100], self.data[100:]])


def ensure(cache: ModelCache, digest: str, download: Download) -> Path:
    """The folder of a model, of which nobody makes use."""
    with cache.lease(digest, download) as folder:
        return folder


def nothing() -> set[str]:
    return set()


@pytest.fixture
def source(model: Path) -> Source:
    return Source(model.read_bytes())


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "models", 10**9)


def test_a_model_is_downloaded_once(cache: ModelCache, source: Source) -> None:
    folder = ensure(cache, source.digest, source.download)
    assert ensure(cache, source.digest, source.download) == folder
    assert (folder / "manifest.json").is_file()
    assert source.count == 1


def test_many_at_once_download_once(cache: ModelCache, source: Source) -> None:
    threads = [threading.Thread(target=lambda: ensure(cache, source.digest, source.download)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.count == 1


def test_a_damaged_file_is_downloaded_again(cache: ModelCache, source: Source) -> None:
    ensure(cache, source.digest, source.download)
    archive = cache.folder / f"{source.digest}.luml"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    assert (ensure(cache, source.digest, source.download) / "manifest.json").is_file()
    assert source.count == 2


def test_other_bytes_than_promised_are_refused(cache: ModelCache, source: Source) -> None:
    with pytest.raises(DigestMismatch, match="the registry says"):
        ensure(cache, "0" * 64, source.download)
    assert not list(cache.folder.glob("*.luml")) and not list(cache.folder.glob("*.part"))


def test_a_download_without_end_is_cut_short(cache: ModelCache) -> None:
    @contextmanager
    def endless() -> Iterator[Iterator[bytes]]:
        yield at_most(iter(lambda: bytes(1000), b""), 5000)

    with pytest.raises(DigestMismatch, match="larger than the 5000 bytes"):
        ensure(cache, "0" * 64, endless)
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]


def test_a_digest_that_is_none_is_refused(cache: ModelCache, source: Source) -> None:
    with pytest.raises(DigestMismatch, match="not a sha256"):
        ensure(cache, "../../etc", source.download)


def test_an_interrupted_download_leaves_nothing(cache: ModelCache, source: Source) -> None:
    @contextmanager
    def broken() -> Iterator[Iterator[bytes]]:
        def chunks() -> Iterator[bytes]:
            yield b"half"
            raise ConnectionError("cut")

        yield chunks()

    with pytest.raises(ConnectionError):
        ensure(cache, source.digest, broken)
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100])
def test_what_is_no_model_is_refused(cache: ModelCache, data: bytes) -> None:
    source = Source(data)
    with pytest.raises(NotAModel):
        ensure(cache, source.digest, source.download)
    assert not (cache.folder / source.digest).exists()


def with_member(model: Path, name: str, data: bytes = b"evil", **fields: Any) -> Source:
    """The model with one more member."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    with tarfile.open(model, "a") as tar:
        tar.addfile(info, io.BytesIO(data))
    return Source(model.read_bytes())


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/luml-evil", "sub/../../evil", "a\\evil", "ops.json", "ops.json/evil", "evil\n"]
)
def test_a_member_with_an_unsafe_path_is_refused_by_name(
    cache: ModelCache, model: Path, tmp_path: Path, name: str
) -> None:
    source = with_member(model, name)
    with pytest.raises(NotAModel) as refused:
        ensure(cache, source.digest, source.download)
    assert repr(name) in str(refused.value)
    assert not list(tmp_path.rglob("*evil*")) and not Path("/tmp/luml-evil").exists()
    assert not (cache.folder / source.digest).exists()


def test_links_are_left_out(cache: ModelCache, model: Path) -> None:
    source = with_member(model, "link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    assert not (ensure(cache, source.digest, source.download) / "link").exists()


def test_a_file_that_is_cut_off_is_refused(cache: ModelCache, model: Path) -> None:
    source = with_member(model, "weights", bytes(100_000))
    cut = Source(source.data[:50_000])
    with pytest.raises(NotAModel, match="'weights'"):
        ensure(cache, cut.digest, cut.download)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"python3::conda_pip": [1]}', '{"python3::conda_pip": {"dependencies": [{}]}}',
     '{"python3::conda_pip": {"dependencies": ["numpy"]}}',
     '{"python3::conda_pip": {"dependencies": [{"package": "a", "extra_pip_args": "\'"}]}}'],
)  # fmt: skip
def test_an_environment_that_cannot_be_understood_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "env.json").write_text(text)
    with pytest.raises(NotAModel, match=r"env\.json"):
        environment_of(tmp_path)


def test_the_oldest_models_go_first_but_none_in_use(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "models", 0)
    sources = [Source(write_model(tmp_path / f"{n}.luml", f"{{'y': inputs['x'] * {n}}}").read_bytes()) for n in (1, 2)]
    for source in sources:
        ensure(cache, source.digest, source.download)
    cache.trim(lambda: {sources[0].digest})
    assert [path.stem for path in cache.folder.glob("*.luml")] == [sources[0].digest]


def test_what_is_used_meanwhile_is_not_trimmed(tmp_path: Path, source: Source) -> None:
    """A model between its download and the start of its replica is in no list of what runs."""
    cache = ModelCache(tmp_path / "models", 0)
    with cache.lease(source.digest, source.download) as folder:
        cache.trim(nothing)
        assert (folder / "manifest.json").is_file()
    cache.trim(lambda: {source.digest})
    assert (folder / "manifest.json").is_file()
    cache.trim(nothing)
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]


def test_two_threads_may_trim_and_use_at_once(tmp_path: Path, source: Source) -> None:
    cache, done, broken = ModelCache(tmp_path / "models", 0), threading.Event(), []

    def trim() -> None:
        while not done.is_set():
            cache.trim(nothing)

    def use() -> None:
        for _ in range(50):
            with cache.lease(source.digest, source.download) as folder:
                broken.extend([] if (folder / "manifest.json").read_bytes() else ["empty"])

    trimmer, users = threading.Thread(target=trim), [threading.Thread(target=use) for _ in range(2)]
    for thread in (trimmer, *users):
        thread.start()
    for thread in users:
        thread.join()
    done.set()
    trimmer.join()
    assert broken == []


def test_a_model_that_was_verified_is_not_read_again(cache: ModelCache, source: Source) -> None:
    """A large model would take longer to hash than to load."""
    ensure(cache, source.digest, source.download)
    archive = cache.folder / f"{source.digest}.luml"
    stat = archive.stat()
    archive.write_bytes(bytes(stat.st_size))  # as nobody does who is not out to deceive:
    os.utime(archive, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (ensure(cache, source.digest, source.download) / "manifest.json").is_file()
    assert source.count == 1
    archive.touch()
    ensure(cache, source.digest, source.download)
    assert source.count == 2


def test_a_damaged_folder_is_unpacked_again_without_a_download(cache: ModelCache, source: Source) -> None:
    folder = ensure(cache, source.digest, source.download)
    before = (folder / "manifest.json").read_text()
    with (folder / "manifest.json").open() as held:
        (folder / "manifest.json").write_text("{}")
        (folder / "ops.json").unlink()
        assert (ensure(cache, source.digest, source.download) / "manifest.json").read_text() == before
        assert (folder / "ops.json").is_file()
        assert held.read() == "{}"  # what runs goes on with what it has
    assert source.count == 1
    assert len(list(cache.folder.glob("*.aside"))) == 1
    cache.trim(lambda: {source.digest})
    assert len(list(cache.folder.glob("*.aside"))) == 1
    cache.trim(nothing)
    assert not list(cache.folder.glob("*.aside"))


def build_into(folder: Path) -> None:
    """An environment, as far as a cache is concerned."""
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "python").write_bytes(bytes(1000))
    environment.mark(folder, str(folder / "venv" / "bin" / "python"))


def test_an_environment_is_built_once(tmp_path: Path) -> None:
    cache, spec, built = EnvironmentCache(tmp_path / "envs", 10**9), EnvironmentSpec("3.11"), []

    def build(folder: Path) -> None:
        built.append(folder)
        environment.mark(folder, "/usr/bin/python")

    for _ in range(2):
        with cache.lease(spec, build) as python:
            assert python == "/usr/bin/python"
    assert len(built) == 1


def test_an_environment_without_its_marker_is_built_again(tmp_path: Path) -> None:
    cache, spec = EnvironmentCache(tmp_path / "envs", 10**9), EnvironmentSpec("3.11")
    (cache.folder / spec.key / "bin").mkdir(parents=True)
    with cache.lease(spec, lambda folder: environment.mark(folder, "/usr/bin/python")) as python:
        assert python == "/usr/bin/python"


def test_an_environment_without_its_interpreter_is_built_again(tmp_path: Path) -> None:
    cache, spec = EnvironmentCache(tmp_path / "envs", 10**9), EnvironmentSpec("3.11")
    with cache.lease(spec, build_into) as python:
        shutil.rmtree(Path(python).parents[1])
    with cache.lease(spec, build_into) as python:
        assert Path(python).is_file()


def test_environments_are_kept_by_their_size(tmp_path: Path) -> None:
    cache, specs = EnvironmentCache(tmp_path / "envs", 2500), [EnvironmentSpec("3.11", (name,)) for name in "abc"]
    for age, spec in enumerate(specs):
        with cache.lease(spec, build_into):
            pass
        os.utime(cache.folder / spec.key / "complete.json", (age, age))
    cache.trim(lambda: {specs[0].key})
    assert {path.name for path in cache.folder.iterdir() if path.is_dir()} == {specs[0].key, specs[2].key}
    cache.trim(nothing)
    assert sum(path.is_dir() for path in cache.folder.iterdir()) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk that is small enough to be full")
def test_a_full_disk_is_told_and_leaves_nothing_half_made(tmp_path: Path, model: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        cache = ModelCache(disk / "models", 10**9)
        small, large = Source(model.read_bytes()), with_member(model, "weights", os.urandom(1_000_000))
        ensure(cache, small.digest, small.download)
        with pytest.raises(OSError) as refused:
            ensure(cache, large.digest, large.download)
        assert reasons.of_os_error(refused.value) is reasons.DISK_FULL
        assert not list(cache.folder.glob("*.part"))
        # There is less room than the reserve: what nobody uses goes, however large the cache may be.
        cache.trim(nothing)
        assert not list(cache.folder.glob("*.luml"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_satisfied_pins_need_no_environment() -> None:
    installed = environment.importlib.metadata.version("numpy")
    assert unmet(EnvironmentSpec(running_python(), (f"numpy=={installed}", "msgspec>=0.1"))) is None
    assert unmet(EnvironmentSpec(running_python(), ("numpy==0.0.1",))) == "numpy==0.0.1"
    assert unmet(EnvironmentSpec(running_python(), ("no-such-package-here",))) == "no-such-package-here"
    assert unmet(EnvironmentSpec("3.4")) == "Python 3.4"
    assert unmet(EnvironmentSpec(running_python(), ("x @ file:///x",))) is not None
    assert unmet(EnvironmentSpec(running_python(), ("nothing; sys_platform == 'plan9'",))) is None


def test_uv_is_told_what_pip_is_told() -> None:
    told = environment.for_uv({"PIP_INDEX_URL": "https://a", "PIP_EXTRA_INDEX_URL": "https://b", "PATH": "/bin"})
    assert (told["UV_INDEX_URL"], told["UV_EXTRA_INDEX_URL"], told["PATH"]) == ("https://a", "https://b", "/bin")
    assert (
        environment.for_uv({"PIP_INDEX_URL": "https://a", "UV_INDEX_URL": "https://c"})["UV_INDEX_URL"] == "https://c"
    )


def test_conditions_and_options_of_a_model_are_read() -> None:
    spec = spec_of({
        "python_version": "3.12.4",
        "build_dependencies": ["pip==24"],
        "dependencies": [
            {"package": "a==1", "extra_pip_args": "--find-links https://x.example --no-deps"},
            {"package": "b==1", "condition": {"os": ["plan9"]}},
            {"package": "c==1", "condition": {"accelerator": ["cpu"], "os": None}},
        ],
        "conda_channels": None,
    })  # fmt: skip
    assert spec == EnvironmentSpec("3.12", ("a==1", "c==1"), ("--find-links", "https://x.example"))
