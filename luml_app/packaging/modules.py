"""Modules of the author's own: those that no other machine has, so that a model has to carry them."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

from luml_app.packaging.errors import SourceError


def is_own(module: str) -> bool:
    """Whether `module` is a source file of the author's: not the standard library, not an installed package."""
    return _own_file(module) is not None


def own_modules(module: str) -> dict[str, bytes]:
    """Sources of `module` and of every own module that it imports: path on the import path → content."""
    sources: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _own_file(name)
        if file is None or _stored_path(name, file) in sources:
            continue
        sources[_stored_path(name, file)] = file.read_bytes()
        waiting.extend(_imports(name, file))
    return sources


def imported_by(source: str) -> set[str]:
    """Top-level names of the modules that a source text imports anywhere in it."""
    return {name.split(".")[0] for name in _imported_names(ast.parse(source), package="") if name}


def _own_file(module: str) -> Path | None:
    if module == "__main__" or module.partition(".")[0] in sys.stdlib_module_names:
        return None
    spec = _spec(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    file = Path(spec.origin)
    installed = not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
    return None if installed or not file.exists() else file


def _spec(module: str) -> ModuleSpec | None:
    loaded = sys.modules.get(module)
    if loaded is not None:
        return getattr(loaded, "__spec__", None)
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None


def _stored_path(module: str, file: Path) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if file.name == "__init__.py" else f"{path}.py"


def _imports(module: str, file: Path) -> set[str]:
    """Modules that a module may import, its parent packages included: they run first."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise SourceError(f"The module {module!r} cannot be parsed: {error}.") from error
    names = {module, *_imported_names(tree, package)}
    return {prefix for name in names for prefix in _prefixes(name)} - {module}


def _imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
