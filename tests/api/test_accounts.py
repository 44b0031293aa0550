"""Accounts from sign-up to their end, as people and those who mean them harm live through it; over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, select, update

from luml_app.core import tables as t
from luml_app.core.scope import Credentials
from luml_app.core.service import Request
from luml_app.schemas.errors import Conflict
from luml_app.web.house import House
from tests.api.stage import Stage
from tests.cast import PASSWORD, Cast, add_person
from tests.mailbox import Mailbox, link_in
from tests.serving import RunningServer

ADA = {"email": "Ada@Example.org", "password": "analytical engine", "full_name": "Ada Lovelace"}


@pytest.fixture
def box() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    yield mailbox
    mailbox.stop()


@pytest.fixture
def house(build_house: Callable[..., House], box: Mailbox) -> House:
    return build_house(smtp_url=box.url, mail_from="LUML <luml@example.com>")


@pytest.fixture
def browse(server: RunningServer) -> Iterator[Callable[[], httpx.Client]]:
    """Opens browsers: clients that keep cookies, each from an address of its own."""
    opened: list[httpx.Client] = []

    def build() -> httpx.Client:
        opened.append(httpx.Client(base_url=server.address, timeout=60))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


@pytest.fixture
def http(browse: Callable[[], httpx.Client]) -> httpx.Client:
    return browse()


def sign_in(http: httpx.Client, email: str = "ada@example.org", password: str = ADA["password"]) -> httpx.Response:
    return http.post("/v1/auth/signin", json={"email": email, "password": password})


def token_in(box: Mailbox, page: str, address: str = "ada@example.org", count: int = 1) -> str:
    return link_in(box.to(address, count), page).partition("token=")[2]


def confirm(http: httpx.Client, token: str) -> httpx.Response:
    return http.get("/v1/auth/confirm-email", params={"confirmation_token": token})


def joined(http: httpx.Client, box: Mailbox) -> httpx.Client:
    """Ada, signed up, confirmed and signed in."""
    assert http.post("/v1/auth/signup", json=ADA).status_code == 200
    assert confirm(http, token_in(box, "/confirm")).status_code == 200
    assert sign_in(http).status_code == 200
    return http


def actions(house: House) -> list[str]:
    with house.database.read() as db:
        return list(db.scalars(select(t.events.c.action).order_by(t.events.c.at, t.events.c.id)))


class TestSignUp:
    def test_from_the_form_to_the_own_organization(self, http: httpx.Client, box: Mailbox, house: House) -> None:
        assert http.post("/v1/auth/signup", json=ADA).status_code == 200
        refused = sign_in(http)
        assert (refused.status_code, refused.json()["code"]) == (403, "unconfirmed")
        assert "mail" in refused.json()["detail"]
        mail = box.to("ada@example.org")
        assert "Ada Lovelace" not in mail.get_content()
        assert confirm(http, link_in(mail, "/confirm").partition("token=")[2]).status_code == 200
        assert sign_in(http, "ADA@example.ORG").status_code == 200
        me = http.get("/v1/auth/users/me").json()
        assert (me["email"], me["full_name"]) == ("ada@example.org", "Ada Lovelace")
        (own,) = http.get("/v1/users/me/organizations").json()
        assert (own["name"], own["role"]) == ("Ada Lovelace's organization", "owner")
        (bucket,) = http.get(f"/v1/organizations/{own['id']}/bucket-secrets").json()
        orbit = {"name": "Notes", "bucket_secret_id": bucket["id"]}
        assert http.post(f"/v1/organizations/{own['id']}/orbits", json=orbit).status_code == 200
        assert {"user.signup", "user.ask_confirmation", "user.confirm", "user.signin"} <= set(actions(house))

    def test_without_a_name_the_address_gives_one(self, http: httpx.Client, box: Mailbox) -> None:
        http.post("/v1/auth/signup", json={**ADA, "full_name": None})
        confirm(http, token_in(box, "/confirm"))
        sign_in(http)
        assert [one["name"] for one in http.get("/v1/users/me/organizations").json()] == ["ada's organization"]

    def test_whose_address_is_taken_is_not_told(self, http: httpx.Client, box: Mailbox, cast: Cast) -> None:
        new = http.post("/v1/auth/signup", json=ADA)
        known = http.post("/v1/auth/signup", json={**ADA, "email": cast.alice.email})
        assert (new.status_code, new.json()) == (known.status_code, known.json())
        assert "account already" in str(box.to(cast.alice.email)["Subject"])
        assert sign_in(http, cast.alice.email, PASSWORD).status_code == 200

    @pytest.mark.parametrize("which", [0, 1, 2])
    def test_a_stranger_cannot_choose_the_password_of_my_account(
        self, http: httpx.Client, box: Mailbox, which: int
    ) -> None:
        """Whichever of the mails I open: that of the stranger's sign-up, that of mine, or one that I have asked for."""
        http.post("/v1/auth/signup", json={**ADA, "password": "of the stranger"})
        tokens = [token_in(box, "/confirm")]
        http.post("/v1/auth/signup", json=ADA)
        tokens.append(token_in(box, "/confirm", count=2))
        http.post("/v1/auth/resend-confirmation", json={"email": ADA["email"]})
        tokens.append(token_in(box, "/confirm", count=3))
        query, browser = {"confirmation_token": tokens[which]}, {"Accept": "text/html"}
        answer = http.get("/v1/auth/confirm-email", params=query, headers=browser)
        assert answer.status_code == 303
        assert [sign_in(http, password=one).status_code for one in ("of the stranger", ADA["password"])] == [401, 401]
        page = answer.headers["Location"]
        assert "choose the password that counts" in http.get(page).text
        reset = {"reset_token": page.partition("token=")[2].partition("&")[0], "new_password": ADA["password"]}
        assert http.post("/v1/auth/reset-password", json=reset).status_code == 200
        assert [sign_in(http, password=one).status_code for one in ("of the stranger", ADA["password"])] == [401, 200]

    def test_a_password_from_long_ago_does_not_come_back(self, http: httpx.Client, box: Mailbox, house: House) -> None:
        """A stranger's sign-up and mine are forgotten but for the account; the mail that I ask for trusts neither."""
        for count, password in enumerate(("of the stranger", ADA["password"]), start=1):
            http.post("/v1/auth/signup", json={**ADA, "password": password})
            box.to("ada@example.org", count)
        with house.database.write() as db:
            db.execute(delete(t.account_tokens))
        http.post("/v1/auth/resend-confirmation", json={"email": ADA["email"]})
        told = confirm(http, token_in(box, "/confirm", count=3))
        assert "choose one as if it were forgotten" in told.json()["detail"]
        assert sign_in(http, password="of the stranger").status_code == 401
        http.post("/v1/auth/forgot-password", json={"email": ADA["email"]})
        reset = {"reset_token": token_in(box, "/reset", count=4), "new_password": ADA["password"]}
        assert http.post("/v1/auth/reset-password", json=reset).status_code == 200
        assert sign_in(http).status_code == 200

    def test_a_link_is_good_once_and_for_a_day(self, http: httpx.Client, box: Mailbox, house: House) -> None:
        http.post("/v1/auth/signup", json=ADA)
        token = token_in(box, "/confirm")
        with house.database.write() as db:
            late = t.account_tokens.c.expires_at - timedelta(hours=24)
            assert db.scalar(select(late <= func.now()))
            db.execute(update(t.account_tokens).values(expires_at=late))
        assert confirm(http, token).status_code == 400
        http.post("/v1/auth/resend-confirmation", json={"email": "ADA@example.org"})
        again = token_in(box, "/confirm", count=2)
        assert [confirm(http, again).status_code, confirm(http, again).status_code] == [200, 400]
        assert sign_in(http).status_code == 200

    def test_twenty_at_once_make_one_account(self, server: RunningServer, house: House, box: Mailbox) -> None:
        def sign_up(_: int) -> int:
            return httpx.post(f"{server.address}/v1/auth/signup", json=ADA, timeout=60).status_code

        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(sign_up, range(20)))
        assert set(answers) <= {200, 429}
        assert answers.count(200) == 5
        with house.database.read() as db:
            assert db.scalar(select(func.count()).where(t.users.c.email == "ada@example.org")) == 1
            made = select(func.count()).where(t.organizations.c.name == "Ada Lovelace's organization")
            assert db.scalar(made) == 1

    @pytest.mark.parametrize(
        "email", ["a,b@example.org", "<a@example.org>", "a@b@c", "a b@c", "a@b\n", "@b", "a@", "x" * 250 + "@b.org"]
    )
    def test_what_is_no_address_is_refused(self, email: str, http: httpx.Client) -> None:
        assert http.post("/v1/auth/signup", json={**ADA, "email": email}).status_code == 422

    @pytest.mark.parametrize("email", ["İ@example.org", "ÅNGSTRÖM@example.org", "ẞ@example.org", "ﬁ@example.org"])
    def test_letters_beyond_ascii_are_an_address_like_others(self, email: str, http: httpx.Client) -> None:
        assert http.post("/v1/auth/signup", json={**ADA, "email": email}).status_code == 200

    @pytest.mark.parametrize(("rule", "words"), [("closed", "operator"), ("invited", "invite")])
    def test_an_operator_may_close_it(
        self,
        rule: str,
        words: str,
        build_house: Callable[..., House],
        start_server: Callable[..., RunningServer],
        cast: Cast,
    ) -> None:
        address = start_server(build_house(signup=rule), role="api").address
        answers = [
            httpx.post(f"{address}/v1/auth/signup", json={**ADA, "email": email})
            for email in (ADA["email"], cast.alice.email)
        ]
        assert {one.status_code for one in answers} == {403}
        assert answers[0].json() == answers[1].json(), "who has an account is not told"
        assert words in answers[0].json()["detail"]


