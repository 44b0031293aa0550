"""The Python environment of a model: the packages it imports, closed over what those require, pinned as installed."""

from __future__ import annotations

import platform
import re
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from luml_app.packaging.errors import DependencyError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r""";.*\bextra\s*==\s*['"]([^'"]+)""")
# Extras for those who work on a library name everything that its tests can use.
_FOR_DEVELOPERS = re.compile(r"test|dev|doc|bench|example|build|lint|maint|typing|all$", re.IGNORECASE)


def environment(pins: Iterable[str]) -> dict[str, Any]:
    """The content of ``env.json`` for this Python and the given requirements."""
    return {
        "python3::conda_pip": {
            "python_version": platform.python_version(),
            "build_dependencies": [],
            "dependencies": [{"package": pin, "extra_pip_args": None, "condition": None} for pin in pins],
            "conda_channels": None,
        }
    }


def declared_pins(dependencies: Iterable[str]) -> list[str]:
    """Requirements that the caller gave, checked, plus fnnx as installed where they do not name it."""
    if isinstance(dependencies, str):
        raise DependencyError("dependencies must be a list of requirements such as ['scikit-learn==1.7.0'].")
    pins = [str(requirement).strip() for requirement in dependencies]
    for pin in pins:
        if not _NAME.match(pin) or not pin.isprintable():
            raise DependencyError(f"The dependency {pin!r} is not a requirement such as 'scikit-learn==1.7.0'.")
    if not any(_canonical(pin) == "fnnx" for pin in pins):
        pins.append(_pin(metadata.distribution("fnnx")))
    return pins


def pins_of_modules(modules: Mapping[str, str], named: Callable[[str], bool]) -> list[str]:
    """Pins of what a model needs among the top-level `modules` (name → file) that it imported.

    Libraries also import what just happens to be there, such as a progress bar. So a distribution counts when the
    stored model names it (`named`), when one that it names offers it as an extra (pyarrow for pandas), or when one
    that counts requires it.
    Raises `DependencyError` for a module that lives outside every installed distribution or in an editable one:
    no other machine could install that.
    """
    owners = metadata.packages_distributions()
    _refuse_homeless(modules, owners)
    imported = {_canonical(owner) for module in modules for owner in owners.get(module, ())}
    roots = {"fnnx", "numpy"} | {owner for module in modules if named(module) for owner in owners.get(module, ())}
    extras = {name for root in roots for name in _extras(root) if _canonical(name) in imported}
    found = _closure(roots | extras)
    return sorted((_pin(_published(name)) + _marker(ways) for name, ways in found.items()), key=str.lower)


def modules_outside(pins: Iterable[str]) -> frozenset[str]:
    """Top-level modules that are installed here, and not where only `pins` and what they require are.

    None where something of `pins` is not installed here: what that brings is not known.
    """
    pins = list(pins)
    if not all(_is_installed(_name_in(pin)) for pin in pins):
        return frozenset()
    names = {_name_in(pin) for pin in pins}
    extras = {name for pin in pins if "[" in pin for name in _extras(_name_in(pin)) if _is_installed(name)}
    there = {_canonical(name) for name in _closure(names | extras)}
    owners = metadata.packages_distributions()
    return frozenset(module for module, names in owners.items() if there.isdisjoint(map(_canonical, names)))


def _refuse_homeless(modules: Mapping[str, str], owners: Mapping[str, list[str]]) -> None:
    for module, file in modules.items():
        if module not in owners and file and not _is_of_python(file):
            raise DependencyError(
                f"The model imports {module!r}, which belongs to no installed package, so no other machine has it; "
                "install it as a package, or pass the function itself so that its source is stored."
            )


# The ways in which a distribution comes in: each a set of markers that must hold together, the empty one always.
_Ways = set[frozenset[str]]


def _closure(names: Iterable[str]) -> dict[str, _Ways]:
    """Installed distributions that `names` require, with themselves, and under which markers."""
    spelled = {_canonical(name): name for name in names}
    found: dict[str, _Ways] = {name: {frozenset()} for name in spelled}
    waiting = list(found)
    while waiting:
        parent = waiting.pop()
        for wanted, marker in _requirements(spelled[parent]):
            child = _canonical(wanted)
            spelled.setdefault(child, wanted)
            ways = _shortest(found.get(child, set()) | {way | ({marker} if marker else set()) for way in found[parent]})
            if ways != found.get(child):
                found[child] = ways
                waiting.append(child)
    return {spelled[name]: ways for name, ways in found.items()}


def _shortest(ways: _Ways) -> _Ways:
    """Without those that ask for all that another asks for, and more."""
    return {way for way in ways if not any(other < way for other in ways)}


def _marker(ways: _Ways) -> str:
    """The end of a requirement that is wanted under these markers only, such as on one system."""
    if frozenset() in ways:
        return ""
    return "; " + " or ".join(sorted(" and ".join(f"({marker})" for marker in sorted(way)) for way in ways))


def _requirements(name: str) -> list[tuple[str, str]]:
    """Installed distributions that `name` requires without extras, each with its marker.

    Markers are not evaluated: what is not meant for this platform is not installed here either.
    """
    lines = [line for line in metadata.requires(name) or [] if not _EXTRA.search(line)]
    wanted = [(_name_in(line), line.partition(";")[2].strip()) for line in lines]
    return [(name, marker) for name, marker in wanted if _is_installed(name)]


def _extras(name: str) -> list[str]:
    """Names of the distributions that the users' extras of `name` require."""
    extras = [(line, _EXTRA.search(line)) for line in metadata.requires(name) or []]
    return [_name_in(line) for line, extra in extras if extra and not _FOR_DEVELOPERS.match(extra.group(1))]


def _name_in(requirement: str) -> str:
    match = _NAME.match(requirement)
    return match.group() if match else ""


def _is_installed(name: str) -> bool:
    try:
        return bool(name) and metadata.distribution(name) is not None
    except metadata.PackageNotFoundError:
        return False


def _published(name: str) -> metadata.Distribution:
    distribution = metadata.distribution(name)
    source = distribution.read_text("direct_url.json")
    if source and msgspec.json.decode(source).get("dir_info", {}).get("editable"):
        raise DependencyError(
            f"The model imports the package {name!r}, which is installed in editable mode, so its version says nothing "
            "about its code; name what another machine shall install with dependencies=[…]."
        )
    return distribution


def _pin(distribution: metadata.Distribution) -> str:
    # A local version such as 2.4.0+cpu is on no index; the public part is what can be installed elsewhere.
    return f"{distribution.metadata['Name']}=={distribution.version.split('+', 1)[0]}"


def _canonical(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", _name_in(requirement)).lower()


def _is_of_python(file: str) -> bool:
    """Whether a file without an owner belongs to Python itself or to the inside of an installed package."""
    in_packages = not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
    return in_packages or Path(file).is_relative_to(sysconfig.get_path("stdlib"))
