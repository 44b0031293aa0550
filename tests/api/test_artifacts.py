from __future__ import annotations

import hashlib
import os
import re
from typing import Any

import httpx
import pytest

from luml_app.schemas.errors import BadRequest, Conflict, Invalid, NotFound
from luml_app.web.house import House
from tests.api.stage import DATASET_MANIFEST, MODEL_MANIFEST, Stage, announced
from tests.serving import RunningServer, until

CONTENT = b"mock turtle soup " * 1000


@pytest.fixture
def collection(stage: Stage) -> tuple[Any, ...]:
    return stage.path("collection_id")


def stored_files(house: House) -> list[bytes]:
    root = house.settings.store_root
    return [file.read_bytes() for file in root.rglob("*") if file.is_file() and b"soup" in file.read_bytes()]


def test_bytes_go_up_come_down_and_are_deleted(
    api: Any, collection: tuple[Any, ...], server: RunningServer, house: House
) -> None:
    made = api.artifacts.create(*collection, **announced(CONTENT))
    artifact, upload = made.artifact, made.upload_details
    assert (artifact.status, artifact.type, upload.multipart) == ("pending_upload", "model", False)
    httpx.put(upload.url, content=CONTENT).raise_for_status()
    assert api.artifacts.update(*collection, artifact.id, status="uploaded").status == "uploaded"

    url = api.artifacts.download_url(*collection, artifact.id).url
    assert httpx.get(url).content == CONTENT
    part = httpx.get(url, headers={"Range": "bytes=5-10"})
    assert (part.status_code, part.content) == (206, CONTENT[5:11])

    api.artifacts.delete(*collection, artifact.id)
    until(lambda: httpx.get(url).status_code == 404, "the bytes follow the row")
    assert stored_files(house) == []
    with pytest.raises(NotFound):
        api.artifacts.get(*collection, artifact.id)


def test_a_large_artifact_goes_up_in_parts(alices: Any, collection: tuple[Any, ...], server: RunningServer) -> None:
    """The protocol of a multipart upload, with an artifact just above the size for one PUT."""
    from luml_app.storage import parts

    size = next(size for size in (2**n * 2**20 for n in range(20)) if parts.is_multipart(size + 1)) + 1
    block = os.urandom(2**20)
    digest = hashlib.sha256()
    for _ in range(size // len(block)):
        digest.update(block)
    digest.update(block[: size % len(block)])
    body = announced() | {"size": size, "file_hash": digest.hexdigest()}
    made = alices.artifacts.create(*collection, **body)
    upload = made.upload_details
    assert upload.multipart
    with httpx.Client(timeout=120) as http:
        upload_id = re.search(r"<UploadId>(.+)</UploadId>", http.post(upload.url).text).group(1)
        place = {"bucket_id": upload.bucket_secret_id, "bucket_location": upload.bucket_location}
        plan = alices.uploads.multipart(**place, size=size, upload_id=upload_id)
        assert [plan.parts[0].start_byte, plan.parts[-1].end_byte] == [0, size - 1]
        etags = []
        for part in plan.parts:
            start = part.start_byte % len(block)
            content = (block[start:] + block * (part.part_size // len(block) + 1))[: part.part_size]
            etags.append((part.part_number, http.put(part.url, content=content).headers["ETag"]))
        listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in etags)
        done = http.post(plan.complete_url, content=f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>")
        assert done.status_code == 200, done.text
    assert alices.artifacts.update(*collection, made.artifact.id, status="uploaded").status == "uploaded"
    with pytest.raises(Conflict, match="uploaded already"):
        alices.uploads.multipart(**place, size=size, upload_id=upload_id)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        pytest.param(None, "no such object", id="nothing"),
        pytest.param(CONTENT[:-1], "instead of the", id="too-little"),
        pytest.param(CONTENT[:-1] + b"!", "another sha256", id="other-bytes"),
    ],
)
def test_an_upload_is_not_believed_but_looked_at(
    api: Any, collection: tuple[Any, ...], server: RunningServer, sent: bytes | None, said: str
) -> None:
    made = api.artifacts.create(*collection, **announced(CONTENT))
    if sent is not None:
        httpx.put(made.upload_details.url, content=sent)
    with pytest.raises(Conflict, match=said):
        api.artifacts.update(*collection, made.artifact.id, status="uploaded", name="Gryphon")
    refused = api.artifacts.get(*collection, made.artifact.id)
    assert (refused.status, refused.name) == ("upload_failed", "Mock turtle")
    with pytest.raises(Conflict, match="not uploaded"):
        api.artifacts.download_url(*collection, made.artifact.id)
    with pytest.raises(Conflict, match=said):
        api.artifacts.update(*collection, made.artifact.id, status="uploaded")
    httpx.put(made.upload_details.url, content=CONTENT).raise_for_status()
    assert api.artifacts.update(*collection, made.artifact.id, status="uploaded").status == "uploaded"


def test_a_deletion_by_the_client(api: Any, stage: Stage, collection: tuple[Any, ...], server: RunningServer) -> None:
    one = (*collection, stage.spare.id)
    url = api.artifacts.delete_url(*one).url
    assert api.artifacts.get(*one).status == "pending_deletion"
    assert api.artifacts.delete_url(*one).url
    assert httpx.delete(url).status_code in {204, 404}
    assert api.artifacts.update(*one, status="deletion_failed").status == "deletion_failed"
    with pytest.raises(Conflict, match="cannot become"):
        api.artifacts.update(*one, status="uploaded")
    api.artifacts.delete(*one)


def test_what_is_used_stays(api: Any, stage: Stage, collection: tuple[Any, ...]) -> None:
    one = (*collection, stage.ids["artifact_id"])
    for refused in (api.artifacts.delete_url, api.artifacts.delete, api.artifacts.force_delete):
        with pytest.raises(Conflict, match=r"track|deploy"):
            refused(*one)
    assert api.artifacts.get(*one).status == "uploaded"


def test_an_artifact_tells_where_it_stands(api: Any, stage: Stage, collection: tuple[Any, ...]) -> None:
    one = api.artifacts.get(*collection, stage.ids["artifact_id"])
    assert one.collection.id == stage.ids["collection_id"]
    assert one.collection.total_artifacts == 2
    assert [track.name for track in one.tracks] == ["Tea party"]
    assert [deployment.name for deployment in one.deployments] == ["Oracle"]
    assert {name: tuple(place) for name, place in one.file_index.items()} == {"manifest.json": (0, 7)}


def test_a_list_is_slim(api: Any, stage: Stage) -> None:
    page = api.artifacts.list(*stage.path())
    assert {one.name for one in page.items} == {"Dormouse", "Hatter"}
    assert all(one.file_index == {} and one.manifest["inputs"] == [] for one in page.items)
    assert {one.name: [d.name for d in one.deployments] for one in page.items} == {"Dormouse": ["Oracle"], "Hatter": []}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"type": "dataset"}, BadRequest),
        ({"manifest": {"variant": "pyfunc"}}, Invalid),
        ({"manifest": DATASET_MANIFEST | {"artifact_type": "song"}}, Invalid),
        ({"file_hash": "short"}, Invalid),
        ({"size": 0}, Invalid),
        ({"file_name": "no suffix"}, Invalid),
        ({"tags": ["x" * 256]}, Invalid),
        ({"file_index": {"a": [1]}}, Invalid),
    ],
)
def test_what_contradicts_itself_is_refused(
    alices: Any, collection: tuple[Any, ...], body: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        alices.artifacts.create(*collection, **announced(**body))


LARGE = "x" * 2**20


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("manifest", MODEL_MANIFEST | {"description": LARGE}),
        ("manifest", MODEL_MANIFEST | {"anything": [LARGE]}),
        ("manifest", DATASET_MANIFEST | {"artifact_type": "model", "payload": {"one": LARGE}}),
        ("extra_values", {"one": LARGE}),
        ("params", {"one": LARGE}),
    ],
)
def test_what_lists_show_is_not_large(stage: Stage, collection: tuple[Any, ...], field: str, value: Any) -> None:
    """A hundred of them come back in one page."""
    with pytest.raises(Invalid) as caught:
        stage.alice.artifacts.create(*collection, **announced(**{field: value}))
    assert caught.value.problems[0].loc == ["body", field]


