"""The home folder: keys that are made once, a lock that ends with its holder, and plain words for what goes wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from luml_app.embedded.home import Home, HomeError
from luml_app.embedded.up import gateway_socket

HOLD = """
import signal, sys
from pathlib import Path
from luml_app.embedded.home import Home
with Home(Path(sys.argv[1])).lock():
    print("held", flush=True)
    signal.pause()
"""


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_a_key_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home").prepare()
    key = home.key("secret")
    assert Home(home.root).key("secret") == key
    assert home.key("another") != key
    assert mode(home.keys / "secret") == "0o600"
    assert mode(home.keys) == "0o700"
    assert sorted(path.name for path in home.keys.iterdir()) == ["another", "secret"]


def test_many_who_ask_for_a_new_key_at_once_get_the_same(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(home.key, ["secret"] * 32))) == 1


def test_a_key_that_lost_its_content_is_not_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path).prepare()
    (home.keys / "secret").touch()
    with pytest.raises(HomeError, match=r"The key in .*secret is damaged"):
        home.key("secret")
    assert (home.keys / "secret").read_bytes() == b""


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.holder() is None
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(home.root)], stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    assert home.holder() == holder.pid
    with pytest.raises(HomeError, match=rf"already running on this home \(pid {holder.pid}\)"), home.lock():
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert home.holder() is None
    with home.lock():
        assert home.holder() == os.getpid()


def test_a_file_in_place_of_the_home_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(HomeError, match=r"home is not a folder; set LUML_HOME"):
        Home(tmp_path / "home").prepare()
    with pytest.raises(HomeError, match=r"is not a folder; set LUML_HOME"):
        Home(tmp_path / "home" / "below").prepare()


def test_a_read_only_home_is_one_sentence(read_only: Path) -> None:
    with pytest.raises(HomeError, match=r"LUML may not write to .*; set LUML_HOME"):
        Home(read_only).prepare()
    with pytest.raises(HomeError, match=r"LUML may not write to .*; set LUML_HOME"), Home(read_only / "new").lock():
        pass


def test_a_full_disk_is_one_sentence(full_disk: Path) -> None:
    with pytest.raises(HomeError, match=r"The disk is full: LUML cannot write to .*; free some space"):
        Home(full_disk).prepare()


def test_a_port_that_a_connection_has_is_not_free() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = server.getsockname()
        with closing(socket.create_connection(address)) as outgoing:
            taken = outgoing.getsockname()[1]
            for before, otherwise in ((f"http://127.0.0.1:{taken}", address[1]), ("", taken)):
                with closing(gateway_socket(before, otherwise)) as another:
                    assert another.getsockname()[1] not in {taken, address[1]}
    with closing(gateway_socket(f"http://127.0.0.1:{address[1]}", 1)) as again:
        assert again.getsockname() == address
