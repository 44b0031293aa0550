"""What a run was made with: the code, the packages, the cells of the notebook. Nothing here is worth an error."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_LARGEST_DIFF = 1_000_000
_GIT_SECONDS = 20


def git_state(folder: Path) -> dict[str, Any]:
    """Commit, branch, whether there are changes, and where it was cloned from; nothing outside of a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    return {
        "commit": commit,
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no")),
        "remote": _without_credentials(_git(folder, "config", "--get", "remote.origin.url") or ""),
    }


def git_diff(folder: Path) -> bytes | None:
    """What the working copy has changed since the commit; None for nothing, and for more than a megabyte."""
    diff = _git(folder, "diff", "HEAD", "--no-color", "--no-ext-diff")
    content = diff.encode() if diff else b""
    return content + b"\n" if 0 < len(content) <= _LARGEST_DIFF else None


def packages() -> bytes:
    """The installed packages, as ``name==version`` lines that pip understands."""
    found = {(one.metadata["Name"] or "", one.version) for one in distributions()}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found) if name).encode()


def machine() -> dict[str, Any]:
    """Python, system and the script that runs. Its arguments are left out: they may hold passwords."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "host": platform.node(),
        "script": Path(sys.argv[0]).name if sys.argv and sys.argv[0] else None,
    }


def notebook_cells(since: int) -> bytes | None:
    """The cells that a notebook has executed from the number `since` on, as a Python file; None outside of one."""
    cells = _history()[since:]
    text = "\n\n".join(f"# In [{number}]\n{source.rstrip()}" for number, source in enumerate(cells, since) if source)
    return f"{text}\n".encode() if text else None


def executed_cells() -> int:
    """The number of the cell that runs now; 0 outside of a notebook."""
    return max(len(_history()) - 1, 0)


def _history() -> list[str]:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return [str(cell) for cell in shell.user_ns.get("In", [])] if shell is not None else []


def _git(folder: Path, *arguments: str) -> str | None:
    # Without the locks of an index that is refreshed: the run looks, and is in nobody's way.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
        place = parts.hostname and parts.hostname + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return ""
    return urlunsplit(parts._replace(netloc=place, query="")) if parts.scheme and place else url


def attachments_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files that say what the run was made with, but for the notebook's cells."""
    yield "surroundings/packages.txt", packages()
    if diff := git_diff(folder):
        yield "surroundings/changes.diff", diff
