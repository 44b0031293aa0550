"""A model's own Python environment: what it asks for, whether this interpreter has it, and building it with uv.

Runs in two places: in the satellite for the process runtime, and in a one-shot container of the model image.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement

from .files import write_whole

# What the model server imports itself; the model's own pins of the same packages win.
SERVER_REQUIREMENTS = (
    "fnnx",
    "httptools",
    "msgspec",
    "numpy",
    # Only where it comes ready-built: it makes large requests faster, and nothing else.
    "pysimdjson>=7; python_version < '3.14' and (sys_platform == 'linux' or sys_platform == 'darwin')",
    "uvloop; sys_platform != 'win32'",
)
# Of a dependency's `extra_pip_args` only where to look is obeyed.
LONG_INDEX_OPTIONS = ("index_url", "extra_index_url", "find_links")
INDEX_OPTIONS = {"-i", "-f", *("--" + name.replace("_", "-") for name in LONG_INDEX_OPTIONS)}
# uv does not read pip's variables.
UV_NAMES = {"PIP_INDEX_URL": "UV_INDEX_URL", "PIP_EXTRA_INDEX_URL": "UV_EXTRA_INDEX_URL", "PIP_CERT": "SSL_CERT_FILE"}
MARKER = "complete.json"
ERROR_LINES = 15


class BuildFailed(Exception):  # noqa: N818
    """The environment cannot be built; the message holds the last lines of the builder."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """A Python version (`3.11`), pip requirements and index options."""

    python: str
    requirements: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same environment on the same kind of machine: sixteen hex digits."""
        identity = [asdict(self), SERVER_REQUIREMENTS, sys.platform, platform.machine()]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """For handing it to a builder in a container."""
        return json.dumps(asdict(self))


def spec_from_json(text: str) -> EnvironmentSpec:
    """The other end of `to_json`."""
    raw = json.loads(text)
    return EnvironmentSpec(raw["python"], tuple(raw["requirements"]), tuple(raw["options"]))


def spec_of(conda_pip: dict[str, Any]) -> EnvironmentSpec:
    """Read a model's `python3::conda_pip`; what is not for this system, machine or accelerator is left out."""
    version = re.match(r"\D*(\d+\.\d+)", str(conda_pip.get("python_version", "")))
    wanted = [dep for dep in conda_pip.get("dependencies") or [] if applies(dep.get("condition") or {})]
    options: list[str] = []
    for dependency in wanted:
        options += index_options(dependency.get("extra_pip_args") or "")
    return EnvironmentSpec(
        python=version.group(1) if version else running_python(),
        requirements=tuple(sorted({dep["package"] for dep in wanted})),
        options=tuple(options),
    )


def applies(condition: dict[str, Any]) -> bool:
    """Whether a dependency's condition holds here."""
    here = {"os": platform.system().lower(), "platform": platform.machine().lower(), "accelerator": "cpu"}
    return all(
        not condition.get(name) or value in [str(item).lower() for item in condition[name]]
        for name, value in here.items()
    )


def index_options(arguments: str) -> list[str]:
    """The options that say where packages are found; everything else is dropped."""
    words = [part for word in shlex.split(arguments) for part in word.split("=", 1)]
    pairs = itertools.pairwise(words)
    return [item for name, value in pairs if name in INDEX_OPTIONS for item in (name, value)]


def running_python() -> str:
    """Major and minor version of this interpreter."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def unmet(spec: EnvironmentSpec) -> str | None:
    """The first thing that this interpreter lacks of an environment, or None when it can be used as it is."""
    if spec.python != running_python():
        return f"Python {spec.python}"
    for text in (*spec.requirements, *SERVER_REQUIREMENTS):
        try:
            lacking = unmet_requirement(Requirement(text), set())
        except InvalidRequirement:
            return text
        if lacking:
            return lacking
    return None


def unmet_requirement(requirement: Requirement, seen: set[str]) -> str | None:
    """What of a requirement, or of the extras it names, is not installed here."""
    if str(requirement) in seen or (requirement.marker and not requirement.marker.evaluate()):
        return None
    seen.add(str(requirement))
    try:
        found = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return str(requirement)
    if requirement.url or not requirement.specifier.contains(found.version, prereleases=True):
        return str(requirement)
    for needed in required_by_extras(found, requirement.extras):
        if lacking := unmet_requirement(needed, seen):
            return lacking
    return None


def required_by_extras(found: importlib.metadata.Distribution, extras: set[str]) -> list[Requirement]:
    """The requirements that come in only through extras."""
    needed = []
    for requirement in map(Requirement, found.requires or []):
        marker, requirement.marker = requirement.marker, None
        if marker and any(holds_with(marker, extra) for extra in extras) and not holds_with(marker, ""):
            needed.append(requirement)
    return needed


def holds_with(marker: Any, extra: str) -> bool:
    """Whether a marker holds here when an extra is asked for."""
    return bool(marker.evaluate({**default_environment(), "extra": extra}))


def build(spec: EnvironmentSpec, folder: Path, uv: str, environment: Mapping[str, str]) -> None:
    """Build the environment in `folder`, whose marker is written when all is there; without it, nothing is used.

    `environment` is what uv sees: index settings, proxies and certificates. Raises BuildFailed with the end of uv's
    own words.
    """
    empty(folder)
    python = sys.executable if spec.python == running_python() else spec.python
    inside = str(folder / "venv" / "bin" / "python")
    requirements = [*spec.requirements, *SERVER_REQUIREMENTS]
    try:
        run_uv([uv, "venv", "--quiet", "--python", python, str(folder / "venv")], environment)
        # Replicas may not write into it, so what is not compiled now is compiled at each of their starts.
        options = ["--quiet", "--compile-bytecode", "--python", inside, *spec.options]
        run_uv([uv, "pip", "install", *options, "--", *requirements], environment)
    except BaseException:
        empty(folder)
        raise
    mark(folder, inside)


def empty(folder: Path) -> None:
    """Have an empty folder. It stays itself: in a container it is a mount, which cannot be removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.iterdir():
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def run_uv(command: list[str], environment: Mapping[str, str]) -> None:
    """One step of the builder."""
    done = subprocess.run(command, env=for_uv(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise BuildFailed("\n".join(words[-ERROR_LINES:]))


def for_uv(environment: Mapping[str, str]) -> dict[str, str]:
    """pip's settings under the names that uv knows, where it has not been told otherwise."""
    known = {uv: environment[pip] for pip, uv in UV_NAMES.items() if environment.get(pip)}
    return {**known, **environment}


def mark(folder: Path, python: str) -> None:
    """Say that an environment is complete, and which interpreter it is used through."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / MARKER, json.dumps({"python": python}))


def python_of(folder: Path) -> str | None:
    """The interpreter of a complete environment; None where there is none."""
    try:
        return str(json.loads((folder / MARKER).read_text())["python"])
    except (OSError, ValueError, KeyError):
        return None


def provide(spec: EnvironmentSpec, folder: Path, environment: Mapping[str, str]) -> None:
    """Make `folder` a complete environment, pointing at this interpreter where that has everything already."""
    if unmet(spec) is None:
        mark(folder, sys.executable)
    else:
        build(spec, folder, find_uv(), environment)


def find_uv() -> str:
    """The uv executable: of the `uv` package if installed, else of the PATH."""
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        if found := shutil.which("uv"):
            return found
    raise BuildFailed("uv is not installed here, so no environment can be built: pip install uv")
