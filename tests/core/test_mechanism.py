"""Operations, permissions, keys, ids and settings: what stands behind every resource."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from luml_app.core.ids import new_id
from luml_app.core.keys import Keys
from luml_app.core.operations import Resource, collect, operation
from luml_app.core.paging import Cursor
from luml_app.core.permissions import decide, granted
from luml_app.core.settings import Settings
from luml_app.resources import all_operations
from luml_app.schemas.errors import ConfigurationError, LumlError, errors_by_code

OLD, NEW = "an old master key of enough letters", "a new master key of enough letters"


class TestPermissions:
    @pytest.mark.parametrize(
        ("who", "may", "may_not"),
        [
            (("owner",), ["organization:delete", "orbit:delete", "collection:delete"], ["organization:leave"]),
            (("admin",), ["orbit:update", "bucket:create", "artifact:delete"], ["organization:delete", "orbit:delete"]),
            (
                ("member",),
                ["organization:leave", "orbit:list"],
                ["organization:read", "collection:list", "bucket:list"],
            ),
            (("member", "admin"), ["orbit:delete", "satellite:create", "track:delete"], ["orbit:create"]),
            (("member", "member"), ["artifact:create", "deployment:update"], ["artifact:delete", "satellite:create"]),
            (("member", "viewer"), ["artifact:read", "secret:list"], ["artifact:create", "secret:create"]),
            ((None,), [], ["organization:read"]),
        ],
    )
    def test_the_table(self, who: tuple[str | None, ...], may: list[str], may_not: list[str]) -> None:
        assert all(decide(one, *who) for one in may)
        assert not any(decide(one, *who) for one in may_not)

    def test_a_refusal_says_what_is_needed(self) -> None:
        why = decide("collection:delete", "member", "viewer").why
        assert why == (
            "To delete a collection you need to be the organization's owner, the organization's admin or an orbit "
            "admin; you are an orbit viewer."
        )

    def test_advice_for_screens_is_the_same_table(self) -> None:
        advice = granted("member", "viewer")
        assert advice["artifact"] == ["list", "read"]
        assert "organization_member" not in advice


class TestDeclarations:
    def test_a_permission_must_exist(self) -> None:
        for needs in ("song:create", "collection:sing", "collection"):
            with pytest.raises(ValueError, match="No permission"):
                operation("GET /x", needs=needs)

    def test_a_route_belongs_to_one_operation(self) -> None:
        class Songs(Resource):
            @operation("GET /v1/songs", by="anyone")
            def list(self) -> None:
                """All songs."""

            @operation("GET /v1/chants", by="anyone", aliases=("/v1/songs",))
            def chants(self) -> None:
                """All chants."""

        with pytest.raises(ValueError, match="declared twice"):
            collect([Songs])

    def test_a_path_that_begins_with_no_organization_is_refused(self) -> None:
        from luml_app.core.resolving import _statement

        class Leaks(Resource):
            @operation("GET /v1/artifacts/{artifact_id}")
            def get(self) -> None:
                """Anybody's artifact."""

        with pytest.raises(ValueError, match="must begin with the organization"):
            _statement(collect([Leaks])["leaks.get"], "session")

    def test_every_operation_says_what_it_does(self) -> None:
        for one in all_operations().values():
            assert one.summary.partition("\n")[0].endswith("."), one.name


class TestKeys:
    def test_a_key_is_replaced_without_losing_what_the_old_one_wrote(self) -> None:
        old, both, new = Keys([OLD]), Keys([NEW, OLD]), Keys([NEW])
        sealed, token = old.encrypt("sesame"), "dfs_something"
        assert both.decrypt(sealed) == "sesame"
        assert old.hash(token) in both.hashes(token)
        assert both.hash(token) == new.hash(token) != old.hash(token)
        assert new.decrypt(both.encrypt("sesame")) == "sesame"
        assert old.store.items() <= both.store.items()
        with pytest.raises(ConfigurationError, match="do not fit"):
            new.decrypt(sealed)

    def test_a_key_must_be_one(self) -> None:
        for masters in ([], ["short"], [NEW, ""]):
            with pytest.raises(ConfigurationError):
                Keys(masters)

    def test_a_hash_opens_nothing(self) -> None:
        assert Keys([OLD]).hash("x") != Keys([NEW]).hash("x")


def test_ids_sort_by_the_time_of_their_making() -> None:
    one = new_id()
    time.sleep(0.002)
    other = new_id()
    assert one < other
    assert {one.version, other.version} == {7}
    assert one.variant == "specified in RFC 4122"
    assert len({new_id() for _ in range(10_000)}) == 10_000


class TestSettings:
    def test_they_come_from_the_environment(self) -> None:
        found = Settings.from_environment({"LUML_PORT": "81", "LUML_HOME": "/x", "OTHER": "1"}, host="0.0.0.0")
        assert (found.port, found.home, found.host) == (81, Path("/x"), "0.0.0.0")
        assert Settings.from_environment({}, port=None).port == 5010
        assert Settings.from_environment({"LUML_HOME": ""}).home == Settings().home  # and not the current folder

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("LUML_PORT", "many"),
            ("LUML_PORT", "-1"),
            ("LUML_POOL_SIZE", "0"),
            ("LUML_SIGNED_URL_SECONDS", "-5"),
            ("LUML_PUBLIC_URL", "luml.example.com"),
            ("LUML_PRIVATE_BUCKETS", "never"),
        ],
    )
    def test_a_value_that_cannot_be_used_is_named(self, variable: str, value: str) -> None:
        with pytest.raises(ConfigurationError, match=f"{variable}='{value}'"):
            Settings.from_environment({variable: value})

    def test_a_child_can_use_what_it_is_told(self) -> None:
        told = Settings(database_url="postgresql://u@h/d").child_environment()
        assert Settings.from_environment(told) == Settings.from_environment(database_url="postgresql://u@h/d")

    def test_the_address(self) -> None:
        assert Settings(host="h", port=1).address == "http://h:1"
        assert Settings(public_url="https://x/").address == "https://x"
        assert (Settings(public_url="https://x").secure, Settings().secure) == (True, False)

    def test_secrets_are_not_shown(self) -> None:
        shown = repr(Settings(database_url="postgresql://u:s3cret@h/d", admin_password="s3cret"))
        assert "s3cret" not in shown


def test_every_error_has_a_code_and_a_message_of_its_own() -> None:
    kinds = [kind for kind in errors_by_code().values() if kind.__module__ == "luml_app.schemas.errors"]
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert issubclass(kind, LumlError)
        assert kind().message == (kind.__doc__ or "").strip().split("\n")[0] or kind.__doc__ is None


def test_a_cursor_holds_what_it_needs() -> None:
    assert Cursor.__struct_fields__ == ("mark", "value", "id")
