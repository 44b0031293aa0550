"""Plays the README on a clean clone of the last commit: what is not committed is not in it."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.readme.person import ROOT, Person, Screen, alive, family, missing_tool, until

INSTALL_SECONDS = 900.0
DEMO_ENDS = "Call it yourself"

# The demo's model, trained anew, beside what the endpoint says, with nothing but what `luml up` has written down.
COMPARE = """
import json
import pandas as pd
import luml_app as luml
from luml_app.embedded.demo import NAME, ROWS, SEED, make_customers, train_model

customers = make_customers(ROWS, SEED)
model, _ = train_model(customers.iloc[: ROWS * 4 // 5], customers.iloc[ROWS * 4 // 5 :])
rows = pd.DataFrame(json.loads(CUSTOMERS)).drop(columns=["will_leave", "chance"])
rows["monthly_charge"] = rows["monthly_charge"].astype(float)
served = luml.Client().orbit("playground").deployment(NAME).predict(rows)
print(json.dumps({
    "own": [model.predict(rows).tolist(), model.predict_proba(rows)[:, 1].tolist()],
    "served": [served["prediction"].tolist(), served["probabilities_1"].tolist()],
}))
"""
COUNT = """
import json
import luml_app as luml

orbit = luml.Client().orbit("playground")
names = sorted(f"{one.type} {one.name}" for one in orbit.artifacts())
print(json.dumps(names + [f"deployment {one.data.name}" for one in orbit.deployments()]))
"""
EXAMPLE = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

X = pd.DataFrame({"age": range(20, 80), "visits": [n % 7 for n in range(60)]})
pipeline = make_pipeline(LogisticRegression()).fit(X, [n % 2 for n in range(60)])
"""
EXAMPLE_CHECK = """
import json
own, served = pipeline.predict(X.head(3)).tolist(), live.predict(X.head(3))["prediction"].tolist()
live.delete()
print(json.dumps([own, served]))
"""


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    if lacking := missing_tool() or ("" if (ROOT / ".git").exists() else "a git checkout to clone"):
        pytest.skip(f"this machine lacks {lacking}")
    one = Person(tmp_path)
    yield one
    one.leave()


@pytest.mark.timeout(1800)
def test_the_readme_keeps_its_word(person: Person) -> None:
    person.clone()
    screen = person.make_up()
    screen.wait_for(DEMO_ENDS, INSTALL_SECONDS)
    check_prediction(person, screen)
    check_key_file(person, screen)
    check_pages(screen)
    check_printed_command(person, screen)
    check_example(person)
    made, pages = person.python(COUNT), screen.addresses()
    check_stop(person, screen)

    screen = person.make_up()
    screen.wait_for(DEMO_ENDS)
    assert "Installing" not in screen.text
    assert screen.addresses() == pages
    assert person.python(COUNT) == made
    for name in ("postgres", "serve", "satellite"):
        check_recovery_of(name, person, screen)

    kill_supervisor(person, screen)
    screen = person.make_up()
    screen.wait_for(DEMO_ENDS)
    check_prediction(person, screen)
    assert person.python(COUNT) == made
    check_stop(person, screen)


def check_prediction(person: Person, screen: Screen) -> None:
    """The model's own answer is what the endpoint gives, and what the screen shows."""
    answers = _answers(person, screen)
    assert answers["served"][0] == answers["own"][0]
    assert answers["served"][1] == pytest.approx(answers["own"][1], abs=1e-12)
    table = screen.table()
    assert len(table) > 1
    assert [row["will_leave"] for row in table] == answers["own"][0]
    assert [row["chance"] for row in table] == pytest.approx(answers["own"][1], abs=0.00051)


def check_key_file(person: Person, screen: Screen) -> None:
    """The key on the screen is the one in the file, which is the owner's alone; the printed `curl` works."""
    file = person.home / ".config" / "luml" / "config.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = re.search(r"^ +API key +(dfs_\S+)", screen.text, re.MULTILINE)
    assert found
    assert found[1] in file.read_text()
    curl = re.search(r"(curl .*)$", screen.text, re.MULTILINE)
    assert curl
    assert '"id"' in person.shell(f"{curl[1]} --fail --silent --noproxy '*'")


def check_pages(screen: Screen) -> None:
    """The printed link signs in, once; every page that the screen names is there."""
    link = re.search(r"http://\S+/login\?token=\S+", screen.text)
    assert link
    pages = screen.addresses()
    assert pages.keys() >= {"dataset", "experiment", "model", "track", "deployment"}
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=60) as browser:
        assert browser.get(link[0]).url.path == "/app"
        for page in pages.values():
            answer = browser.get(page)
            assert (answer.status_code, str(answer.url)) == (200, page)
    with httpx.Client(trust_env=False) as thief:
        assert thief.get(link[0]).status_code == 401


def check_printed_command(person: Person, screen: Screen) -> None:
    """What the demo says to type works in the folder where `make up` was typed, with nothing else set up."""
    command = screen.text.partition(f"{DEMO_ENDS}:\n")[2].splitlines()[0].strip()
    assert '"prediction"' in person.shell(f"cd '{person.repository}' && {command}")


def check_example(person: Person) -> None:
    """The README's Python example works as it stands, for a model of somebody's own."""
    code = re.search(r"```python\n(.*?)```", (person.repository / "README.md").read_text(), re.DOTALL)
    assert code
    own, served = person.python(EXAMPLE + code[1] + EXAMPLE_CHECK)
    assert served == own
    until(lambda: "deployment churn" not in person.python(COUNT), "the end of the example's deployment")


def check_stop(person: Person, screen: Screen) -> None:
    """SIGTERM ends every process of the family, and every other that has to do with this home."""
    before = family(psutil.Process(screen.process.pid))
    assert len(before) > 4
    screen.stop()
    until(lambda: not alive([*before, *person.processes()]), f"the end of {before} and {person.processes()}", 30)


def check_recovery_of(name: str, person: Person, screen: Screen) -> None:
    """A child that is killed comes back, and the model answers as before."""
    supervisor = person.supervisor()
    until(lambda: len(alive(supervisor.children())) == len(supervisor.children()), "no zombie among the children")
    victim = next(child for child in supervisor.children() if name in child.cmdline()[0] or name in child.cmdline())
    victim.kill()
    until(lambda: not alive([victim]), f"the end of {name}")
    until(lambda: _recovered(person, screen), f"a prediction after the end of {name}")


def _recovered(person: Person, screen: Screen) -> bool:
    try:
        check_prediction(person, screen)
    except AssertionError:
        return False
    return True


def _answers(person: Person, screen: Screen) -> Any:
    return person.python(f"CUSTOMERS = {json.dumps(screen.table())!r}\n{COMPARE}")


def kill_supervisor(person: Person, screen: Screen) -> None:
    """What nobody can prepare for; the next `make up` finds the pieces."""
    person.supervisor().kill()
    assert screen.process.wait(30) != 0
