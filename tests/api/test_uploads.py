"""Uploads that do not end well: tried again, given up, or swept when nobody comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from luml_app.core import tables as t
from luml_app.resources.sweeping import STALE
from luml_app.schemas.errors import Conflict, Invalid, NotFound
from luml_app.storage.parts import plan_parts
from luml_app.web.house import House
from tests.api.stage import Stage, announced
from tests.api.test_deletions import objects, store_of
from tests.api.together import MANY, together
from tests.serving import RunningServer

CONTENT = b"mock turtle soup " * 100
LARGE = 300 * 2**20


@pytest.fixture
def collection(stage: Stage) -> tuple[Any, ...]:
    return stage.path("collection_id")


def begin_in_parts(stage: Stage, house: House) -> tuple[Any, str]:
    """An artifact of which the first part has arrived."""
    made = stage.alice.artifacts.create(*stage.path("collection_id"), **announced(size=LARGE))
    key, storage = made.upload_details.bucket_location, store_of(house, stage.cast.here)
    upload_id = storage.initiate_multipart(key)
    place = {"bucket_id": made.upload_details.bucket_secret_id, "bucket_location": key}
    stage.alice.uploads.multipart(**place, size=LARGE, upload_id=upload_id)
    with storage.part_writer(key, upload_id, 1) as writer:
        writer.write(b"the first part")
        writer.commit()
    return made.artifact, upload_id


def parts(house: House) -> int:
    return sum(1 for _ in house.settings.store_root.rglob("uploads/*/part-*"))


def days_pass(house: House) -> None:
    past = func.now() - STALE - timedelta(hours=1)
    with house.database.write() as db:
        db.execute(update(t.artifacts).values(created_at=past, updated_at=None))


def due(house: House) -> None:
    with house.database.write() as db:
        db.execute(update(t.jobs).where(t.jobs.c.state == "queued").values(scheduled_at=func.now()))


def sweep(house: House) -> dict[str, Any]:
    """Play the sweeper, and give its report."""
    house.housekeeper.plan()
    due(house)
    house.housekeeper.run_due()
    done = select(t.jobs.c.result).where(t.jobs.c.type == "uploads.sweep", t.jobs.c.state == "succeeded")
    with house.database.read() as db:
        result: dict[str, Any] = db.scalars(done.order_by(t.jobs.c.finished_at.desc())).first()["result"]
    return result


def test_a_failed_upload_is_tried_again(
    api: Any, stage: Stage, collection: tuple[Any, ...], server: RunningServer
) -> None:
    made = api.artifacts.create(*collection, **announced(CONTENT)).artifact
    api.artifacts.update(*collection, made.id, status="upload_failed")
    again = api.uploads.retry(*collection, made.id)
    assert (again.artifact.id, again.artifact.status) == (made.id, "pending_upload")
    httpx.put(again.upload_details.url, content=CONTENT).raise_for_status()
    assert api.artifacts.update(*collection, made.id, status="uploaded").status == "uploaded"
    for refused in (api.uploads.retry, api.uploads.abort):
        with pytest.raises(Conflict, match="no upload waits"):
            refused(*collection, made.id)


def test_an_aborted_upload_leaves_nothing(stage: Stage, house: House, collection: tuple[Any, ...]) -> None:
    made, _ = begin_in_parts(stage, house)
    assert parts(house) == 1
    stage.alice.uploads.abort(*collection, made.id)
    with pytest.raises(NotFound):
        stage.alice.artifacts.get(*collection, made.id)
    house.housekeeper.run_due()
    assert parts(house) == 0


def test_an_upload_that_nobody_ends_is_swept(stage: Stage, house: House, collection: tuple[Any, ...]) -> None:
    made, _ = begin_in_parts(stage, house)
    assert sweep(house)["swept"] == 0
    assert parts(house) == 1
    days_pass(house)
    assert sweep(house) == {"swept": 1, "parts": 0, "failed": {}}
    assert parts(house) == 0
    swept = stage.alice.artifacts.get(*collection, made.id)
    assert swept.status == "upload_failed"
    assert stage.alice.uploads.retry(*collection, made.id).artifact.status == "pending_upload"


def test_the_bytes_of_a_swept_upload_are_gone_and_those_of_others_stay(
    stage: Stage, house: House, collection: tuple[Any, ...]
) -> None:
    storage = store_of(house, stage.cast.here)
    ids = []
    for status in ("uploaded", "pending_upload"):
        made = stage.alice.artifacts.create(*collection, **announced(CONTENT)).artifact
        with storage.writer(made.bucket_location) as writer:
            writer.write(CONTENT)
            writer.commit()
        if status == "uploaded":
            stage.alice.artifacts.update(*collection, made.id, status=status)
        ids.append(made.id)
    days_pass(house)
    assert sweep(house)["swept"] == 1
    assert objects(house) == 1
    assert [stage.alice.artifacts.get(*collection, one).status for one in ids] == ["uploaded", "upload_failed"]


def test_the_same_bytes_are_known(stage: Stage, house: House, collection: tuple[Any, ...]) -> None:
    alice, digest = stage.alice, announced(CONTENT)["file_hash"]
    assert alice.artifacts.by_hash(*stage.path(), sha256=digest) == []
    made = alice.artifacts.create(*collection, **announced(CONTENT)).artifact
    assert alice.artifacts.by_hash(*stage.path(), sha256=digest) == [], "not uploaded yet"
    with store_of(house, stage.cast.here).writer(made.bucket_location) as writer:
        writer.write(CONTENT)
        writer.commit()
    alice.artifacts.update(*collection, made.id, status="uploaded")
    (known,) = alice.artifacts.by_hash(*stage.path(), sha256=digest.upper())
    assert (known.id, known.collection_name) == (made.id, "Croquet")
    with pytest.raises(Invalid):
        alice.artifacts.by_hash(*stage.path(), sha256="soup")


def test_what_is_verified_cannot_be_replaced(
    api: Any, stage: Stage, house: House, collection: tuple[Any, ...], server: RunningServer
) -> None:
    """The upload address lives on; the bytes that were verified are there still."""
    made = api.artifacts.create(*collection, **announced(CONTENT))
    url, key = made.upload_details.url, made.upload_details.bucket_location
    for content in (b"the first attempt", CONTENT):
        httpx.put(url, content=content).raise_for_status()
    storage = store_of(house, stage.cast.here)
    upload_id = storage.initiate_multipart(key)
    (part,) = storage.part_urls(key, upload_id, plan_parts(5), 60)
    etag = httpx.put(part, content=b"other").raise_for_status().headers["ETag"]
    api.artifacts.update(*collection, made.artifact.id, status="uploaded")
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    complete = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
    late = [
        httpx.put(url, content=CONTENT),
        httpx.put(part, content=b"other"),
        httpx.post(storage.initiate_url(key, 60)),
        httpx.post(storage.complete_url(key, upload_id, 60), content=complete),
    ]
    assert [answer.status_code for answer in late] == [409] * 4
    assert all("not waiting for its bytes" in answer.text for answer in late)
    assert httpx.get(api.artifacts.download_url(*collection, made.artifact.id).url).content == CONTENT


def test_bytes_do_not_change_while_they_are_verified(
    stage: Stage, collection: tuple[Any, ...], server: RunningServer
) -> None:
    """Uploads of other bytes race with the report; whichever wins, what counts as uploaded fits its hash."""
    alice = stage.alice
    for _ in range(5):
        made = alice.artifacts.create(*collection, **announced(CONTENT))
        url, other = made.upload_details.url, CONTENT[::-1]
        httpx.put(url, content=CONTENT).raise_for_status()

        def act(number: int, one: Any = made.artifact.id, url: str = url, other: bytes = other) -> Any:
            if number == MANY // 2:
                return alice.artifacts.update(*collection, one, status="uploaded")
            return httpx.put(url, content=other)

        together(act)
        if alice.artifacts.get(*collection, made.artifact.id).status == "uploaded":
            assert httpx.get(alice.artifacts.download_url(*collection, made.artifact.id).url).content == CONTENT


def test_nothing_is_written_for_what_is_deleted(
    stage: Stage, house: House, collection: tuple[Any, ...], server: RunningServer
) -> None:
    made = stage.alice.artifacts.create(*collection, **announced(CONTENT))
    stage.alice.artifacts.delete(*collection, made.artifact.id)
    assert httpx.put(made.upload_details.url, content=CONTENT).status_code == 409
    assert objects(house) == 0