class TestForgottenPasswords:
    def ask(self, http: httpx.Client, email: str) -> httpx.Response:
        return http.post("/v1/auth/forgot-password", json={"email": email})

    def reset(self, http: httpx.Client, token: str, password: str = "difference engine") -> httpx.Response:
        return http.post("/v1/auth/reset-password", json={"reset_token": token, "new_password": password})

    def test_from_the_mail_to_the_new_password(
        self, browse: Callable[[], httpx.Client], box: Mailbox, house: House
    ) -> None:
        http = joined(browse(), box)
        assert self.ask(http, "ADA@example.org").status_code == 200
        token = token_in(box, "/reset", count=2)
        assert self.reset(browse(), token).status_code == 200
        assert http.get("/v1/auth/users/me").status_code == 401, "every session has ended"
        assert http.post("/v1/auth/refresh").status_code == 401
        assert sign_in(http).status_code == 401
        assert sign_in(http, password="difference engine").status_code == 200
        assert "was changed" in str(box.to("ada@example.org", 3)["Subject"])
        assert self.reset(http, token).status_code == 400
        assert {"user.forgot_password", "user.reset_password"} <= set(actions(house))

    def test_nobody_learns_whether_there_is_an_account(self, http: httpx.Client, cast: Cast, house: House) -> None:
        with house.database.read() as db:
            before = len(actions(house))
            known, unknown = self.ask(http, cast.alice.email), self.ask(http, "nobody@example.org")
            assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
            jobs = db.execute(select(t.jobs).where(t.jobs.c.type == "account.mail")).all()
        assert len(jobs) == 2
        assert not any("example.org" in str(row._mapping) for row in jobs)
        assert before <= len(actions(house))

    def test_of_twenty_at_once_one_succeeds(self, server: RunningServer, http: httpx.Client, box: Mailbox) -> None:
        self.ask(joined(http, box), "ada@example.org")
        token = token_in(box, "/reset", count=2)

        def use(number: int) -> int:
            with httpx.Client(base_url=server.address, timeout=60) as one:
                return self.reset(one, token, f"difference engine {number}").status_code

        with ThreadPoolExecutor(5) as pool:
            assert sorted(pool.map(use, range(20))) == [200] + [400] * 19

    def test_a_link_is_good_for_an_hour(self, http: httpx.Client, box: Mailbox, house: House) -> None:
        self.ask(joined(http, box), "ada@example.org")
        token = token_in(box, "/reset", count=2)
        with house.database.write() as db:
            db.execute(update(t.account_tokens).values(expires_at=t.account_tokens.c.expires_at - timedelta(hours=1)))
        assert self.reset(http, token).status_code == 400

    def test_a_confirmation_is_no_reset_and_the_other_way_round(self, http: httpx.Client, box: Mailbox) -> None:
        http.post("/v1/auth/signup", json=ADA)
        assert self.reset(http, token_in(box, "/confirm")).status_code == 400
        self.ask(http, "ada@example.org")
        assert confirm(http, token_in(box, "/reset", count=2)).status_code == 400

    def test_it_also_confirms_the_address(self, http: httpx.Client, box: Mailbox) -> None:
        http.post("/v1/auth/signup", json=ADA)
        box.to("ada@example.org")
        self.ask(http, "ada@example.org")
        assert self.reset(http, token_in(box, "/reset", count=2)).status_code == 200
        assert sign_in(http, password="difference engine").status_code == 200

    def test_tokens_are_stored_as_hashes(self, http: httpx.Client, box: Mailbox, house: House) -> None:
        self.ask(joined(http, box), "ada@example.org")
        token = token_in(box, "/reset", count=2)
        for table in t.metadata.sorted_tables:
            with house.database.read() as db:
                assert not any(token in str(row._mapping) for row in db.execute(select(table)))

    def test_one_address_gets_only_so_many_mails(self, house: House, box: Mailbox, cast: Cast) -> None:
        api = house.service
        for _ in range(8):  # from inside the process, as if from eight places of the world
            api.call(Request(api.operations["accounts.forgot_password"], body={"email": cast.alice.email}))
        while house.housekeeper.run_due():
            pass
        assert [mail["to"] for mail in box.mails].count(cast.alice.email) == 5  # beside an invite of the stage


