"""A backup is the registry of one moment, whatever happens meanwhile; and a restore gives exactly that back."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from luml_app.core import tables as t
from luml_app.core.db import Database
from luml_app.core.migrating import migrate
from luml_app.core.settings import Settings
from luml_app.core.snapshots import NOT_KEPT
from luml_app.embedded.backup_file import BackupError
from luml_app.embedded.backups import back_up, restore
from luml_app.embedded.home import Home
from luml_app.embedded.postgres import Postgres
from luml_app.schemas.errors import Conflict
from luml_app.web.house import House
from tests.api.stage import Stage
from tests.api.test_deletions import _as, put_bytes, store_of
from tests.cast import KEYS, MASTER_KEY, populate
from tests.postgres import Cluster

OTHER_KEY = "another installation has another master key"


@pytest.fixture
def settings(house: House) -> Settings:
    return replace(house.settings, secret_keys=MASTER_KEY)


@pytest.fixture
def elsewhere(cluster: Cluster, tmp_path: Path) -> Iterator[Settings]:
    """The settings of an installation that is empty."""
    with cluster.database() as url:
        yield Settings(home=tmp_path / "elsewhere", database_url=url, secret_keys=MASTER_KEY)


@pytest.fixture
def files(stage: Stage, house: House) -> list[Any]:
    contents = [b"soup %d " % number * 1000 for number in range(5)]
    return [put_bytes(house, stage.cast.here, stage.alice, stage.ids["collection_id"], one) for one in contents]


def rows(settings: Settings) -> dict[str, list[str]]:
    """Every row of every table that is kept, as text."""
    database = Database(settings.database_url or "")
    try:
        with database.read() as db:
            return {
                table.name: sorted(db.scalars(select(text("one::text")).select_from(table.alias("one"))))
                for table in t.metadata.sorted_tables
                if table.name not in NOT_KEPT
            }
    finally:
        database.close()


def objects(settings: Settings) -> dict[str, bytes]:
    root = settings.store_root
    return {str(file.relative_to(root)): file.read_bytes() for file in root.glob("*/objects/*/*")}


@pytest.mark.usefixtures("files")
def test_all_rows_and_bytes_come_back(settings: Settings, elsewhere: Settings, tmp_path: Path) -> None:
    file = tmp_path / "luml.backup"
    done = back_up(settings, file)
    assert (done.objects, done.missing) == (5, 2), "the stage pretends of two that they are uploaded"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = rows(settings), objects(settings)
    assert restore(elsewhere, file).objects == 5
    assert (rows(elsewhere), objects(elsewhere)) == before
    assert len(before[0]["artifacts"]) == 7
    assert [one for one in settings.store_root.iterdir() if one.name.startswith(".")] == []


def test_api_keys_and_bytes_work_afterwards(
    settings: Settings, elsewhere: Settings, tmp_path: Path, stage: Stage, files: list[Any]
) -> None:
    back_up(settings, tmp_path / "luml.backup")
    restore(elsewhere, tmp_path / "luml.backup")
    house = House.build(elsewhere, KEYS)
    try:
        alice = house.api(_as(stage.cast.alice))
        assert alice.artifacts.get(*stage.path("collection_id"), files[0].id).created_at == files[0].created_at
        stored = store_of(house, stage.cast.here).stat(files[0].bucket_location)
        assert stored is not None
        assert stored.sha256 == files[0].file_hash
    finally:
        house.close()


def test_a_backup_under_load_is_one_moment(
    settings: Settings, elsewhere: Settings, tmp_path: Path, stage: Stage, house: House, files: list[Any]
) -> None:
    """Artifacts come and go all the time: what the rows of the backup call uploaded has its bytes in it."""
    here, alice, ended = stage.cast.here, stage.alice, threading.Event()
    collection_id = stage.ids["collection_id"]
    faults: list[Exception] = []

    def bustle() -> None:
        number = 0
        try:
            while not ended.is_set():
                number += 1
                made = put_bytes(house, here, alice, collection_id, b"bustle %d" % number)
                if number % 3:
                    alice.artifacts.delete(*here.path, collection_id, made.id)
                    house.housekeeper.run_due()
        except Exception as error:
            faults.append(error)

    people = [threading.Thread(target=bustle) for _ in range(3)]
    for one in people:
        one.start()
    try:
        reports = [back_up(settings, tmp_path / f"{number}.backup") for number in range(3)]
    finally:
        ended.set()
        for one in people:
            one.join()
    assert faults == []
    assert [report.missing for report in reports] == [2, 2, 2]
    restore(elsewhere, tmp_path / "2.backup")
    kept = House.build(elsewhere, KEYS)
    try:
        storage, a = store_of(kept, here), t.artifacts
        with kept.database.read() as db:
            uploaded = db.execute(select(a).where(a.c.status == "uploaded", a.c.name == "Mock turtle")).all()
        assert len(uploaded) >= len(files)
        for one in uploaded:
            found = storage.stat(one.bucket_location)
            assert found is not None and (found.size, found.sha256) == (one.size, one.file_hash)
    finally:
        kept.close()


def test_an_installation_that_is_not_empty_is_only_replaced_by_force(
    settings: Settings, elsewhere: Settings, tmp_path: Path, stage: Stage, house: House
) -> None:
    file = tmp_path / "luml.backup"
    put_bytes(house, stage.cast.here, stage.alice, stage.ids["collection_id"], b"kept")
    back_up(settings, file)
    restore(elsewhere, file)
    before = rows(elsewhere), objects(elsewhere)
    other = House.build(elsewhere, KEYS)
    try:
        alice = other.api(_as(stage.cast.alice))
        put_bytes(other, stage.cast.here, alice, stage.ids["collection_id"], b"too much")
        with pytest.raises(Conflict, match="stop the servers"):
            restore(elsewhere, file, replace=True)
    finally:
        other.close()
    changed = rows(elsewhere), objects(elsewhere)
    with pytest.raises(BackupError, match="--force"):
        restore(elsewhere, file)
    assert (rows(elsewhere), objects(elsewhere)) == changed
    restore(elsewhere, file, replace=True)
    assert (rows(elsewhere), objects(elsewhere)) == before


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("harm", ["cut", "altered", "a member less", "other"])
def test_a_damaged_file_is_refused_before_anything_changes(
    harm: str, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "luml.backup"
    back_up(settings, file)
    _harm(file, harm)
    with pytest.raises(BackupError, match=r"damaged|cut off|no backup"):
        restore(elsewhere, file)
    assert objects(elsewhere) == {}
    database = Database(elsewhere.database_url or "")
    with database.read() as db:
        assert db.scalar(select(func.count()).select_from(text("pg_tables WHERE schemaname = 'public'"))) == 0
    database.close()


def _harm(file: Path, harm: str) -> None:
    content = file.read_bytes()
    if harm == "cut":
        os.truncate(file, len(content) * 2 // 3)
    elif harm == "altered":
        file.write_bytes(content.replace(b"soup 3 soup 3", b"soup 3 soap 3", 1))
    elif harm == "other":
        file.write_text("not a backup")
    else:
        with tarfile.open(file) as old, tarfile.open(file.with_suffix(".new"), "w") as new:
            for member in old:
                if not member.name.startswith("tables/organizations/"):
                    new.addfile(member, old.extractfile(member))
        file.with_suffix(".new").replace(file)


def test_without_the_keys_it_is_refused_and_with_them_they_come_along(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    for name, with_keys in (("plain", False), ("whole", True)):
        back_up(settings, tmp_path / name, with_keys=with_keys)
    with pytest.raises(BackupError, match=r"--with-keys"):
        restore(replace(elsewhere, secret_keys=OTHER_KEY), tmp_path / "plain")
    with pytest.raises(BackupError, match=r"LUML_SECRET_KEYS"):
        restore(replace(elsewhere, secret_keys=OTHER_KEY), tmp_path / "whole")
    homely = replace(elsewhere, secret_keys=None)
    with pytest.raises(BackupError, match=r"master"):
        restore(homely, tmp_path / "plain")
    assert not (homely.home / "keys" / "master").exists()
    restore(homely, tmp_path / "whole")
    key = homely.home / "keys" / "master"
    assert (key.read_text().strip(), stat.S_IMODE(key.stat().st_mode)) == (MASTER_KEY, 0o600)


def test_there_is_no_backup_when_it_fails_and_none_is_overwritten(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "luml.backup"
    with pytest.raises(Exception, match=r"."):
        back_up(replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none"), file)
    assert [one.name for one in tmp_path.iterdir() if "backup" in one.name] == []
    file.write_text("precious")
    with pytest.raises(BackupError, match="there already"):
        back_up(settings, file)
    assert file.read_text() == "precious"


def test_an_older_backup_is_migrated(cluster: Cluster, elsewhere: Settings, settings: Settings, tmp_path: Path) -> None:
    """A backup of the first schema: made by hand, as its own code has gone."""
    file, old = tmp_path / "luml.backup", tmp_path / "old.backup"
    back_up(settings, file)
    _as_of_revision(file, old, "0002", {"users": ["id", "email", "disabled", "auth_method", "created_at"]})
    restore(elsewhere, old)
    assert len(rows(elsewhere)["users"]) == 1
    with pytest.raises(Exception, match="newer LUML"):
        _as_of_revision(file, tmp_path / "new.backup", "9999", {})
        restore(elsewhere, tmp_path / "new.backup", replace=True)
    assert len(rows(elsewhere)["users"]) == 1


def _as_of_revision(file: Path, target: Path, revision: str, columns: dict[str, list[str]]) -> None:
    from luml_app.embedded.backup_file import new_backup

    with tarfile.open(file) as tar:
        contents = json.loads(tar.extractfile("contents.json").read())  # type: ignore[union-attr]
    contents |= {"shape": {"revision": revision, "columns": columns}, "objects": 0, "missing": []}
    with new_backup(target) as writer:
        writer.add("contents.json", json.dumps(contents).encode())
        if columns:
            row = "01900000-0000-7000-8000-000000000001\told@example.org\tf\tEMAIL\t2026-01-01 00:00:00+00\n"
            writer.add("tables/users/000001", row.encode())


@pytest.fixture
def own_homes(tmp_path: Path) -> Iterator[tuple[Path, Path, Postgres]]:
    """A home with a database of its own, which runs, and the name of another home."""
    first = Home(tmp_path / "first").prepare()
    postgres = Postgres(first.postgres, log=first.logs / "postgres.log", run=first.run)
    database = Database(postgres.start())
    try:
        migrate(database)
        populate(database.url)
        yield first.root, tmp_path / "second", postgres
    finally:
        database.close()
        postgres.stop()


def test_the_commands_on_homes_with_databases_of_their_own(
    own_homes: tuple[Path, Path, Postgres], tmp_path: Path
) -> None:
    first, second, postgres = own_homes
    file = tmp_path / "luml.backup"

    def luml(*words: str, home: Path) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LUML_")}
        argv = [sys.executable, "-m", "luml_app.cli", *words, "--home", str(home)]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
        return done.stdout + done.stderr

    assert "Wrote" in luml("backup", str(file), "--with-keys", home=first), "while it runs"
    assert "Restored the database and 0 objects" in luml("restore", str(file), home=second)
    assert "--force replaces it" in luml("restore", str(file), home=second)
    assert "Nothing was changed." in luml("gc", "--dry-run", home=second)
    assert (second / "keys" / "master").read_text() == (first / "keys" / "master").read_text()
    copy = Postgres(second / "postgres", log=tmp_path / "copy.log")
    try:
        assert rows(Settings(database_url=copy.start())) == rows(Settings(database_url=postgres.url))
    finally:
        copy.stop()
