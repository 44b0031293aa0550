"""As root, the database has an account of its own, which gets to its folder without anybody else getting there."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from luml_app.embedded.account import Account, give, identity, let_through, unprivileged_account
from tests.embedded.conftest import OTHER_UID, as_somebody_else

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="is about root")


def reads(path: Path, account: Account | None) -> bool:
    return subprocess.run(["cat", str(path)], capture_output=True, check=False, **identity(account)).returncode == 0


@pytest.fixture
def account() -> Account:
    account = unprivileged_account()
    assert account
    return account


SOMEBODY = Account("nobody", OTHER_UID, OTHER_UID)


@pytest.fixture
def secret(short_path: Path) -> Path:
    """A readable file below two folders that only root may enter."""
    folder = short_path / "private" / "home"
    folder.mkdir(parents=True)
    for closed in (short_path, short_path / "private"):
        closed.chmod(0o700)
    (folder / "file").write_text("content")
    return folder / "file"


@root_only
def test_the_account_is_made_once_and_is_not_root(account: Account) -> None:
    assert account.uid != 0
    assert unprivileged_account() == account


@root_only
def test_the_account_alone_is_let_through(secret: Path, account: Account) -> None:
    assert not reads(secret, account)
    let_through(secret, account)
    assert reads(secret, account)
    assert not reads(secret, SOMEBODY)
    let_through(secret, account)
    assert reads(secret, account)


@root_only
def test_it_may_enter_but_not_list(secret: Path, account: Account) -> None:
    let_through(secret, account)
    listing = subprocess.run(
        ["ls", str(secret.parents[1])], capture_output=True, text=True, check=False, **identity(account)
    )
    assert "Permission denied" in listing.stderr


@root_only
def test_others_who_were_let_through_before_still_are(secret: Path, account: Account) -> None:
    let_through(secret, SOMEBODY)
    let_through(secret, account)
    assert reads(secret, SOMEBODY)
    assert reads(secret, account)


@root_only
def test_open_folders_are_left_as_they_are(secret: Path, account: Account) -> None:
    before = [stat.S_IMODE(folder.stat().st_mode) for folder in (Path("/"), secret.parent)]
    let_through(secret, account)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (Path("/"), secret.parent)] == before
    assert os.listxattr(secret.parent) == []


@root_only
def test_giving_a_folder_gives_all_of_it_and_follows_no_link(short_path: Path, account: Account) -> None:
    (short_path / "data" / "deep").mkdir(parents=True)
    (short_path / "mine").touch()
    (short_path / "data" / "deep" / "link").symlink_to(short_path / "mine")
    give(short_path / "data", account)
    assert (short_path / "data" / "deep").stat().st_uid == account.uid
    assert (short_path / "mine").stat().st_uid == 0


@root_only
def test_a_normal_user_stays_who_they_are() -> None:
    def look() -> None:
        assert unprivileged_account() is None

    as_somebody_else(look)
