"""The sections of an artifact's page, each a pure function of the artifact."""

from __future__ import annotations

from typing import Any

from luml_app.schemas.artifacts import ArtifactDetails
from luml_widgets import blocks as b
from luml_widgets import figures as f
from luml_widgets import snippets
from luml_widgets.blocks import Block
from luml_widgets.places import Places

MAX_MEMBERS = 500
_STRIP = 5


def metrics(one: ArtifactDetails) -> list[Block]:
    """The first numbers large, all of them below when there are more."""
    values = list(one.extra_values.items())
    if not values:
        return []
    shown = [b.kpi(name, _text(value)) for name, value in values[:_STRIP]]
    rest = [(name, f.plain(value)) for name, value in values[_STRIP:]]
    return [b.kpis(shown), *([b.section("More metrics", [b.facts(rest)])] if rest else [])]


def _text(value: Any) -> str:
    cell = f.plain(value)
    if isinstance(cell, str):
        return cell
    return f.DASH if cell.get("missing") else str(cell.get("text") or ", ".join(cell.get("tags", [])))


def signature(one: ArtifactDetails) -> list[Block]:
    """Inputs and outputs of a model."""
    if one.type != "model":
        return []
    columns = [
        b.column("name", "Name", main=True),
        b.column("way", ""),
        b.column("dtype", "Type"),
        b.column("shape", "Shape"),
    ]
    rows = [
        b.row(f"{way}-{number}", [str(spec.get("name")), {"text": way, "quiet": True}, _type(spec), _shape(spec)])
        for way, key in (("input", "inputs"), ("output", "outputs"))
        for number, spec in enumerate(_specs(one.manifest, key))
    ]
    if not rows:
        return []
    return [b.section("Signature", [b.table("signature", columns, rows, label="Inputs and outputs")])]


def _specs(manifest: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [spec for spec in manifest.get(key) or [] if isinstance(spec, dict)]


def _type(spec: dict[str, Any]) -> Any:
    return {"text": str(spec.get("dtype", "")), "mono": True}


def _shape(spec: dict[str, Any]) -> Any:
    shape = spec.get("shape")
    return {"text": ", ".join(map(str, shape)), "quiet": True} if shape else f.MISSING


def contents(one: ArtifactDetails) -> list[Block]:
    """What a dataset or an experiment says of itself."""
    payload = one.manifest.get("payload")
    if not isinstance(payload, dict):
        return []
    if one.type == "dataset" and isinstance(payload.get("subsets"), dict):
        return _splits(payload)
    facts = [(name.replace("_", " "), f.plain(value)) for name, value in payload.items() if _is_plain(value)]
    return [b.section("About this experiment" if one.type == "experiment" else "Content", [b.facts(facts)])]


def _is_plain(value: Any) -> bool:
    return not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(i, dict) for i in value))


def _splits(payload: dict[str, Any]) -> list[Block]:
    columns = [b.column("split", "Split", main=True), b.column("subset", "Subset"), b.column("format", "Format")]
    columns += [b.column("files", "Files", numeric=True), b.column("rows", "Rows", numeric=True)]
    rows = []
    for subset, content in payload["subsets"].items():
        splits = content.get("splits", {}) if isinstance(content, dict) else {name: {} for name in content or []}
        for split, about in splits.items():
            cells = [split, subset, f.plain(about.get("file_format"))]
            cells += [f.plain(about.get("num_chunks")), f.plain(about.get("num_rows"))]
            rows.append(b.row(f"{subset}/{split}", cells))
    total = payload.get("total_rows")
    note = f"{total:,} rows" if isinstance(total, int) else None
    return [b.section("Splits", [b.table("splits", columns, rows, label="Splits")], note)]


def environment(found: dict[str, Any] | None, error: str) -> list[Block]:
    """Python version and packages of a model."""
    if error:
        return [b.section("Environment", [b.notice("The environment could not be read.", error, tone="warn")])]
    if found is None:
        return [b.section("Environment", [b.skeleton(3)])]
    about = next((value for key, value in found.items() if key.startswith("python3")), None)
    if not isinstance(about, dict):
        return [b.section("Environment", [b.prose("This model does not say what it needs.")])]
    packages = [str(one.get("package", "")) for one in about.get("dependencies") or [] if isinstance(one, dict)]
    text = "\n".join(packages) or "(no packages)"
    return [b.section("Environment", [b.code(text, f"Python {about.get('python_version', '3')}")])]


def about(one: ArtifactDetails, places: Places) -> list[Block]:
    """Facts, tracks and deployments."""
    made = [f"{one.manifest.get('producer_name', '')} {one.manifest.get('producer_version', '')}".strip()]
    facts: list[tuple[str, Any]] = [
        ("Collection", {"text": one.collection.name, "href": places.collection(one.collection_id)}),
        ("Digest", f.identifier(one.file_hash, "sha256")),
        ("File", {"text": one.file_name, "mono": True}),
        ("Variant", f.plain(one.manifest.get("variant"))),
        ("Made by", made[0] or f.MISSING),
        ("Created by", one.created_by_user or f.MISSING),
        ("Created", f.moment(one.created_at)),
        ("Changed", f.moment(one.updated_at)),
        ("Tags", {"tags": one.tags} if one.tags else f.MISSING),
    ]
    tracks = [(track.name, {"text": "open", "href": places.track(track.id)}) for track in one.tracks]
    blocks = [b.section("About", [b.facts(facts)])]
    blocks += [b.section("Tracks", [b.facts(tracks)])] if tracks else []
    return blocks + _deployments(one, places)


def _deployments(one: ArtifactDetails, places: Places) -> list[Block]:
    if one.type != "model":
        return []
    if not one.deployments:
        return [b.section("Deployments", [b.prose("Not deployed.")])]
    facts = [
        (deployment.name, [f.status(deployment.status), {"text": "open", "href": places.deployment(deployment.id)}])
        for deployment in one.deployments
    ]
    return [b.section("Deployments", [b.facts(facts)])]


def files(one: ArtifactDetails) -> list[Block]:
    """The members of the file with their sizes."""
    members = sorted(one.file_index.items())
    largest = max((size for _, (_, size) in members), default=0) or 1
    columns = [
        b.column("path", "Path", main=True),
        b.column("size", "Size", numeric=True),
        b.column("offset", "At byte", numeric=True),
    ]
    rows = [
        b.row(path, [{"text": path, "mono": True}, f.size(size) | {"share": size / largest}, f"{offset:,}"])
        for path, (offset, size) in members[:MAX_MEMBERS]
    ]
    note = f"{f.plural(len(members), 'file')}, {f.bytes_text(one.size)} in all"
    more = [b.prose(f"The first {MAX_MEMBERS} are shown.")] if len(members) > MAX_MEMBERS else []
    return [b.bar(note=note), b.table("files", columns, rows, label="Files"), *more]


def use(one: ArtifactDetails) -> list[Block]:
    """Code that finds, loads and deploys."""
    blocks = [
        b.section("Find", [b.code(snippets.find(one), "Python")]),
        b.section("Load", [b.code(snippets.load(one), "Python"), b.code(snippets.pull(one), "Shell")]),
    ]
    if one.type == "model":
        blocks.append(b.section("Deploy", [b.code(snippets.deploy(one), "Python")]))
    return blocks
