"""The secret keys are replaced while everything runs, and nothing that was made with an old one is lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, update

from luml_app.core import sealing
from luml_app.core import tables as t
from luml_app.core.keys import Keys, made_by, new_token
from luml_app.core.scope import Credentials
from luml_app.core.settings import Settings
from luml_app.embedded.home import Home
from luml_app.embedded.keyring import KeyFile, keys_of
from luml_app.schemas.errors import ConfigurationError, Conflict, NotFound
from luml_app.web.house import House
from tests.api.stage import INFERENCE_KEY, Stage, announced, build_stage
from tests.cast import KEYS, MASTER_KEY, Cast
from tests.serving import RunningServer

OLD, NEW = "the old master key, long enough!!", "the new master key, long enough!!"
BUCKET = {"endpoint": "s3.example.org", "bucket_name": "treacle", "access_key": "open", "secret_key": "sesame"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a key of its own."""
    return Home(tmp_path / "kept").prepare()


@pytest.fixture
def rotating(house: House) -> tuple[House, Keys, Keys]:
    """A house in which the cast lives, its keys, and those after a new one was made."""
    return house, KEYS, Keys([NEW, MASTER_KEY])


def with_keys(house: House, keys: Keys) -> House:
    house.keys = house.service.keys = keys
    return house


def rows_needing(house: House, key_id: str) -> dict[str, int]:
    with house.database.read() as db:
        return {need.column: need.rows for need in sealing.needs(db) if need.key_id == key_id}


def before_ids(keys_text: str, what: str) -> tuple[bytes, str]:
    """A ciphertext and a hash as they were made when they did not begin with the id of their key."""

    def derived(purpose: str) -> bytes:
        return hmac.new(keys_text.encode(), f"luml/{purpose}".encode(), hashlib.sha256).digest()

    sealed = Fernet(base64.urlsafe_b64encode(derived("encryption"))).encrypt(what.encode())
    return sealed, hmac.new(derived("tokens"), what.encode(), hashlib.sha256).hexdigest()


def test_what_was_made_before_there_were_ids_is_read() -> None:
    sealed, hashed = before_ids(OLD, "sesame")
    both = Keys([NEW, OLD])
    assert both.decrypt(sealed) == "sesame"
    assert hashed in both.hashes("sesame")
    assert made_by(sealed) is made_by(hashed) is None
    assert made_by(both.encrypt("x")) == made_by(both.hash("x")) == both.ids[0]
    with pytest.raises(ConfigurationError, match="do not fit"):
        Keys([NEW]).decrypt(sealed)


def test_every_secret_column_is_known() -> None:
    sealed = {str(column) for column in sealing.sealed_columns()}
    hashed = {str(column) for column in sealing.hashed_columns()}
    assert {"buckets.credentials", "orbit_secrets.value"} <= sealed
    assert all(len(column.table.primary_key.columns) == 1 for column in sealing.sealed_columns())
    assert {"api_keys.key_hash", "satellites.key_hash", "session_tokens.hash"} <= hashed
    assert not hashed & {"users.password_hash", "artifacts.file_hash"}


def test_sealed_columns_get_the_newest_key(rotating: tuple[House, Keys, Keys], cast: Cast) -> None:
    house, old, new = rotating
    alice = house.api(Credentials(user_id=cast.alice.id))
    buckets = [alice.buckets.create(cast.here.organization_id, **BUCKET) for _ in range(3)]
    with house.database.write() as db:  # one of them is older than the ids
        ancient = before_ids(MASTER_KEY, '{"access_key": "open", "secret_key": "sesame"}')[0]
        db.execute(update(t.buckets).where(t.buckets.c.id == buckets[0].id).values(credentials=ancient))
    assert rows_needing(house, old.ids[0])["buckets.credentials"] == 2
    assert rows_needing(house, sealing.UNKNOWN)["buckets.credentials"] == 1
    secret = alice.secrets.create(*cast.here.path, name="TOKEN", value="rosebud")
    assert dict(sealing.reseal(house.database, new)) == {"buckets.credentials": 3, "orbit_secrets.value": 1}
    assert "buckets.credentials" not in rows_needing(house, old.ids[0]) | rows_needing(house, sealing.UNKNOWN)
    assert list(sealing.reseal(house.database, new)) == []
    with_keys(house, Keys([NEW]))
    alice = house.api(Credentials(user_id=cast.alice.id))
    for bucket in buckets:
        urls = alice.buckets.probe_urls(cast.here.organization_id, bucket.id)
        assert "AWS4-HMAC" in urls.download_url
    assert alice.secrets.get(*cast.here.path, secret.id).value == "rosebud"


