"""Organizations' insides over every transport: orbits, buckets, collections, keys, oneself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, update

from luml_app.core import tables as t
from luml_app.jobs.chores import Errand
from luml_app.resources.collection_words import forget_words
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from luml_app.web.house import House
from tests.api.stage import INFERENCE_KEY, Stage, announced
from tests.api.together import together
from tests.cast import Cast
from tests.serving import RunningServer


class TestOrbits:
    def test_from_creation_to_deletion(self, api: Any, cast: Cast) -> None:
        here = cast.here
        members = [{"user_id": str(cast.bob.id), "role": "admin"}, {"user_id": str(cast.victor.id), "role": "viewer"}]
        made = api.orbits.create(here.organization_id, name="Kitchen", bucket_secret_id=here.bucket_id, members=members)
        assert {one.user.email: one.role for one in made.members} == {
            cast.bob.email: "admin",
            cast.victor.email: "viewer",
        }
        assert (made.total_members, made.total_artifacts, made.role) == (2, 0, None)
        one = (here.organization_id, made.id)
        assert api.orbits.get(*one) == made
        assert api.orbits.update(*one, name="Scullery").name == "Scullery"
        assert [orbit.name for orbit in api.orbits.list(here.organization_id)] == ["Garden", "Scullery"]
        api.orbits.delete(*one)
        with pytest.raises(NotFound):
            api.orbits.get(*one)

    def test_members_see_the_orbits_they_are_in(self, connect: Any, transport: str, cast: Cast, alices: Any) -> None:
        here = cast.here
        other = alices.orbits.create(here.organization_id, name="Secret", bucket_secret_id=here.bucket_id)
        bob = connect(cast.bob, transport)
        assert [one.name for one in bob.orbits.list(here.organization_id)] == ["Garden"]
        for call in (bob.orbits.get, bob.collections.list, bob.satellites.list):
            with pytest.raises(NotFound, match="no such orbit"):
                call(here.organization_id, other.id)
        assert bob.collections.create(*here.path, name="Bob's", type="model").name == "Bob's"
        with pytest.raises(Forbidden, match="you are an orbit member"):
            bob.collections.delete(*here.path, bob.collections.list(*here.path).items[0].id)

    def test_what_is_in_it_stays(self, api: Any, stage: Stage) -> None:
        with pytest.raises(Conflict, match="artifacts and satellites"):
            api.orbits.delete(*stage.path())
        assert api.orbits.get(*stage.path()).total_artifacts == 2

    def test_names_are_unique_in_the_organization(self, api: Any, cast: Cast) -> None:
        with pytest.raises(Conflict, match="this name"):
            api.orbits.create(cast.here.organization_id, name="Garden", bucket_secret_id=cast.here.bucket_id)


class TestBuckets:
    SENT = {"endpoint": "s3.example.org", "bucket_name": "treacle", "access_key": "open", "secret_key": "sesame"}

    def test_from_creation_to_deletion(self, api: Any, cast: Cast) -> None:
        organization = cast.here.organization_id
        made = api.buckets.create(organization, **self.SENT)
        assert "sesame" not in repr(made)
        assert api.buckets.update(organization, made.id, region="eu").region == "eu"
        assert {one.bucket_name for one in api.buckets.list(organization)} == {"luml", "treacle"}
        api.buckets.delete(organization, made.id)
        with pytest.raises(NotFound):
            api.buckets.get(organization, made.id)

    def test_a_bucket_in_use_stays(self, api: Any, cast: Cast) -> None:
        with pytest.raises(Conflict, match="orbit uses"):
            api.buckets.delete(*cast.here.path[:1], cast.here.bucket_id)
        (builtin,) = api.buckets.list(cast.here.organization_id)
        assert (builtin.builtin, [one.name for one in builtin.orbits]) == (True, ["Garden"])
        with pytest.raises(Conflict, match="built-in"):
            api.buckets.update(cast.here.organization_id, builtin.id, endpoint="elsewhere")

    def test_the_probe_of_the_contract(self, api: Any, cast: Cast, server: RunningServer) -> None:
        urls = api.buckets.probe_urls(cast.here.organization_id, cast.here.bucket_id)
        assert httpx.put(urls.presigned_url, content=b"0123456789abcdef").status_code == 200
        part = httpx.get(urls.download_url, headers={"Range": "bytes=0-10"})
        assert (part.status_code, part.content) == (206, b"0123456789a")
        assert httpx.delete(urls.delete_url).status_code == 204


class TestCollections:
    def test_from_creation_to_deletion(self, api: Any, stage: Stage) -> None:
        made = api.collections.create(*stage.path(), name="Flamingos", type="model", tags=["pink"])
        one = (*stage.path(), made.id)
        assert (made.description, made.total_artifacts, made.updated_at) == ("", 0, None)
        changed = api.collections.update(*one, description="with hedgehogs")
        assert (changed.name, changed.tags, changed.updated_at is not None) == ("Flamingos", ["pink"], True)
        api.collections.delete(*one)
        with pytest.raises(NotFound):
            api.collections.get(*one)

    def test_it_tells_what_occurs_in_it(self, api: Any, stage: Stage) -> None:
        one = api.collections.get(*stage.path("collection_id"))
        assert (one.total_artifacts, one.artifacts_tags, one.artifacts_extra_values) == (2, ["soup"], ["accuracy"])

    def test_what_comes_and_goes_is_told(self, stage: Stage, house: House) -> None:
        """By a create, a change of tags and metrics, a move and a deletion; what went is forgotten within a day."""
        alice, here, artifact = stage.alice, stage.path("collection_id"), stage.spare.id
        other = alice.collections.create(*stage.path(), name="Flamingos", type="mixed").id
        longest = "x" * 128

        def told(collection_id: Any) -> tuple[list[str], list[str]]:
            one = alice.collections.get(*stage.path(), collection_id)
            return one.artifacts_tags, one.artifacts_extra_values

        def forget() -> int:
            return int(forget_words.run(Errand({}, house.database, house.keys, house.settings)))

        alice.artifacts.update(*here, artifact, tags=["soup", longest], metrics={"depth": 3})
        assert told(here[2]) == (["soup", longest], ["accuracy", "depth"])
        alice.artifacts.update(*here, artifact, tags=["pepper"])
        alice.artifacts.move(*here, artifact, target_collection_id=other)
        assert told(other) == (["pepper"], ["accuracy", "depth"])
        assert forget() == 3
        assert told(here[2]) == (["soup"], ["accuracy"])
        alice.artifacts.delete(*stage.path(), other, artifact)
        assert (forget(), told(other)) == (3, ([], []))
        assert forget() == 0

    def test_many_who_bring_the_same_words_at_once(self, stage: Stage) -> None:
        collection = stage.path("collection_id")
        tags = [f"tag-{n}" for n in range(10)]

        def act(number: int) -> Any:
            order = tags if number % 2 else tags[::-1]
            return stage.alice.artifacts.create(*collection, **announced(name=f"{number}", tags=order)).artifact.tags

        assert all(isinstance(one, list) for one in together(act))
        assert stage.alice.collections.get(*collection).artifacts_tags == sorted(["soup", *tags])

    def test_what_holds_artifacts_stays(self, api: Any, stage: Stage) -> None:
        with pytest.raises(Conflict, match="2 artifacts"):
            api.collections.delete(*stage.path("collection_id"))


class TestOneself:
    def test_who_one_is(self, api: Any, cast: Cast) -> None:
        me = api.auth.me()
        assert (me.id, me.email, me.has_api_key, me.disabled) == (cast.alice.id, cast.alice.email, True, False)
        api.auth.update_me(full_name="Alice Liddell")
        assert api.auth.me().full_name == "Alice Liddell"

    def test_keys(self, api: Any, connect: Any, transport: str) -> None:
        first = api.api_keys.create_default().key
        second = api.api_keys.create_default().key
        with pytest.raises(Unauthenticated):
            connect(first, transport).auth.me()
        connect(second, transport).api_keys.validate()
        named = api.api_keys.create(name="notebook", scopes=["api"]).key
        assert connect(named, transport).auth.me().full_name == "Alice"
        listed = {one.name: one for one in api.api_keys.list()}
        assert listed["notebook"].hint == named[-4:]
        assert named not in repr(listed)
        api.api_keys.delete(listed["notebook"].id)
        with pytest.raises(Unauthenticated):
            connect(named, transport).auth.me()
        api.api_keys.delete_default()
        with pytest.raises(Unauthenticated):
            connect(second, transport).auth.me()

    def test_a_key_ends(self, api: Any, connect: Any, transport: str, stage: Stage) -> None:
        key = api.api_keys.create(name="brief", expires_at=datetime.now(UTC) + timedelta(days=1)).key
        assert connect(key, transport).auth.me().email == stage.cast.alice.email
        with stage.house.database.write() as db:
            db.execute(update(t.api_keys).where(t.api_keys.c.name == "brief").values(expires_at=func.now()))
        with pytest.raises(Unauthenticated):
            connect(key, transport).auth.me()
        with pytest.raises(Invalid) as caught:
            api.api_keys.create(name="no zone", expires_at=datetime(2030, 1, 1))
        assert caught.value.problems[0].loc == ["body", "expires_at"]

    def test_a_key_for_inference_opens_nothing_here(self, connect: Any, transport: str) -> None:
        with pytest.raises(Forbidden, match="inference only"):
            connect(INFERENCE_KEY, transport).auth.me()

    def test_a_disabled_account_is_out_at_once(self, api: Any, stage: Stage) -> None:
        with stage.house.database.write() as db:
            db.execute(update(t.users).values(disabled=True, updated_at=func.now()))
        with pytest.raises(Unauthenticated):
            api.auth.me()
        if hasattr(api, "service"):
            with pytest.raises(Forbidden, match="disabled"):
                api.auth.signin(email=stage.cast.alice.email, password="wonderland and back")


def test_an_error_is_the_same_over_every_transport(api: Any, stage: Stage) -> None:
    with pytest.raises(Invalid) as caught:
        api.collections.create(*stage.path(), name="", type="model")
    assert caught.value.problems[0].loc == ["body", "name"]
    assert str(caught.value).startswith("collections.create: ")
    with pytest.raises(NotFound) as missing:
        api.collections.get(*stage.path(), "not-an-id")
    assert "is not an id" in str(missing.value)
