"""The account PostgreSQL runs under when LUML is started as root, which PostgreSQL itself refuses to be.

Everybody else runs the database as themselves, and none of this is used.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import struct
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luml_app.schemas.errors import LumlError

OWN_NAME = "luml-postgres"
EXISTING_NAMES = ("_postgres", "postgres")


class AccountError(LumlError):
    """PostgreSQL does not run as root, and there is no other account for it."""

    code = "account"


@dataclass(frozen=True)
class Account:
    """A user of this machine, by name and numbers."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """The account to run the database under; None when this process is not root and simply stays who it is.

    The account is made at the first need (``useradd``); a machine without that program must have one of PostgreSQL's
    usual accounts. Raises AccountError when there is none.
    """
    if os.geteuid() != 0:
        return None
    account = _find(OWN_NAME) or _create(OWN_NAME)
    for name in EXISTING_NAMES:
        account = account or _find(name)
    if account is None:
        raise AccountError(
            f"PostgreSQL does not run as root, and no account could be made for it: create a system user "
            f"`{OWN_NAME}`, or start LUML as a normal user."
        )
    return account


def identity(account: Account | None) -> dict[str, Any]:
    """What `subprocess` takes to run a program as `account`, and as ourselves for None."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def let_through(path: Path, account: Account) -> None:
    """Allow `account` to reach `path`: to enter (not to list) each folder above it.

    An access list names the one account where the file system has them; elsewhere the folder is opened for entering
    by everybody, which is what remains. Folders that can be entered already are left as they are.
    """
    for folder in path.absolute().parents:
        if not _can_enter(folder, account):
            _let_in(folder, account)


def give(folder: Path, account: Account) -> None:
    """Make `account` the owner of `folder` and all that is in it, unless it is already."""
    if folder.stat().st_uid == account.uid:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), account.uid, account.gid, follow_symlinks=False)
    os.chown(folder, account.uid, account.gid)  # last: a half-done walk starts over the next time


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def _create(name: str) -> Account | None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        return None
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false"]
    # The outcome is judged by whether the account exists: somebody else may have made it a moment before us.
    subprocess.run([program, *options, name], check=False, capture_output=True, timeout=30)
    return _find(name)


def _can_enter(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _let_in(folder: Path, account: Account) -> None:
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(folder, ACL_NAME, _access_list_with(folder, account))
            return
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)


# Linux keeps a POSIX access list in an extended attribute: a version, then one entry of tag, permissions and id each,
# sorted by tag and id (include/uapi/linux/posix_acl_xattr.h). Writing it here saves a need for the `acl` package.
ACL_NAME = "system.posix_acl_access"
_VERSION, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
_OWNER, _USER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID, _ENTER = 0xFFFFFFFF, 0o1


def _access_list_with(folder: Path, account: Account) -> bytes:
    entries = _access_list(folder)
    entries[_USER, account.uid] = entries.get((_USER, account.uid), 0) | _ENTER
    # The mask bounds what groups and named users get; without one, the group's own bits were the bound.
    entries[_MASK, _NO_ID] = entries.get((_MASK, _NO_ID), entries[_GROUP, _NO_ID]) | _ENTER
    packed = [_ENTRY.pack(tag, bits, who) for (tag, who), bits in sorted(entries.items())]
    return _VERSION.pack(2) + b"".join(packed)


def _access_list(folder: Path) -> dict[tuple[int, int], int]:
    try:
        packed = os.getxattr(folder, ACL_NAME)[_VERSION.size :]
    except OSError:  # none yet: the plain permissions are the list
        mode = folder.stat().st_mode
        plain = {_OWNER: mode >> 6, _GROUP: mode >> 3, _OTHER: mode}
        return {(tag, _NO_ID): bits & 0o7 for tag, bits in plain.items()}
    return {(tag, who): bits for tag, bits, who in _ENTRY.iter_unpack(packed)}