def test_stopped_in_the_middle_and_done_by_two(
    rotating: tuple[House, Keys, Keys], cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "_BATCH", 2)
    house, _, new = rotating
    alice = house.api(Credentials(user_id=cast.alice.id))
    for _ in range(9):
        alice.buckets.create(cast.here.organization_id, **BUCKET)
    next(sealing.reseal(house.database, new))  # and killed
    assert rows_needing(house, new.ids[0])["buckets.credentials"] == 2
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: sum(rows for _, rows in sealing.reseal(house.database, new)), range(2)))
    assert sum(done) == 7
    with house.database.read() as db:
        kept = list(db.scalars(select(t.buckets.c.credentials).where(t.buckets.c.credentials.is_not(None))))
    assert all(Keys([NEW]).decrypt(data).startswith("{") for data in kept)
    assert len(kept) == 9


def test_what_fits_no_key_is_named(rotating: tuple[House, Keys, Keys], cast: Cast) -> None:
    house, _, _ = rotating
    alice = house.api(Credentials(user_id=cast.alice.id))
    bucket = alice.buckets.create(cast.here.organization_id, **BUCKET)
    with pytest.raises(ConfigurationError, match=f"buckets.credentials of the row {bucket.id}"):
        list(sealing.reseal(house.database, Keys([NEW])))


def test_tokens_get_the_newest_key_when_they_are_used(rotating: tuple[House, Keys, Keys], cast: Cast) -> None:
    house, old, new = rotating
    build_stage(house.database)
    with_keys(house, new)
    with house.database.write() as db:  # nobody was here for a while
        db.execute(update(t.api_keys).values(last_used_at=None))
        db.execute(update(t.satellites).values(last_seen_at=None))
    stage = Stage(house, cast)
    stage.alice.auth.me()
    stage.satellite.agent.deployments()
    assert stage.satellite.agent.inference_access(api_key=INFERENCE_KEY).authorized
    assert rows_needing(house, new.ids[0])["api_keys.key_hash"] == 2
    assert rows_needing(house, new.ids[0])["satellites.key_hash"] == 1
    assert rows_needing(house, old.ids[0])["api_keys.key_hash"] == 3  # the others have not called
    with_keys(house, Keys([NEW]))
    stage = Stage(house, cast)
    assert stage.alice.auth.me().id == cast.alice.id
    assert stage.satellite.agent.inference_access(api_key=INFERENCE_KEY).authorized


def test_a_running_server_follows_the_key_file(
    build_house: Callable[..., House], home: Home, start_server: Callable[..., RunningServer], cast: Cast
) -> None:
    settings = Settings(home=home.root)
    house = with_keys(build_house(home=home.root), keys_of(settings))
    server = start_server(house, role="api")
    alice = house.api(Credentials(user_id=cast.alice.id))
    collection = alice.collections.create(*cast.here.path, name="c", type="model")
    made = alice.artifacts.create(*cast.here.path, collection.id, **announced(b"a model"))
    bucket = alice.buckets.create(cast.here.organization_id, **BUCKET)
    before = house.keys.ids
    KeyFile(home).add()  # by another process
    assert httpx.put(made.upload_details.url or "", content=b"a model").status_code == 200
    key = alice.api_keys.create(name="made after").key
    assert house.keys.ids[1:] == before
    assert Keys([(home.keys / "master").read_text().split()[0]]).ids == house.keys.ids[:1]
    answer = httpx.get(f"{server.address}/v1/auth/users/me", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    list(sealing.reseal(house.database, keys_of(settings)))
    KeyFile(home).drop(before[0])
    assert "Signature" in alice.buckets.probe_urls(cast.here.organization_id, bucket.id).download_url
    url = alice.artifacts.create(*cast.here.path, collection.id, **announced(b"other")).upload_details.url
    assert httpx.put(url or "", content=b"other").status_code == 200
    assert httpx.put(made.upload_details.url or "", content=b"a model").status_code == 403


class TestKeyFile:
    def test_the_newest_is_first_and_stays(self, home: Home) -> None:
        file = KeyFile(home)
        first = file.read()
        new = file.add()
        assert file.read()[1:] == first
        assert file.changed() is None
        with pytest.raises(Conflict, match="newest"):
            file.drop(new)
        with pytest.raises(NotFound):
            file.drop("00000000")
        file.drop(Keys(first).ids[0])
        assert Keys(file.read()).ids == [new]
        assert (home.keys / "master").stat().st_mode & 0o777 == 0o600

    def test_many_at_once_lose_nothing(self, home: Home) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = set(pool.map(lambda _: KeyFile(home).add(), range(8)))
        assert made < set(Keys(KeyFile(home).read()).ids)
        assert len(made) == 8

    def test_others_see_a_change_at_once(self, home: Home) -> None:
        mine = keys_of(Settings(home=home.root))
        sealed = mine.encrypt("sesame")
        new = KeyFile(home).add()
        assert mine.ids[0] == new
        assert mine.decrypt(sealed) == "sesame"


def test_new_keys_are_keys() -> None:
    assert Keys([new_token()]).ids != Keys([new_token()]).ids
