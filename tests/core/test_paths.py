"""Which operation a path belongs to."""

from __future__ import annotations

from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from luml_app.core.operations import Resource, collect, operation
from luml_app.web.paths import OperationPaths


class Songs(Resource):
    @operation("GET /v1/songs/{song_id}", by="anyone", aliases=("/v1/chants/{song_id}",))
    def get(self, song_id: str) -> None:
        """A song."""

    @operation("DELETE /v1/songs/{song_id}", by="anyone")
    def delete(self, song_id: str) -> None:
        """Forget a song."""

    @operation("GET /v1/songs/by-name", by="anyone")
    def by_name(self) -> None:
        """A song by its name."""

    @operation("GET /v1/songs/{song_id}/verses/{verse_id}", by="anyone")
    def verse(self, song_id: str, verse_id: str) -> None:
        """A verse."""


def found(path: str) -> Any:
    line = RequestStartLine("GET", path, "HTTP/1.1")
    request = HTTPServerRequest(start_line=line, headers=HTTPHeaders(Host="x"))
    match = OperationPaths(collect([Songs]).values(), house="ours").match(request)
    if match is None:
        return None
    assert match["target_kwargs"]["house"] == "ours"
    return {name: one.name for name, one in match["target_kwargs"]["methods"].items()}, match["path_kwargs"]


@pytest.mark.parametrize(
    ("path", "operations", "parameters"),
    [
        ("/v1/songs/1", {"GET": "songs.get", "DELETE": "songs.delete"}, {"song_id": b"1"}),
        ("/v1/songs/1/", {"GET": "songs.get", "DELETE": "songs.delete"}, {"song_id": b"1"}),
        ("/v1/chants/1?by-name", {"GET": "songs.get"}, {"song_id": b"1"}),
        ("/v1/songs/by-name", {"GET": "songs.by_name"}, {}),
        ("/v1/songs/by-name/verses/2", {"GET": "songs.verse"}, {"song_id": b"by-name", "verse_id": b"2"}),
        ("/v1/songs/a%2Fb+%ff", {"GET": "songs.get", "DELETE": "songs.delete"}, {"song_id": b"a/b+\xff"}),
    ],
)
def test_a_path_finds_its_operations(path: str, operations: dict[str, str], parameters: dict[str, bytes]) -> None:
    assert found(path) == (operations, parameters)


@pytest.mark.parametrize("path", ["/", "", "/v1/songs", "/v1/songs/", "/v1/songs//", "/v1//1", "/v1/songs/1/2", "*"])
def test_other_paths_find_nothing(path: str) -> None:
    assert found(path) is None


def test_parameters_of_one_place_have_one_name() -> None:
    class Chants(Resource):
        @operation("GET /v1/chants/{chant_id}", by="anyone")
        def get(self, chant_id: str) -> None:
            """A chant."""

    with pytest.raises(ValueError, match="other names"):
        OperationPaths(collect([Songs, Chants]).values())