class TestTheEnd:
    def test_an_account_goes_with_what_is_only_its_own(self, http: httpx.Client, box: Mailbox, house: House) -> None:
        answer = joined(http, box).delete("/v1/auth/users/me")
        assert answer.status_code == 200
        assert answer.json() == {"detail": "Account deleted successfully"}
        assert http.get("/v1/auth/users/me").status_code == 401
        assert sign_in(http).status_code == 401
        with house.database.read() as db:
            assert not db.scalar(select(func.count()).where(t.organizations.c.name.like("Ada%")))
        assert actions(house)[-1] == "user.delete"
        assert http.post("/v1/auth/signup", json=ADA).status_code == 200

    def test_others_keep_their_owner(self, stage: Stage) -> None:
        with pytest.raises(Conflict, match="only owner"):
            stage.alice.accounts.delete_me()
        charlie: Any = stage.house.api(Credentials(token=stage.cast.charlie.api_key))
        with pytest.raises(Conflict, match="orbits"):
            charlie.accounts.delete_me()

    def test_what_is_still_being_deleted_is_waited_for(self, stage: Stage) -> None:
        ada = add_person(stage.house.database, "ada")
        hers: Any = stage.house.api(Credentials(token=ada.api_key))
        engines = hers.organizations.create(name="Engines")
        bucket = hers.buckets.list(engines.id)[0]
        orbit = hers.orbits.create(engines.id, name="Notes", bucket_secret_id=bucket.id)
        with pytest.raises(Conflict, match="has orbits"):
            hers.accounts.delete_me()
        hers.orbits.force_delete(engines.id, orbit.id, confirm="Notes")
        with pytest.raises(Conflict, match="still being deleted"):
            hers.accounts.delete_me()
        while stage.house.housekeeper.run_due():
            pass
        hers.accounts.delete_me()
        with stage.house.database.read() as db:
            assert not db.scalar(select(func.count()).where(t.organizations.c.name == "Engines"))

    def test_who_owns_nothing_may_leave(self, stage: Stage) -> None:
        stage.house.api(Credentials(token=stage.cast.bob.api_key)).accounts.delete_me()
        with stage.house.database.read() as db:
            assert not db.scalar(select(func.count()).where(t.users.c.email == stage.cast.bob.email))
