"""Secrets of an orbit: kept, shown to few, given to the satellites whose deployments need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.schemas.errors import Conflict, Forbidden, Invalid, NotFound
from luml_app.web.house import House
from tests.api.stage import CAPABILITIES, Stage
from tests.api.together import MANY, together
from tests.cast import KEYS, join_orbit

VALUE = "the well is full of treacle"


@pytest.fixture
def secret(stage: Stage) -> Any:
    """One that nothing refers to."""
    return stage.alice.secrets.create(*stage.path(), name="well", value=VALUE, tags=["sweet"])


@pytest.fixture
def deploy(stage: Stage) -> Callable[..., Any]:
    def create(satellite_id: Any = None, **refers: Any) -> Any:
        parts = {"satellite_id": satellite_id or stage.ids["satellite_id"], "artifact_id": stage.ids["artifact_id"]}
        return stage.alice.deployments.create(*stage.path(), name="Sibyl", **parts, **refers)

    return create


def seen(satellite: Any) -> dict[str, str]:
    return {one.name: one.value for one in satellite.agent.secrets()}


def another_satellite(stage: Stage) -> Any:
    made = stage.alice.satellites.create(*stage.path(), name="Other")
    api = stage.house.api(Credentials(token=made.api_key))
    api.agent.pair(base_url="http://127.0.0.1:9", capabilities=CAPABILITIES)
    return api, made.satellite.id


class TestKeeping:
    def test_from_creation_to_deletion(self, api: Any, stage: Stage) -> None:
        where = stage.path()
        made = api.secrets.create(*where, name="well", value=VALUE, tags=["sweet"])
        assert (made.name, made.value, made.tags, made.orbit_id) == ("well", "", ["sweet"], where[1])
        assert [(one.name, one.value) for one in api.secrets.list(*where)] == [("riddle", ""), ("well", "")]
        assert api.secrets.get(*where, made.id).value == VALUE
        changed = api.secrets.update(*where, made.id, name="spring", value="molasses", tags=None)
        assert (changed.name, changed.value, changed.tags) == ("spring", "", None)
        assert api.secrets.get(*where, made.id).value == "molasses"
        api.secrets.delete(*where, made.id)
        with pytest.raises(NotFound, match="no such secret"):
            api.secrets.get(*where, made.id)

    def test_a_form_that_sends_back_what_it_was_shown_changes_nothing(self, stage: Stage, secret: Any) -> None:
        (listed,) = (one for one in stage.alice.secrets.list(*stage.path()) if one.id == secret.id)
        place = (*stage.path(), secret.id)
        stage.alice.secrets.update(*place, name=listed.name, value=listed.value, tags=listed.tags)
        found = stage.alice.secrets.get(*place)
        assert (found.value, found.updated_at) == (VALUE, None)

    def test_names_are_unique_in_the_orbit(self, stage: Stage, secret: Any) -> None:
        with pytest.raises(Conflict, match="this name"):
            stage.alice.secrets.create(*stage.path(), name="well", value="x")
        with pytest.raises(Conflict, match="this name"):
            stage.alice.secrets.update(*stage.path(), secret.id, name="riddle")

    @pytest.mark.parametrize(
        ("field", "value"),
        [("name", ""), ("name", "x" * 256), ("value", "x" * 8193), ("value", None), ("tags", ["x" * 65]), ("name", 1)],
    )
    def test_what_cannot_be_kept(self, field: str, value: Any, stage: Stage) -> None:
        with pytest.raises(Invalid, match=field):
            stage.alice.secrets.create(*stage.path(), **({"name": "n", "value": "v"} | {field: value}))

    def test_the_largest_that_can(self, stage: Stage) -> None:
        value = "\N{SNOWMAN}" * 8192
        made = stage.alice.secrets.create(*stage.path(), name="x" * 255, value=value)
        assert stage.alice.secrets.get(*stage.path(), made.id).value == value

    def test_it_is_encrypted_and_told_nobody(self, stage: Stage, secret: Any) -> None:
        place = (*stage.path(), secret.id)
        stage.alice.secrets.get(*place)
        stage.alice.secrets.update(*place, value="molasses")
        stage.alice.secrets.delete(*place)
        with stage.house.database.read() as db:
            events = db.execute(select(t.events).where(t.events.c.object_id == secret.id)).all()
            rows = db.execute(select(t.orbit_secrets)).all()
        assert [one.action for one in events] == ["secret.create", "secret.read", "secret.update", "secret.delete"]
        everything = "".join(str(one) for one in (*events, *rows))
        for value in (VALUE, "molasses", "raven"):
            assert value not in everything
        assert KEYS.decrypt(rows[0].value) == "a raven and a writing desk"

    def test_who_sees_what(self, stage: Stage, secret: Any) -> None:
        place = (*stage.path(), secret.id)
        bob, victor = (stage.house.api(Credentials(user_id=one.id)) for one in (stage.cast.bob, stage.cast.victor))
        for api in (bob, victor):
            assert {one.value for one in api.secrets.list(*stage.path())} == {""}
            with pytest.raises(Forbidden, match="read a secret"):
                api.secrets.get(*place)
        assert bob.secrets.create(*stage.path(), name="Bob's", value="hush").value == ""

    def test_another_orbit_does_not_see_it(self, stage: Stage, secret: Any) -> None:
        here = stage.cast.here
        other = stage.alice.orbits.create(here.organization_id, name="Attic", bucket_secret_id=here.bucket_id)
        join_orbit(stage.house.database, other.id, stage.cast.bob.id, "admin")
        bob = stage.house.api(Credentials(user_id=stage.cast.bob.id))
        assert bob.secrets.list(here.organization_id, other.id) == []
        with pytest.raises(NotFound):
            bob.secrets.get(here.organization_id, other.id, secret.id)


class TestSatellites:
    def test_a_satellite_sees_what_its_deployments_refer_to(
        self, stage: Stage, secret: Any, deploy: Callable[..., Any]
    ) -> None:
        assert seen(stage.satellite) == {"riddle": "a raven and a writing desk"}
        with pytest.raises(NotFound, match="no such secret"):
            stage.satellite.agent.secret(secret.id)
        made = deploy(dynamic_attributes_secrets={"token": str(secret.id)})
        assert made.dynamic_attributes_secrets == {"token": str(secret.id)}
        assert stage.satellite.agent.secret(secret.id).value == VALUE
        assert seen(stage.satellite)["well"] == VALUE

    def test_not_what_those_of_others_refer_to(self, stage: Stage, secret: Any, deploy: Callable[..., Any]) -> None:
        other, satellite_id = another_satellite(stage)
        deploy(satellite_id, env_variables_secrets={"TOKEN": str(secret.id)})
        assert seen(other) == {"well": VALUE}
        assert "well" not in seen(stage.satellite)
        for api, hidden in ((stage.satellite, secret.id), (other, stage.ids["orbit_secret_id"])):
            with pytest.raises(NotFound):
                api.agent.secret(hidden)

    @pytest.mark.parametrize("way", ["delete", "force_delete"])
    def test_not_when_the_deployment_goes(self, way: str, stage: Stage) -> None:
        getattr(stage.alice.deployments, way)(*stage.path("deployment_id"))
        assert seen(stage.satellite) == {}
        with pytest.raises(NotFound):
            stage.satellite.agent.secret(stage.ids["orbit_secret_id"])


class TestReferences:
    @pytest.mark.parametrize("name", ["env_variables_secrets", "dynamic_attributes_secrets"])
    def test_a_deployment_refers_to_secrets_of_its_orbit(
        self, name: str, stage: Stage, secret: Any, deploy: Callable[..., Any]
    ) -> None:
        charlie = stage.house.api(Credentials(user_id=stage.cast.charlie.id))
        foreign = charlie.secrets.create(*stage.cast.elsewhere.path, name="recipe", value="cocoa").id
        for missing in (uuid4(), foreign):
            with pytest.raises(NotFound, match=rf"no secret {missing} in this orbit \({name}\)"):
                deploy(**{name: {"A": str(secret.id), "B": str(missing)}})
        made = deploy(**{name: {"A": str(secret.id), "B": str(secret.id)}})
        assert getattr(made, name) == {"A": str(secret.id), "B": str(secret.id)}

    def test_its_dynamic_attributes_can_be_changed(self, stage: Stage, secret: Any, deploy: Any) -> None:
        made, attributes = deploy(), {"token": str(secret.id)}
        place = (*stage.path(), made.id)
        with pytest.raises(NotFound, match="dynamic_attributes_secrets"):
            stage.alice.deployments.update(*place, dynamic_attributes_secrets={"token": str(uuid4())})
        changed = stage.alice.deployments.update(*place, dynamic_attributes_secrets=attributes)
        assert changed.dynamic_attributes_secrets == attributes
        assert stage.alice.deployments.update(*place, name="Pythia").dynamic_attributes_secrets == attributes
        again = stage.alice.deployments.update(*place, dynamic_attributes_secrets=attributes)
        assert again.updated_at == stage.alice.deployments.get(*place).updated_at
        assert stage.alice.deployments.update(*place, dynamic_attributes_secrets={}).dynamic_attributes_secrets == {}

    def test_a_secret_in_use_stays(self, stage: Stage, secret: Any, deploy: Callable[..., Any]) -> None:
        made = deploy(dynamic_attributes_secrets={"token": str(secret.id)})
        with pytest.raises(Conflict, match="'Sibyl' uses this secret"):
            stage.alice.secrets.delete(*stage.path(), secret.id)
        with pytest.raises(Conflict, match="'Oracle' uses this secret"):
            stage.alice.secrets.delete(*stage.path(), stage.ids["orbit_secret_id"])
        stage.alice.deployments.delete(*stage.path(), made.id)
        stage.alice.secrets.delete(*stage.path(), secret.id)


class TestManyAtOnce:
    @pytest.fixture
    def house(self, build_house: Callable[..., House]) -> House:
        return build_house(pool_size=MANY)

    def test_a_secret_is_either_used_or_deleted(self, stage: Stage, secret: Any, deploy: Callable[..., Any]) -> None:
        def act(number: int) -> Any:
            if number % 2:
                return deploy(env_variables_secrets={"TOKEN": str(secret.id)})
            return stage.alice.secrets.delete(*stage.path(), secret.id)

        answers = together(act)
        deployed = [one for one in answers[1::2] if not isinstance(one, type)]
        deleted = [one for one in answers[::2] if not isinstance(one, type)]
        assert bool(deployed) != bool(deleted)

    def test_a_name_is_taken_once(self, stage: Stage) -> None:
        answers = together(lambda _: stage.alice.secrets.create(*stage.path(), name="one", value="x"))
        assert answers.count(Conflict) == MANY - 1
