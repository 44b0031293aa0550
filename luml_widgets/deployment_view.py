"""One deployment as a store: its state, the signature of its model, and what was last asked of it."""

from __future__ import annotations

import json
from typing import Any

import param

from luml_app.schemas.artifacts import ArtifactDetails
from luml_app.schemas.errors import Conflict, LumlError
from luml_widgets import inference, members, trial
from luml_widgets.board import Store

_EXAMPLE = "input_example:v1"


class DeploymentView(Store):
    """A deployment, and a trial of it."""

    deployment = param.Parameter(doc="The deployment.")
    inputs = param.List(doc="Specs of the model's inputs, from its manifest.")
    example = param.Dict(default=None, allow_None=True, doc="The example that is stored with the model.")
    values = param.Dict(default={}, doc="What the form holds, by input.")
    as_json = param.Boolean(default=False, doc="Whether the request is written as JSON.")
    errors = param.Dict(default={}, doc="What does not fit, by field.")
    asking = param.Boolean(default=False, doc="Whether an answer of the deployment is being waited for.")
    answer = param.Parameter(doc="The last answer (`inference.Answer`).")
    refusal = param.String(doc="Why there is none.")
    key = param.String(doc="An API key to call with; empty for one of this session.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, deployment_id: Any, **params: Any) -> None:
        super().__init__(api, organization_id, orbit_id, **params)
        self.deployment_id = str(deployment_id)

    @property
    def settled(self) -> bool:
        """Whether the status is one that does not change by itself soon."""
        one = self.deployment
        if one is None:
            return True
        told = one.observed_generation == one.generation and not one.rollout
        return told and (one.desired == "stopped" or one.status not in {"pending", "deletion_pending"})

    @property
    def body(self) -> dict[str, Any]:
        """The request that the form describes, as far as it is one."""
        try:
            return self._request()
        except trial.NotFilledInError:
            return trial.draft(self.inputs, self.values)

    def fetch(self) -> dict[str, Any]:
        """The deployment."""
        return {"deployment": self.api.deployments.get(*self.ids, self.deployment_id)}

    def load(self) -> None:
        """Fetch, then the model's signature and example, once."""
        super().load()
        if self.error is None and not self.values:
            self._load_model()

    def ask(self) -> None:
        """Call the deployment with what the form holds; sets `answer`, `refusal` or `errors`."""
        try:
            body = self._request()
        except trial.NotFilledInError as error:
            self.param.update(errors=error.errors, answer=None, refusal="")
            return
        self.param.update(asking=True, errors={}, refusal="")
        try:
            answer = inference.call(
                self.api, self.deployment.inference_url, self.key or inference.key_for(self.api, self.ids[1]), body
            )
        except LumlError as error:
            self.param.update(asking=False, answer=None, refusal=error.message)
        else:
            self.param.update(asking=False, answer=answer)

    def earlier(self) -> Any:
        """What going back would change; the revision is that of a rollout under way, else the one that served before.

        Raises LumlError when there is none.
        """
        one, revisions = self.deployment, self.api.revisions
        here = (*self.ids, self.deployment_id)
        if one.rollout:
            return revisions.difference(*here, one.targets[0].revision.id)
        page = revisions.list(*here, limit=100)
        held = (r for r in page.items if r.number < one.revision.number and r.served_at and not r.problem)
        if (found := next(held, None)) is None:
            raise Conflict("No earlier revision of this deployment has served.")
        return revisions.difference(*here, found.id)

    def write_as_json(self, on: bool) -> None:
        """Turn between one field per input and one text of JSON."""
        if on:
            self.values = {**self.values, "body": json.dumps(self.body, ensure_ascii=False, indent=2)}
        self.param.update(as_json=on, errors={})

    def _request(self) -> dict[str, Any]:
        if self.as_json or not self.inputs:
            return trial.read_body(self.values.get("body", "{}"))
        return trial.request(self.inputs, self.values)

    def _load_model(self) -> None:
        one = self.deployment
        try:
            model = self.api.artifacts.get(*self.ids, one.collection_id, one.artifact_id)
        except LumlError:
            self._use_schemas(one.schemas or {})
            return
        inputs = [spec for spec in model.manifest.get("inputs") or [] if isinstance(spec, dict) and "name" in spec]
        example = self._stored_example(model)
        # At once: an example that came later would replace what somebody has begun to fill in.
        self.param.update(inputs=inputs, example=example, values=trial.start_values(inputs, example))

    def _stored_example(self, model: ArtifactDetails) -> dict[str, Any] | None:
        try:
            entries = members.read_json(self.api, self.organization_id, model, "meta.json")
        except LumlError:
            return None  # the form works without it
        for entry in entries if isinstance(entries, list) else []:
            tags = entry.get("producer_tags") or entry.get("tags") or []
            if any(str(tag).endswith(_EXAMPLE) for tag in tags):
                found = entry.get("payload", {}).get("inputs")
                return found if isinstance(found, dict) else None
        return None

    def _use_schemas(self, document: dict[str, Any]) -> None:
        """Without the model's manifest: names from the OpenAPI document that the satellite has reported."""
        schemas = document.get("components", {}).get("schemas", {})
        wanted = schemas.get("ComputeRequest", {}).get("properties", {}).get("inputs", {}).get("properties", {})
        body: dict[str, Any] = {"inputs": {name: [] for name in wanted}, "dynamic_attributes": {}}
        self.param.update(values={"body": json.dumps(body, indent=2)}, as_json=True)
