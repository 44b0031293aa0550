"""One deployment: how it is, and a form to try it."""

from __future__ import annotations

from typing import Any, ClassVar

import panel as pn

from luml_app.schemas.deployments import Deployment
from luml_app.schemas.errors import LumlError
from luml_widgets import blocks as b
from luml_widgets import deployment_verbs as verbs
from luml_widgets import figures as f
from luml_widgets import snippets, trial
from luml_widgets.blocks import Block
from luml_widgets.board import Board
from luml_widgets.deployment_log import DeploymentLog
from luml_widgets.deployment_view import DeploymentView
from luml_widgets.deployments import reason_of, state_of
from luml_widgets.part import in_background
from luml_widgets.places import Places

_POLL_MILLISECONDS = 3000
_LOG_MILLISECONDS = 1500


class DeploymentCard(Board[DeploymentView]):
    """A deployment with its live status, its address, what went wrong, and a form that calls it.

    In the dashboard it follows the registry's notices; in a notebook it looks again every three seconds for as long
    as the status is on its way to another.
    """

    object_prefixes: ClassVar[tuple[str, ...]] = ("deployment.",)

    def __init__(
        self, api: Any, organization_id: Any, orbit_id: Any, deployment_id: Any, *, places: Places | None = None
    ) -> None:
        super().__init__(DeploymentView(api, organization_id, orbit_id, deployment_id), places)
        self.heads = True
        self.log = DeploymentLog(api, self.store.ids)
        self.log.param.watch(lambda *_: self.redraw(), ["lines", "search", "paused", "refusal", "looked"])
        self._poll: Any = None
        self._log_poll: Any = None

    @property
    def title(self) -> str:
        """The deployment's name."""
        return self.store.deployment.name if self.store.deployment else ""

    def start(self) -> None:
        """Begin to load; in a notebook, keep looking while the status is changing."""
        super().start()
        in_notebook = pn.state.curdoc is None or pn.state.curdoc.session_context is None
        if in_notebook and self._poll is None and not self.store.settled:
            self._poll = pn.state.add_periodic_callback(self._look_again, period=_POLL_MILLISECONDS, count=400)

        if not in_notebook and self._log_poll is None:
            self._log_poll = pn.state.add_periodic_callback(self._look_at_log, period=_LOG_MILLISECONDS)

    def end(self) -> None:
        """Draw no more, and read no more of the log."""
        super().end()
        if self._log_poll is not None:
            self._log_poll.stop()
        self.log.close()

    def _look_at_log(self) -> None:
        one = self.store.deployment
        if one is not None and not self._ended:
            in_background(lambda: self.log.look(one))

    def do_search(self, text: Any) -> None:
        """Show the lines of the log that hold a text."""
        self.log.search = str(text or "")

    def do_pause_log(self, on: Any) -> None:
        """Hold the log still, or go on."""
        self.log.paused = bool(on)

    def do_read_log(self, _value: Any) -> None:
        """Read the log now: in a notebook nothing does that by itself."""
        self.log.look(self.store.deployment)

    def _look_again(self) -> None:
        self.store.load()
        if self.store.settled and self._poll is not None:
            self._poll.stop()
            self._poll = None

    def head(self) -> list[Block]:
        """Name, way, and what can be done with it."""
        one: Deployment | None = self.store.deployment
        crumbs = [b.crumb("Deployments", self.places.section("deployments"))]
        if one is None:
            return [b.head(" ", crumbs=crumbs)]
        model = {"text": one.artifact_name, "href": self.places.artifact(one.artifact_id, one.collection_id)}
        note: list[Any] = [f.status(state_of(one)), model, f"on {one.satellite_name}"]
        note += [{"tags": one.tags}] if one.tags else []
        actions = [b.menu("More", verbs.actions(one), name="more")]
        heads = [b.head(one.name, crumbs=crumbs, note=[*note, f.identifier(one.id)], actions=actions)]
        return heads + ([b.prose(one.description)] if one.description else [])

    def content(self) -> list[Block]:
        """What is wrong, the trial, and the facts."""
        one: Deployment = self.store.deployment
        left = [*_trouble(one), *verbs.shares(one), *self._trial(one)]
        return [b.columns(left, _facts(one, self.places)), *self._log()]

    def _log(self) -> list[Block]:
        if self._log_poll is not None:
            return self.log.blocks()
        button = b.bar(actions=[b.action("Read the log", "read_log")])
        return [button, *(self.log.blocks() if self.log.looked else [])]

    def _trial(self, one: Deployment) -> list[Block]:
        if not one.inference_url:
            return []
        store = self.store
        return [
            b.section("Try it", [*self._form(one), *self._answer()]),
            b.section("Call it", self._calls(one.inference_url, store.body)),
        ]

    def _form(self, one: Deployment) -> list[Block]:
        store = self.store
        if not store.inputs and "body" not in store.values:
            return [b.skeleton(3)]
        if store.as_json:
            made = [
                b.field("body", "Request", type="json", rows=10, value=store.values.get("body"), error=_error(store))
            ]
        else:
            made = trial.fields(store.inputs, store.values, store.errors)
        up = one.status in {"active", "not_responding"}
        submit = b.action("Predict", "predict", busy=store.asking, disabled=not up, hint=None if up else "Not active")
        label = "Use fields" if store.as_json else "Write as JSON"
        more = [b.action(label, "as_json", not store.as_json)] if store.inputs else []
        return [b.form("trial", made, submit, more)]

    def _answer(self) -> list[Block]:
        store = self.store
        if store.refusal:
            return [b.notice("No prediction.", store.refusal)]
        if store.answer is None:
            return []
        return [b.bar(note=f"Answered in {store.answer.milliseconds:.0f} ms"), *trial.answer(store.answer.value)]

    @staticmethod
    def _calls(url: str, body: Any) -> list[Block]:
        return [b.code(snippets.call_by_curl(url, body), "curl"), b.code(snippets.call_by_python(url, body), "Python")]

    def do_predict(self, values: Any) -> None:
        """Call the deployment with what was filled in."""
        self.store.values = {**self.store.values, **{name: str(value) for name, value in dict(values or {}).items()}}
        self.store.ask()

    def do_as_json(self, on: Any) -> None:
        """Turn between fields and JSON."""
        self.store.write_as_json(bool(on))

    def do_verb(self, verb: Any) -> None:
        """Start or restart it."""
        if verb in {"start", "restart", "stop"}:
            getattr(self.store.api.deployments, verb)(*self.store.ids, self.store.deployment_id)
            self.store.load()

    def do_ask_stop(self, _value: Any) -> None:
        """Ask before nobody gets answers any more."""
        name = self.store.deployment.name
        text = f"{name} will be stopped; its callers get no answers until it is started again."
        self.confirm(text, "Stop", "verb", "stop")

    def do_promote(self, _value: Any) -> None:
        """Let the new revision of a rollout take over."""
        self.store.api.rollouts.update(*self.store.ids, self.store.deployment_id, weight=100)
        self.store.load()

    def do_ask_rollback(self, _value: Any) -> None:
        """Show what going back changes, and ask."""
        try:
            told = self.store.earlier()
        except LumlError as error:
            self.tell("There is no way back.", error.message)
            return
        self.confirm(verbs.difference(told), "Roll back", "rollback", str(told.then.id))

    def do_rollback(self, revision_id: Any) -> None:
        """Go back to a revision."""
        self.store.api.rollouts.rollback(*self.store.ids, self.store.deployment_id, revision_id=revision_id)
        self.store.load()

    def do_ask_delete(self, _value: Any) -> None:
        """Ask before the deployment is taken down."""
        name = self.store.deployment.name
        self.confirm(f"{name} will be taken down, and its callers get no answers any more.", "Delete", "delete")

    def do_delete(self, _value: Any) -> None:
        """Take the deployment down."""
        self.store.api.deployments.delete(*self.store.ids, self.store.deployment_id)
        self.store.load()


