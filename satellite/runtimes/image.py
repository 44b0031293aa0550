"""The build context of the model image, made in memory: the Dockerfile, the model server, and a wheelhouse if given."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from satellite import model_server

FOLDER = Path(model_server.__file__).parent
SOURCES = ("*.py", "Dockerfile")
STAGE_LABEL = "ai.luml.stage=packages"
PIP_OPTIONS = {"PIP_INDEX_URL": "index_url", "PIP_EXTRA_INDEX_URL": "extra_index_url"}  # pip takes "_" for "-"


def image_tag(name: str, base: str) -> str:
    """The tag changes with the base, the Dockerfile and the model server: an old image is never taken for a new one."""
    seen = hashlib.sha256(base.encode())
    for path in source_files():
        seen.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"{name}:{seen.hexdigest()[:12]}"


def source_files() -> list[Path]:
    """Everything that goes into the image."""
    return sorted(path for pattern in SOURCES for path in FOLDER.glob(pattern))


def pip_settings(build: Mapping[str, str]) -> str:
    """Where packages are found, as pip's configuration file; empty where this machine says nothing of it."""
    lines = [f"{option} = {' '.join(build[name].split())}" for name, option in PIP_OPTIONS.items() if build.get(name)]
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def build_context(wheelhouse: Path | None, certificate: str | None, pip: str = "") -> io.BytesIO:
    """An uncompressed tar for the engine to build from; `pip` is pip's configuration file."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for folder in ("wheelhouse", "certificates", "settings"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path in source_files():
            tar.add(path, f"model_server/{path.name}" if path.suffix == ".py" else path.name)
        for wheel in sorted(wheelhouse.glob("*.whl")) if wheelhouse else []:
            tar.add(wheel, f"wheelhouse/{wheel.name}")
        if certificate and Path(certificate).is_file():
            tar.add(Path(certificate).resolve(), "certificates/ca.crt")
        if pip:
            entry = tarfile.TarInfo("settings/pip.conf")
            entry.size, entry.mode = len(pip.encode()), 0o600
            tar.addfile(entry, io.BytesIO(pip.encode()))
    context.seek(0)
    return context
