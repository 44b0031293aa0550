"""`luml keys …`, beside a server that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from luml_app.core.keys import Keys
from luml_app.core.scope import Credentials
from luml_app.core.settings import Settings
from luml_app.embedded.keyring import keys_of
from luml_app.web.house import House
from tests.cast import MASTER_KEY, Cast
from tests.cli.test_commands import Luml, config, luml, printed_json, refused

__all__ = ["config", "luml"]
BUCKET = {"endpoint": "s3.example.org", "bucket_name": "treacle", "access_key": "open", "secret_key": "sesame"}


@pytest.fixture
def keys(luml: Luml, database_url: str) -> Luml:
    """Runs `luml keys …` on the test's database, in the home whose keys the house has."""
    return lambda *arguments, **variables: luml("keys", *arguments, LUML_DATABASE_URL=database_url, **variables)


@pytest.fixture
def at_home(house: House, cast: Cast, tmp_path: Path) -> Any:
    """The api of somebody on a house that has the keys of the home, and a bucket with credentials."""
    house.keys = house.service.keys = keys_of(Settings(home=tmp_path / "home"))
    api = house.api(Credentials(user_id=cast.alice.id))
    api.buckets.create(cast.here.organization_id, **BUCKET)
    return api


def listed(keys: Luml) -> dict[str, Any]:
    return {row["id"]: row for row in printed_json(keys("list", "--json"))}


def test_rotate_look_and_retire(keys: Luml, at_home: Any, house: House, cast: Cast) -> None:
    (old,) = house.keys.ids
    made = at_home.api_keys.create(name="of the notebook")
    assert listed(keys)[old]["needed_by"] == ["1 of buckets.credentials", "1 of api_keys.key_hash"]
    done = keys("rotate")
    assert done.returncode == 0, done.stderr
    assert "Encrypted 1 of buckets.credentials anew." in done.stdout
    assert f"{old} is still needed by 1 of api_keys.key_hash." in done.stdout
    assert "still needed by 1 of api_keys.key_hash" in refused(keys("retire", old))
    new = house.keys.ids[0]
    assert new != old and listed(keys)[new]["newest"]
    assert house.api(Credentials(token=made.key)).auth.me().id == cast.alice.id
    assert listed(keys)[old]["needed_by"] == []
    assert f"{old} is forgotten" in keys("retire", old).stdout
    assert house.keys.ids == [new]
    (bucket,) = (one for one in at_home.buckets.list(cast.here.organization_id) if not one.builtin)
    assert "AWS4" in at_home.buckets.probe_urls(cast.here.organization_id, bucket.id).download_url


def test_what_cannot_be_done(keys: Luml, luml: Luml, at_home: Any, house: House) -> None:
    (only,) = house.keys.ids
    assert "newest" in refused(keys("retire", only))
    assert "luml keys list" in refused(keys("retire", "00000000"))
    assert "start `luml up`" in refused(luml("keys", "rotate"))
    assert house.keys.ids == [only]
    assert listed(keys)[Keys([MASTER_KEY]).ids[0]]["newest"] is False  # the cast's tokens: a key that is missing here
    assert "missing" in keys("list").stdout


def test_keys_of_the_environment(keys: Luml, luml: Luml, at_home: Any, house: House, tmp_path: Path) -> None:
    old = (tmp_path / "home" / "keys" / "master").read_text().strip()
    new = luml("keys", "new").stdout.strip()
    both = f"{new},{old}"
    done = keys("rotate", LUML_SECRET_KEYS=both)
    assert "Encrypted 1 of buckets.credentials anew." in done.stdout
    assert (tmp_path / "home" / "keys" / "master").read_text().strip() == old
    retired = keys("retire", Keys([old]).ids[0], LUML_SECRET_KEYS=both)
    assert "take it out of LUML_SECRET_KEYS" in retired.stdout
    for said in (done, keys("list", LUML_SECRET_KEYS=both)):
        assert old not in said.stdout + said.stderr and new not in said.stdout + said.stderr
