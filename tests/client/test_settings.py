"""Where address and key come from, and that a key goes nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from luml_app.client.settings import DEFAULT_ADDRESS, find_connection, save_connection
from luml_app.schemas.errors import ConfigurationError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "config.toml"


def variables(path: Path, **others: str) -> dict[str, str]:
    return {"LUML_CONFIG_FILE": str(path), **others}


def test_nothing_is_set(path: Path) -> None:
    found = find_connection(environment=variables(path))
    assert (found.address, found.api_key) == (DEFAULT_ADDRESS, None)
    assert found.source == {"address": "default", "api_key": "default"}


def test_the_argument_wins_over_the_environment_and_that_over_the_file(path: Path) -> None:
    save_connection("http://filed:1", "filed", path)
    assert find_connection(environment=variables(path)).api_key == "filed"
    told = variables(path, LUML_ADDRESS="http://told:2", LUML_API_KEY="told")
    assert find_connection(environment=told).address == "http://told:2"
    assert find_connection(environment=told).api_key == "told"
    given = find_connection("http://given:3/", "given", told)
    assert (given.address, given.api_key) == ("http://given:3", "given")
    assert given.source == {"address": "argument", "api_key": "argument"}


def test_the_stored_key_goes_to_its_own_server_only(path: Path) -> None:
    save_connection("http://ours:1", "secret", path)
    assert find_connection("http://theirs:1", environment=variables(path)).api_key is None
    assert find_connection(environment=variables(path, LUML_ADDRESS="http://theirs:1")).api_key is None
    assert find_connection("http://ours:1/", environment=variables(path)).api_key == "secret"


def test_an_empty_key_means_none(path: Path) -> None:
    save_connection("http://ours:1", "secret", path)
    assert find_connection(api_key="", environment=variables(path, LUML_API_KEY="told")).api_key is None


@pytest.mark.parametrize("address", ["localhost:5010", "ftp://x", "http://", "http://x:port", "http://a\nb", "x y"])
def test_what_is_no_address_is_named_with_its_source(path: Path, address: str) -> None:
    with pytest.raises(ConfigurationError, match="LUML_ADDRESS"):
        find_connection(environment=variables(path, LUML_ADDRESS=address))


def test_a_key_with_impossible_characters(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LUML_API_KEY"):
        find_connection(environment=variables(path, LUML_API_KEY="dfs_\u2026x"))
    assert find_connection(environment=variables(path, LUML_API_KEY=" dfs_x\n")).api_key == "dfs_x"


@pytest.mark.parametrize("text", ["address = ", "\0", 'address = "x"\naddress = "y"'])
def test_a_broken_file_is_named(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"config\.toml"):
        find_connection(environment=variables(path))


def test_the_file_is_private_whole_and_may_be_a_link(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("")
    real.chmod(0o644)
    path.parent.mkdir()
    path.symlink_to(real)
    save_connection('http://a"b\\c:1', "k", path)
    assert path.is_symlink() and real.stat().st_mode & 0o777 == 0o600
    save_connection("http://x:1", 'k"', path)
    assert find_connection(environment=variables(path)).api_key == 'k"'
    assert [one.name for one in path.parent.iterdir()] == ["config.toml"]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="LUML_CONFIG_FILE"):
        save_connection("http://x:1", "k", tmp_path / "file" / "config.toml")
