"""What is imported for nothing is paid by everybody: told by the set of modules, not by the clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "alembic", "argon2", "bokeh", "cryptography", "docker", "fnnx", "fsspec", "holoviews", "httpx", "numpy", "pandas",
    "panel", "param", "psycopg", "pyarrow", "s3fs", "adlfs", "sklearn", "sqlalchemy", "tornado", "uvicorn",
}  # fmt: skip


def imported_by(program: str) -> set[str]:
    """The top-level packages that a program has imported in a fresh interpreter."""
    ending = "; import sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program + ending], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def cli(*arguments: str) -> str:
    return f"from luml_app.cli import luml; luml.main({list(arguments)!r}, standalone_mode=False)"


def test_importing_luml_app_imports_nothing_but_the_standard_library() -> None:
    bare = imported_by("import importlib, typing, __future__")
    assert imported_by("import luml_app") - bare == {"luml_app"}


def test_the_names_of_the_python_api_are_there() -> None:
    import luml_app

    assert set(luml_app.__all__) <= set(dir(luml_app))
    for name in luml_app.__all__:
        assert getattr(luml_app, name).__doc__
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = luml_app.nothing_of_the_kind


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("artifacts", "--help"), ("predict", "--help")])
def test_help_is_light(arguments: tuple[str, ...]) -> None:
    assert imported_by(cli(*arguments)) & HEAVY == set()


@pytest.mark.parametrize("command", ["up", "serve", "migrate", "login", "satellite", "doctor", "demo", "deploy"])
def test_the_help_of_every_command_is_light(command: str) -> None:
    assert imported_by(cli(command, "--help")) & HEAVY == set()


def test_the_client_needs_the_base_install_only() -> None:
    assert imported_by("import luml_app; luml_app.Client('http://x', 'k')") & (HEAVY - {"httpx"}) == set()
