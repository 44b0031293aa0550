"""Who may import whom, what an import may bring along, and that what is generated is fresh."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {
    "sqlalchemy", "tornado", "panel", "param", "bokeh", "alembic", "psycopg", "pandas", "numpy", "sklearn", "fsspec",
    "httpx", "msgspec", "uvicorn", "docker", "cryptography", "argon2", "prometheus_client",
}  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def loaded_by(statement: str) -> set[str]:
    done = run("-c", f"{statement}; import sys; print('\\n'.join(sys.modules))")
    assert done.returncode == 0, done.stderr
    return {line.partition(".")[0] for line in done.stdout.splitlines()}


def test_importing_luml_app_is_light() -> None:
    assert not loaded_by("import luml_app") & HEAVY


def test_the_client_brings_nothing_of_the_server() -> None:
    allowed = {"httpx", "msgspec", "fsspec"}
    assert not loaded_by("from luml_app.client.http import Client") & (HEAVY - allowed)


def test_nothing_connects_at_import_time() -> None:
    done = run("-c", "import socket; socket.socket.connect = None; import luml_app.web.house, luml_app.web.rest")
    assert done.returncode == 0, done.stderr


def test_the_arrows_of_the_architecture() -> None:
    done = run("-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())")
    assert done.returncode == 0, done.stdout[-4000:]


def reads_the_environment(file: Path) -> bool:
    names = {"environ", "getenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names and getattr(node.value, "id", "") == "os")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {one.name for one in node.names})
        for node in ast.walk(ast.parse(file.read_text()))
    )


def test_the_environment_is_read_in_settings_only() -> None:
    packages = ("luml_app", "luml_widgets", "satellite")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py") if file.name != "settings.py"]
    # What is stored within a model runs in the model's own process, where some libraries listen to nothing else.
    files = [file for file in files if "pyfuncs" not in file.parts]
    assert [str(file.relative_to(ROOT)) for file in files if reads_the_environment(file)] == []


def test_the_generated_clients_are_fresh() -> None:
    done = run("-m", "luml_app.web.clients", "--check")
    assert done.returncode == 0, done.stdout