def test_values_do_not_grow_beyond_their_limits_step_by_step(stage: Stage, collection: tuple[Any, ...]) -> None:
    one = stage.alice.artifacts.create(*collection, **announced()).artifact.id
    for third in "abc":
        values = {f"{third}{number}": "x" * 200 for number in range(1800)}
        if third != "c":
            stage.alice.artifacts.update(*collection, one, params=values)
    with pytest.raises(Invalid, match="5400 values"):
        stage.alice.artifacts.update(*collection, one, params=values)
    stage.alice.artifacts.update(*collection, one, params={"a": "x" * 2**18})
    with pytest.raises(Invalid, match="bytes"):
        stage.alice.artifacts.update(*collection, one, params={"b": "x" * 2**18})
    assert len(stage.alice.artifacts.get(*collection, one).params) == 3601


def test_a_collection_admits_its_own_kinds(api: Any, stage: Stage) -> None:
    pair = api.collections.create(*stage.path(), name="Pairs", type="dataset_experiment")
    with pytest.raises(BadRequest, match="dataset and experiment"):
        api.artifacts.create(*stage.path(), pair.id, **announced())
    made = api.artifacts.create(*stage.path(), pair.id, **announced(manifest=DATASET_MANIFEST, file_name="a.tar"))
    assert made.artifact.type == "dataset"


def test_a_name_of_a_file_cannot_break_a_header(
    alices: Any, collection: tuple[Any, ...], server: RunningServer
) -> None:
    for name in ("a\r\nX-Evil: 1.luml", "soup.luml\n", "../../soup.luml", "süß €.luml"):
        try:
            made = alices.artifacts.create(*collection, **announced(CONTENT, file_name=name))
        except Invalid:
            continue
        httpx.put(made.upload_details.url, content=CONTENT).raise_for_status()
        alices.artifacts.update(*collection, made.artifact.id, status="uploaded")
        answer = httpx.get(alices.artifacts.download_url(*collection, made.artifact.id).url)
        assert answer.content == CONTENT
        assert "X-Evil" not in answer.headers


def test_many_files_in_the_index(alices: Any, collection: tuple[Any, ...]) -> None:
    index = {f"folder/file-{number}.parquet": [number, number + 1] for number in range(100_000)}
    made = alices.artifacts.create(*collection, **announced(file_index=index))
    assert len(alices.artifacts.get(*collection, made.artifact.id).file_index) == len(index)
    assert alices.artifacts.list(*collection[:2]).items[0].file_index == {}
