"""Model files and environments on disk: whole or not there, once however many ask."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from satellite.bundle import NotAModel, environment_of
from satellite.cache import DigestMismatch, ModelCache
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


@pytest.fixture
def source(model: Path) -> Source:
    return Source(model.read_bytes())


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "models", 10**9)


def test_a_model_is_downloaded_once(cache: ModelCache, source: Source) -> None:
    folder = cache.ensure(source.digest, source.download())
    assert cache.ensure(source.digest, source.download()) == folder
    assert (folder / "manifest.json").is_file()
    assert source.count == 1


def test_many_at_once_download_once(cache: ModelCache, source: Source) -> None:
    threads = [threading.Thread(target=lambda: cache.ensure(source.digest, source.download())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.count == 1


def test_a_damaged_file_is_downloaded_again(cache: ModelCache, source: Source) -> None:
    cache.ensure(source.digest, source.download())
    archive = cache.folder / f"{source.digest}.luml"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    assert (cache.ensure(source.digest, source.download()) / "manifest.json").is_file()
    assert source.count == 2


def test_other_bytes_than_promised_are_refused(cache: ModelCache, source: Source) -> None:
    with pytest.raises(DigestMismatch, match="the registry says"):
        cache.ensure("0" * 64, source.download())
    assert not list(cache.folder.glob("*.luml")) and not list(cache.folder.glob("*.part"))


def test_a_download_without_end_is_cut_short(cache: ModelCache) -> None:
    @contextmanager
    def endless() -> Iterator[Iterator[bytes]]:
        yield iter(lambda: bytes(1000), b"")

    with pytest.raises(DigestMismatch, match="larger than the 5000 bytes"):
        cache.ensure("0" * 64, endless(), 5000)
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]


def test_a_digest_that_is_none_is_refused(cache: ModelCache, source: Source) -> None:
    with pytest.raises(DigestMismatch, match="not a sha256"):
        cache.ensure("../../etc", source.download())


def test_an_interrupted_download_leaves_nothing(cache: ModelCache, source: Source) -> None:
    @contextmanager
    def broken() -> Iterator[Iterator[bytes]]:
        def chunks() -> Iterator[bytes]:
            yield b"half"
            raise ConnectionError("cut")

        yield chunks()

    with pytest.raises(ConnectionError):
        cache.ensure(source.digest, broken())
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100])
def test_what_is_no_model_is_refused(cache: ModelCache, data: bytes) -> None:
    source = Source(data)
    with pytest.raises(NotAModel):
        cache.ensure(source.digest, source.download())
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
        cache.ensure(source.digest, source.download())
    assert repr(name) in str(refused.value)
    assert not list(tmp_path.rglob("*evil*")) and not Path("/tmp/luml-evil").exists()
    assert not (cache.folder / source.digest).exists()


def test_links_are_left_out(cache: ModelCache, model: Path) -> None:
    source = with_member(model, "link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    assert not (cache.ensure(source.digest, source.download()) / "link").exists()


def test_a_file_that_is_cut_off_is_refused(cache: ModelCache, model: Path) -> None:
    source = with_member(model, "weights", bytes(100_000))
    cut = Source(source.data[:50_000])
    with pytest.raises(NotAModel, match="'weights'"):
        cache.ensure(cut.digest, cut.download())


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
        cache.ensure(source.digest, source.download())
    cache.trim({sources[0].digest})
    assert [path.stem for path in cache.folder.glob("*.luml")] == [sources[0].digest]


def test_an_environment_is_built_once(tmp_path: Path) -> None:
    cache, spec, built = EnvironmentCache(tmp_path / "envs"), EnvironmentSpec("3.11"), []

    def build(folder: Path) -> None:
        built.append(folder)
        environment.mark(folder, "/usr/bin/python")

    assert [cache.ensure(spec, build), cache.ensure(spec, build)] == ["/usr/bin/python"] * 2
    assert len(built) == 1


def test_an_environment_without_its_marker_is_built_again(tmp_path: Path) -> None:
    cache, spec = EnvironmentCache(tmp_path / "envs"), EnvironmentSpec("3.11")
    (cache.folder / spec.key / "bin").mkdir(parents=True)
    assert cache.ensure(spec, lambda folder: environment.mark(folder, "/usr/bin/python")) == "/usr/bin/python"


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
