"""Commands about people and secrets, as persons type them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luml_app.client.http import Client
from luml_app.client.settings import save_connection
from luml_app.schemas.errors import Conflict, NotFound
from tests.cast import Cast, Person
from tests.cli.test_commands import Luml, config, luml, printed_json, refused
from tests.serving import RunningServer

__all__ = ["config", "luml"]


@pytest.fixture
def as_(server: RunningServer, luml: Luml, tmp_path: Path) -> Callable[[Person], Luml]:
    """`luml` as somebody else."""

    def other(who: Person) -> Luml:
        path = save_connection(server.address, who.api_key, tmp_path / f"{who.name}.toml")
        return lambda *arguments, **options: luml(*arguments, LUML_CONFIG_FILE=str(path), **options)

    return other


def roles(luml: Luml, *where: str) -> dict[str, str]:
    return {one["user"]["email"]: one["role"] for one in printed_json(luml("members", "list", *where, "--json"))}


def test_invite_accept_promote_leave(luml: Luml, as_: Callable[[Person], Luml], cast: Cast) -> None:
    charlie = as_(cast.charlie)
    assert "No invitations." in luml("invites", "list").stdout
    assert luml("invites", "add", cast.charlie.email).stdout.startswith("Invited charlie@example.org as member, until ")
    assert "resend" not in refused(luml("invites", "remove", "nobody@example.org"))
    assert luml("invites", "resend", cast.charlie.email).stdout.startswith("Invited charlie@example.org again")
    assert "Wonderland" in charlie("invites", "list", "--mine").stdout
    assert charlie("invites", "accept").stdout == "You are member of Wonderland now.\n"
    assert "There is no invitation" in refused(charlie("invites", "reject"))
    added = printed_json(luml("members", "add", cast.charlie.email, "--orbit", "Garden", "--role", "viewer", "--json"))
    assert (added["role"], added["user"]["email"]) == ("viewer", cast.charlie.email)
    luml("members", "role", cast.charlie.email, "member", "--orbit", "Garden")
    assert roles(luml, "--orbit", "Garden")[cast.charlie.email] == "member"
    assert "is admin now" in luml("members", "role", cast.charlie.email, "admin").stdout
    assert "several" in refused(charlie("members", "list"))
    assert roles(charlie, "--organization", "wonderland")[cast.charlie.email] == "admin"
    assert charlie("members", "leave", "--organization", "Wonderland").stdout == "You have left Wonderland.\n"
    assert cast.charlie.email not in roles(luml)


def test_remove_and_transfer(luml: Luml, as_: Callable[[Person], Luml], cast: Cast) -> None:
    assert "'nobody'" in refused(luml("members", "remove", "nobody"))
    luml("members", "remove", cast.victor.email, "--orbit", "Garden")
    assert cast.victor.email in roles(luml) and cast.victor.email not in roles(luml, "--orbit", "Garden")
    luml("members", "remove", cast.victor.email)
    assert cast.victor.email not in roles(luml)
    assert "only hand over" not in refused(luml("members", "leave"))
    assert "is the owner now" in luml("members", "transfer", cast.bob.email).stdout
    assert roles(luml) == {cast.alice.email: "admin", cast.bob.email: "owner"}
    assert "Only an owner" in refused(luml("members", "remove", cast.bob.email))
    assert "not both" in refused(luml("members", "list", "--orbit", "a", "--organization", "b"), code=2)
    assert "invites add" in luml("members", "add", "--help").stdout


def test_secrets(luml: Luml) -> None:
    assert "luml secrets add" in luml("secrets", "list").stdout
    made = printed_json(luml("secrets", "add", "well", "--tag", "sweet", "--json", stdin="treacle\n"))
    assert (made["name"], made["value"]) == ("well", "")
    table = luml("secrets", "list").stdout
    assert "well" in table and "treacle" not in table
    assert luml("secrets", "show", "well").stdout == "treacle\n"
    luml("secrets", "set", made["id"], stdin="two\nlines\n")
    assert luml("secrets", "show", "well").stdout == "two\nlines\n"
    assert "Pipe the value in" in refused(luml("secrets", "add", "empty", stdin=""), code=2)
    assert "already" in refused(luml("secrets", "add", "well", stdin="again"))
    assert luml("secrets", "remove", "well").stdout == "Deleted well.\n"
    assert "'well'" in refused(luml("secrets", "show", "well"))


def test_service_accounts(luml: Luml) -> None:
    assert "luml service-accounts add" in luml("service-accounts", "list").stdout
    made = printed_json(luml("service-accounts", "add", "Nightly", "--json"))
    assert made["email"] in luml("service-accounts", "list").stdout
    luml("members", "add", made["email"], "--orbit", "Garden")
    key = luml("service-accounts", "key", "nightly", "cron", "--orbit", "Garden", "--days", "7").stdout.strip()
    assert printed_json(luml("whoami", "--json", LUML_API_KEY=key))["user"]["full_name"] == "Nightly"
    assert printed_json(luml("artifacts", "list", "--json", LUML_API_KEY=key)) == []
    assert "already" in refused(luml("service-accounts", "key", made["id"], "cron"))
    assert luml("service-accounts", "remove", "Nightly").stdout == "Deleted Nightly.\n"
    refused(luml("whoami", LUML_API_KEY=key))
    assert "'Nightly'" in refused(luml("service-accounts", "remove", "Nightly"))


def test_limits(luml: Luml, database_url: str, cast: Cast, client: Any) -> None:
    def limits(*arguments: str) -> Any:
        return luml("limits", *arguments, LUML_DATABASE_URL=database_url)

    assert "LUML_DATABASE_URL" in refused(luml("limits", "Wonderland"))
    assert "'Nowhere'" in refused(limits("Nowhere"))
    for wrong in ("-1", "many", "1.5", "99999999999"):
        assert "whole number" in refused(limits("Wonderland", "--orbits", wrong), code=2)
    found = printed_json(limits("Wonderland", "--members", "3", "--orbits", "5", "--json"))
    assert found["limits"]["members"] == {"used": 3, "limit": 3}
    assert found["limits"]["satellites"] == {"used": 0, "limit": None}
    with pytest.raises(Conflict, match="3 members"):
        client.members.create(cast.here.organization_id, user_id=cast.charlie.id, role="member")
    shown = limits(str(cast.here.organization_id), "--members", "none").stdout
    assert shown.startswith("Wonderland ") and "members     3    none" in shown
    assert client.organizations.get(cast.here.organization_id).orbits_limit == 5
    client.organizations.create(name="Wonderland")
    assert "Several organizations" in refused(limits("Wonderland"))


def test_can_by_handle_id_and_name(client: Client, cast: Cast) -> None:
    orbit = client.orbit("Garden")
    for where in (orbit, orbit.data, orbit.data.id, str(orbit.data.id), "Garden", client.organizations.list()[0]):
        answer = client.can("orbit:delete", where)
        assert answer and answer.why == "You are the organization's owner."
    with pytest.raises(NotFound, match="'nowhere'"):
        client.can("orbit:delete", "nowhere")
    with pytest.raises(NotFound):
        client.can("orbit:delete", cast.elsewhere.orbit_id)
