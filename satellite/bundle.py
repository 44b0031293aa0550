"""Opens a model file, which anybody may have written: what is unsafe in it is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from luml_app.packaging.archive import Archive
from luml_app.packaging.errors import PackagingError
from luml_app.packaging.mlflow_models import FOLDER as MLFLOW_FOLDER
from luml_app.packaging.mlflow_models import MLMODEL, convert
from luml_app.packaging.patches import patch_names
from satellite.generations import current_manifest, current_ops, current_variant
from satellite.model_server.environment import EnvironmentSpec, spec_of

# Older files lack these; fnnx of their day wants them all the same.
OPTIONAL: dict[str, Any] = {"dtypes.json": {}, "env.json": {}, "meta.json": []}
NEEDED = ("manifest.json", "variant_config.json", "ops.json")
VARIANTS = ("pyfunc", "pipeline")
MAX_MEMBERS = 20_000
CHUNK = 1024 * 1024


class NotAModel(Exception):  # noqa: N818
    """The file is not a .luml model; the message says what is wrong with it, and in which member."""


class UnsupportedVariant(Exception):  # noqa: N818
    """The model is of a kind that cannot be served; the message says of which."""


def unpack(archive: Path, folder: Path) -> None:
    """Write the members of a model file below `folder`, an empty one, in today's form. Links and devices are left out.

    A tar of an MLflow model folder becomes a model on the way. Raises NotAModel when the file is no tar, when a
    member's path is unsafe or used twice, or when it lacks what every model has.
    """
    try:
        opened = Archive(archive, max_members=MAX_MEMBERS)
        documents, places = contents(opened)
    except PackagingError as error:
        raise NotAModel(f"The artifact is not a model file: {error}") from error
    with archive.open("rb") as source:
        for name, target in places.items():
            offset, size = opened.index[name]
            write_member(source, offset, size, folder / target)
    for name, content in documents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644)
    for subfolder in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        subfolder.chmod(0o755)


def contents(opened: Archive) -> tuple[dict[str, bytes], dict[str, str]]:
    """What an unpacked model consists of: documents to write, and where each of the other members goes."""
    missing = [name for name in NEEDED if name not in opened.index]
    if not missing:
        documents = current_documents(opened)
        replaced = {*documents, *patch_names(opened.index)}
        return documents, {name: name for name in opened.index if name not in replaced}
    if (root := mlflow_root(opened)) is None:
        raise NotAModel(f"The artifact is not a model: {', '.join(missing)} is missing")
    inside = [name for name in opened.index if name.startswith(root)]
    model = convert(lambda name: opened.read(root + name) if root + name in opened.index else None)
    return model.documents, {name: f"{MLFLOW_FOLDER}/{name.removeprefix(root)}" for name in inside}


def mlflow_root(opened: Archive) -> str | None:
    """Where in an archive an MLflow model folder lies: at the root, or in the one folder that was packed."""
    roots = sorted(
        (name.removesuffix(MLMODEL) for name in opened.index if re.fullmatch(r"(.*/)?MLmodel", name)), key=len
    )
    return roots[0] if roots else None


def current_documents(opened: Archive) -> dict[str, bytes]:
    """The JSON members of a model in today's form; raises NotAModel for what cannot be understood."""
    try:
        variant = opened.read_json("variant_config.json")
        documents = {
            "manifest.json": current_manifest(opened.manifest, variant),
            "variant_config.json": current_variant(variant),
            "ops.json": current_ops(opened.read_json("ops.json")),
            **{name: empty for name, empty in OPTIONAL.items() if name not in opened.index},
        }
    except (TypeError, AttributeError, KeyError) as error:
        raise NotAModel(f"The artifact's manifest, ops or variant_config cannot be understood: {error}") from error
    return {name: json.dumps(document).encode() for name, document in documents.items()}


def write_member(source: BinaryIO, offset: int, size: int, target: Path) -> None:
    """Copy one member out of the archive, readable by everybody (a container has a user of its own)."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as sink:
            for chunk in chunks(source, offset, size):
                sink.write(chunk)
    except FileExistsError:
        # Two names may be one where capitals make no difference.
        raise NotAModel(
            f"Member {target.name!r} is in the model twice, under names that this disk takes for one"
        ) from None
    target.chmod(0o644)


def chunks(source: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    """The bytes of one member."""
    source.seek(offset)
    while size > 0 and (chunk := source.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk


def check_variant(folder: Path) -> None:
    """Raise UnsupportedVariant for a kind of model that the model server does not know, NotAModel for none."""
    try:
        variant = json.loads((folder / "manifest.json").read_text())["variant"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotAModel(f"Member 'manifest.json' cannot be understood: {type(error).__name__}: {error}") from error
    if variant not in VARIANTS:
        raise UnsupportedVariant(f"The model's variant is {variant!r}; this satellite serves {' and '.join(VARIANTS)}")


def environment_of(folder: Path) -> EnvironmentSpec:
    """The Python environment that an unpacked model asks for in `env.json`; raises NotAModel."""
    try:
        document = json.loads((folder / "env.json").read_text())
        return spec_of(document.get("python3::conda_pip") or {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotAModel(f"Member 'env.json' cannot be understood: {type(error).__name__}: {error}") from error
