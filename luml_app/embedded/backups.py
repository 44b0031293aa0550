"""`luml backup` and `luml restore`: database and built-in store of an installation, as they are in one moment."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import IO

import msgspec

from luml_app.core.db import Database
from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.core.snapshots import Filling, KeptObject, Snapshot, filling, holding_bytes, is_empty, reading
from luml_app.embedded.backup_file import (
    CONTENTS,
    KEYS,
    BackupError,
    BackupWriter,
    Contents,
    members,
    new_backup,
    verified,
)
from luml_app.embedded.home import Home
from luml_app.embedded.keyring import KeyFile, masters_of
from luml_app.embedded.postgres import Postgres, running_url
from luml_app.storage.keys import object_path
from luml_app.storage.sealed import make_folder, sync_folder

_STORED = re.compile(r"store/([a-z0-9][a-z0-9._-]{0,62}/objects/[0-9a-f]{2}/[0-9a-f]{62})")
_STAGING = ".backup-"
_ABANDONED_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Report:
    """What was backed up or restored: rows are not counted, objects and their bytes are."""

    objects: int
    size: int
    missing: int


def back_up(settings: Settings, path: Path, *, with_keys: bool = False) -> Report:
    """Write the installation's backup to `path`, also while servers run.

    Raises BackupError when `path` exists, ConfigurationError when the schema is not the one of this code.
    """
    home, masters = Home(settings.home), masters_of(settings)
    with new_backup(path) as writer, opened_database(settings, home) as database, _staging(home.store) as staging:
        # No bytes are deleted until each object has a second name in the staging folder; after that they may be.
        with holding_bytes(database), reading(database) as snapshot:
            wanted = snapshot.objects()
            kept = [one for one in wanted if _stage(home.store, staging, one)]
            missing = {one.artifact_id for one in wanted if one.uploaded} - {one.artifact_id for one in kept}
            contents = Contents(
                created_at=datetime.now(UTC),
                shape=snapshot.shape,
                key_ids=Keys(masters).ids,
                objects=len(kept),
                missing=sorted(map(str, missing)),
            )
            _write_rows(writer, contents, snapshot, masters if with_keys else [])
        size = sum(_write_object(writer, home.store, staging, one) for one in kept)
    return Report(len(kept), size, len(missing))


def restore(settings: Settings, path: Path, *, replace: bool = False) -> Report:
    """Bring a backup into an installation that is empty and does not run; `replace`: into one that is not empty.

    The whole file is checked before anything is changed. Raises BackupError, which says why it cannot be restored.
    """
    contents, masters = verified(path)
    home = Home(settings.home)
    _check_keys(settings, contents, masters)
    with home.lock(), opened_database(settings, home) as database:
        if not replace and not (is_empty(database) and not _objects_in(home.store)):
            raise BackupError(f"There is an installation in {home.root} already: --force replaces it.")
        with filling(database, contents.shape) as target:
            stored, size = _bring_in(path, contents, target, home.store)
            if masters and not settings.secret_keys:
                KeyFile(home).keep(masters)
        for one in _objects_in(home.store) - stored if replace else ():
            (home.store / one).unlink(missing_ok=True)
    return Report(len(stored), size, len(contents.missing))


@contextmanager
def opened_database(settings: Settings, home: Home) -> Iterator[Database]:
    """The installation's database: the one of the settings, or the home's own, started for the block if need be."""
    own = None
    url = settings.database_url or running_url(home.postgres)
    if url is None:
        own = Postgres(home.postgres, log=home.logs / "postgres.log", run=home.run)
        url = own.start()
    database = Database(url, pool_size=3)
    try:
        yield database
    finally:
        database.close()
        if own is not None:
            own.stop()


@contextmanager
def _staging(store: Path) -> Iterator[Path]:
    """A folder beside the buckets for second names of objects; what killed backups left there is removed."""
    make_folder(store)
    for left in store.glob(f"{_STAGING}*"):
        if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    folder = store / f"{_STAGING}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stage(store: Path, staging: Path, one: KeptObject) -> bool:
    """Give an object's file a second name, or, on a disk without links, a copy; whether there is such a file."""
    source = object_path(store / one.bucket / "objects", one.key)
    try:
        os.link(source, staging / one.artifact_id.hex)
    except FileNotFoundError:
        return False
    except OSError:
        shutil.copyfile(source, staging / one.artifact_id.hex)
    return True


def _write_rows(writer: BackupWriter, contents: Contents, snapshot: Snapshot, masters: Sequence[str]) -> None:
    writer.add(CONTENTS, msgspec.json.encode(contents))
    if masters:
        writer.add(KEYS, msgspec.json.encode(masters))
    for table in snapshot.shape.columns:
        for number, piece in enumerate(snapshot.pieces(table), 1):
            writer.add(f"tables/{table}/{number:06d}", piece)


def _write_object(writer: BackupWriter, store: Path, staging: Path, one: KeptObject) -> int:
    path = object_path(store / one.bucket / "objects", one.key)
    with (staging / one.artifact_id.hex).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        writer.add_file(f"store/{path.relative_to(store)}", file, size)
    return size


def _check_keys(settings: Settings, contents: Contents, masters: Sequence[str]) -> None:
    """See that what is sealed in the backup can be opened. Raises BackupError, which names the missing keys."""
    if masters and not settings.secret_keys:
        return
    known = masters_of(settings, make=False)
    missing = [key_id for key_id in contents.key_ids if key_id not in (Keys(known).ids if known else [])]
    if missing:
        place = "LUML_SECRET_KEYS" if settings.secret_keys else str(Home(settings.home).keys / "master")
        raise BackupError(
            f"The backup needs the secret keys it was made with, and {', '.join(missing)} is not in {place}: "
            "put it there, or make the backup with --with-keys."
        )


def _bring_in(path: Path, contents: Contents, target: Filling, store: Path) -> tuple[set[Path], int]:
    """Fill the tables and put the objects in their places; which objects, and how many bytes they have."""
    stored, size = set[Path](), 0
    for group, found in groupby(members(path), key=lambda member: member[0].split("/")[:2]):
        if group[0] == "tables" and group[1] in contents.shape.columns:
            target.fill(group[1], (source.read() for _, source in found))
        for name, source in found if group[0] == "store" else ():
            if (place := _STORED.fullmatch(name)) is None:
                raise BackupError(f"{path} is damaged: {name} is no object.")
            stored.add(Path(place[1]))
            size += _put(source, store / place[1])
    return stored, size


def _put(source: IO[bytes], target: Path) -> int:
    """Put a file in its place: whole, and safely on disk, or not at all."""
    make_folder(target.parent)
    scratch = target.with_name(f".{target.name[:32]}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        shutil.copyfileobj(source, file, 1024 * 1024)
        size = file.tell()
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(target)
    sync_folder(target.parent)
    return size


def _objects_in(store: Path) -> set[Path]:
    return {file.relative_to(store) for file in store.glob("*/objects/??/*") if len(file.name) == 62}