def _error(store: DeploymentView) -> str | None:
    return next(iter(store.errors.values()), None)


def _trouble(one: Deployment) -> list[Block]:
    """What there is to know before anything else."""
    if one.desired == "stopped" and one.status == "pending":
        return [b.notice("Stopped.", "Nothing of it runs. Start it, and it serves again.", tone="info")]
    if one.status in _ON_ITS_WAY:
        return [b.notice(*_ON_ITS_WAY[one.status], tone="info")]
    if one.status == "not_responding":
        text = "The satellite cannot reach the model at the moment. It tries again by itself."
        return [b.notice("Not responding.", reason_of(one) or text, tone="warn")]
    if one.status == "active":
        title = "The new revision cannot be served; the one before goes on."
        return _failure(one, title, tone="warn") if one.error_message else []
    return _failure(one, "The deployment failed." if one.status == "failed" else "It could not be taken down.")


_ON_ITS_WAY = {
    "pending": ("On its way.", "The satellite is getting the model ready; this page follows."),
    "deletion_pending": ("Being taken down.", "The satellite stops the model; this page follows."),
}


def _failure(one: Deployment, title: str, tone: str = "bad") -> list[Block]:
    """Why, what to do about it, and what the satellite saw."""
    told = one.error_message or {}
    said, remedy = str(told.get("error") or ""), str(told.get("next_step") or "")
    text = reason_of(one) or "The satellite gave no reason; its log says more."
    whole = f"{text.rstrip('.')}. {remedy}" if remedy else text
    return [b.notice(title, whole, tone=tone), *([b.code(said, "What the satellite saw")] if said else [])]


def _facts(one: Deployment, places: Places) -> list[Block]:
    url = {"copy": one.inference_url, "label": "address", "whole": True} if one.inference_url else f.MISSING
    facts: list[tuple[str, Any]] = [
        ("Status", f.status(state_of(one))),
        ("Address", url),
        ("Model", {"text": one.artifact_name, "href": places.artifact(one.artifact_id, one.collection_id)}),
        ("Satellite", one.satellite_name),
        ("Revision", f.number(one.revision.number)),
        *([("Follows", f"{one.follows.track}, {one.follows.stage}")] if one.follows else []),
        ("Digest", f.identifier(one.revision.digest, "sha256")),
        ("Created by", one.created_by_user or f.MISSING),
        ("Created", f.moment(one.created_at)),
        ("Changed", f.moment(one.updated_at)),
    ]
    blocks = [b.section("About", [b.facts(facts)])]
    for title, values in (("Environment", one.env_variables), ("Parameters", one.satellite_parameters)):
        if values:
            blocks.append(b.section(title, [b.facts([(name, f.plain(value)) for name, value in values.items()])]))
    return blocks
