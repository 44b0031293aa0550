"""Manifest patches: small JSON Patch files (RFC 6902) that correct a manifest without rewriting the archive."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from luml_app.packaging.errors import ArchiveError

_PATCH_NAME = re.compile(r"manifest-[^/]+\.patch\.json")


def patch_names(names: Iterable[str]) -> list[str]:
    """The manifest patches among `names`, in the order in which they apply: by the bytes of their names."""
    return sorted((name for name in names if _PATCH_NAME.fullmatch(name)), key=str.encode)


def apply_patches(document: dict[str, Any], patches: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with the patches (file name → list of operations) applied; the argument itself stays as it is.

    Only ``add`` and ``replace`` exist in manifests. Anything else raises `ArchiveError` with the name of the patch.
    """
    patched = copy.deepcopy(document)
    for name, operations in patches.items():
        try:
            for operation in operations:
                patched = _apply(patched, operation["op"], _pointer(operation["path"]), operation["value"])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ArchiveError(f"The manifest patch {name!r} does not fit the manifest: {error!r}") from error
    return patched


def _pointer(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise ValueError(f"{path!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _apply(document: Any, operation: str, pointer: list[str], value: Any) -> Any:
    if operation not in ("add", "replace"):
        raise ValueError(f"operation {operation!r} is neither 'add' nor 'replace'")
    if not pointer:
        return value
    target = document
    for part in pointer[:-1]:
        target = target[int(part)] if isinstance(target, list) else target[part]
    _set(target, operation, pointer[-1], value)
    return document


def _set(target: Any, operation: str, key: str, value: Any) -> None:
    if isinstance(target, dict):
        if operation == "replace" and key not in target:
            raise KeyError(key)
        target[key] = value
    elif operation == "replace":
        target[int(key)] = value
    else:
        target.insert(len(target) if key == "-" else int(key), value)
