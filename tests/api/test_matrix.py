"""Who may do what: every operation that needs a permission, by everybody in the table, and the table in the docs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from luml_app.core.permissions import MATRIX
from luml_app.core.resolving import resolve
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.schemas.errors import Conflict, Forbidden, NotFound
from luml_app.web.docs import FOLDER
from tests.api.cases import OPERATIONS, request_of
from tests.api.stage import Stage
from tests.cast import KEYS, add_person, join_orbit, join_organization

LETTERS = {"list": "L", "read": "R", "create": "C", "update": "U", "delete": "D", "leave": "X", "transfer": "T"}
ROLES = ["owner", "admin", "member", "orbit admin", "orbit member", "orbit viewer"]
NEEDY = [name for name, one in OPERATIONS.items() if one.needs]


@pytest.fixture
def people(stage: Stage) -> dict[str, Credentials]:
    """Somebody new in each role of the table; those with a role in the orbit are members of the organization."""
    database, here = stage.house.database, stage.cast.here
    found = {}
    for role in ROLES:
        person = add_person(database, role.replace(" ", "-"))
        join_organization(database, here.organization_id, person.id, "member" if "orbit" in role else role)
        if "orbit" in role:
            join_orbit(database, here.orbit_id, person.id, role.removeprefix("orbit "))
        found[role] = Credentials(user_id=person.id)
    return found


def in_the_place(request: Request, stage: Stage) -> Request:
    """The same about the organization and the orbit of the stage: some cases play elsewhere."""
    request.path |= {key: stage.ids[key] for key in ("organization_id", "orbit_id") if key in request.path}
    if request.operation.name == "members.update":
        request.body = {"role": "member"}  # whom an admin may make what has tests of its own
    return request


def may(resource: str, letter: str, role: str) -> bool:
    """Who has a role in the orbit is a member of the organization, too."""
    row = MATRIX[resource]
    return letter in row[role] or ("orbit" in role and letter in row["member"])


@pytest.mark.parametrize("name", NEEDY)
def test_every_operation_is_for_those_of_the_table(name: str, stage: Stage, people: dict[str, Credentials]) -> None:
    operation = OPERATIONS[name]
    resource, _, verb = (operation.needs or "").partition(":")
    in_orbit = "orbit_id" in operation.path_parameters
    # Above the orbits a role in one of them is worth nothing.
    able = [
        role for role in ROLES if may(resource, LETTERS[verb], role if in_orbit or "orbit" not in role else "member")
    ]
    request = in_the_place(request_of(stage, operation), stage)
    for role in ROLES:
        request.credentials = people[role]
        if role not in able:
            with pytest.raises(NotFound if in_orbit and role == "member" else Forbidden):
                stage.house.service.call(request)
        else:
            with stage.house.database.read() as db:
                resolve(db, operation, people[role], request.path, KEYS, stage.house.settings)
    if able:
        request.credentials = people[able[-1]]
        try:
            stage.house.service.call(request)
        except Conflict:  # the organization and the orbit of the stage are not empty
            assert name in {"organizations.delete", "orbits.delete", "buckets.delete"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("resource", MATRIX)
def test_can_says_the_same(resource: str, role: str, stage: Stage, people: dict[str, Credentials]) -> None:
    api, here = stage.house.api(people[role]), stage.cast.here
    place = {"orbit_id": here.orbit_id} if role != "member" else {"organization_id": here.organization_id}
    for verb, letter in LETTERS.items():
        answer = api.permissions.check(permission=f"{resource}:{verb}", **place)
        assert answer.allowed == may(resource, letter, role)
        assert answer.why


def rows_of_the_page() -> dict[str, list[str]]:
    section = (FOLDER / "concepts.md").read_text().partition("## Who may do what")[2]
    found = {}
    for line in re.findall(r"^\| ([a-z].*) \|$", section, re.MULTILINE):
        names, *cells = (cell.strip() for cell in line.split("|"))
        for name in names.split(", "):
            found[name.replace(" ", "_")] = [re.sub(r"[^A-Z]", "", cell.split(",")[0]) for cell in cells]
    return found


def test_the_page_shows_the_table() -> None:
    code: dict[str, Any] = {name: [row[role].replace(".", "") for role in ROLES] for name, row in MATRIX.items()}
    page = rows_of_the_page()
    page.pop("resource", None)
    assert page == code


def ask(stage: Stage, who: Any) -> Callable[..., Any]:
    return stage.house.api(Credentials(user_id=who.id)).can


class TestCan:
    def test_yes_and_no_come_with_a_reason(self, stage: Stage) -> None:
        yes = ask(stage, stage.cast.alice)("deployment:create", stage.cast.here.orbit_id)
        no = ask(stage, stage.cast.victor)("deployment:create", stage.cast.here.orbit_id)
        assert yes and yes.why == "You are the organization's owner."
        assert not no and no.why.endswith("you are an orbit viewer.")

    def test_where_is_an_orbit_or_an_organization(self, api: Any, stage: Stage) -> None:
        here = stage.cast.here
        orbit = api.orbits.list(here.organization_id)[0]
        (organization,) = api.organizations.list()
        check = api.permissions.check
        assert check(permission="orbit:create", organization_id=organization.id).allowed
        assert check(permission="track:delete", organization_id=organization.id, orbit_id=orbit.id).allowed

    def test_what_one_cannot_see_is_not_found(self, stage: Stage) -> None:
        here, elsewhere = stage.cast.here, stage.cast.elsewhere
        check = stage.house.api(Credentials(user_id=stage.cast.charlie.id)).permissions.check
        for place in (
            {"orbit_id": here.orbit_id},
            {"organization_id": here.organization_id},
            {"orbit_id": here.orbit_id, "organization_id": elsewhere.organization_id},
            {"orbit_id": elsewhere.orbit_id, "organization_id": here.organization_id},
        ):
            with pytest.raises(NotFound):
                check(permission="orbit:read", **place)
        other = stage.alice.orbits.create(here.organization_id, name="Attic", bucket_secret_id=here.bucket_id)
        with pytest.raises(NotFound, match="orbit"):
            ask(stage, stage.cast.bob)("orbit:read", other.id)

    def test_what_makes_no_sense_is_refused(self, stage: Stage) -> None:
        check = stage.alice.permissions.check
        for arguments in ({"permission": "song:sing", "orbit_id": stage.cast.here.orbit_id}, {"permission": "x:y"}):
            with pytest.raises(Exception, match="permission"):
                check(**arguments)
        with pytest.raises(Exception, match="Say where"):
            check(permission="orbit:read")
