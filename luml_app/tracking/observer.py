"""A second thread of a run: it looks at what the run was made with, then at the machine, every few seconds."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luml_app.tracking.surroundings import attachments_of, git_state, machine

if TYPE_CHECKING:
    from luml_app.tracking.run import Run

_GPU_FIELDS = ("utilization.gpu", "memory.used", "memory.total", "power.draw", "temperature.gpu")
_GPU_SECONDS = 10


class Observer:
    """Logs to `run`: its surroundings once, and the machine every `seconds` (0: never)."""

    def __init__(self, run: Run, *, surroundings: bool, seconds: float) -> None:
        self._run, self._surroundings, self._seconds = run, surroundings, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="luml-run-observer", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 30.0) -> None:
        """End it; what it is about to log is logged."""
        self._ended.set()
        self._thread.join(timeout)

    def _work(self) -> None:
        if self._surroundings:
            self._log_surroundings(Path.cwd())
        sample = _sampler() if self._seconds else None
        while sample is not None and not self._ended.wait(self._seconds):
            self._run.log(sample())

    def _log_surroundings(self, folder: Path) -> None:
        git = git_state(folder)
        known = {f"git_{name}": git[name] for name in ("commit", "branch", "dirty") if git.get(name) is not None}
        self._run.log_params(known)
        self._run.attach({**machine(), "git": git or None}, "surroundings/machine.json")
        for name, content in attachments_of(folder):
            self._run.attach(content, name)


def _sampler() -> Callable[[], dict[str, float]]:
    """A function that measures the machine now: percent, bytes, watts, degrees Celsius."""
    gpus = shutil.which("nvidia-smi")
    processor = _processor() if find_spec("psutil") else None
    return lambda: {**(processor() if processor else {}), **(_gpus(gpus) if gpus else {})}


def _processor() -> Callable[[], dict[str, float]]:
    import psutil

    process: Any = psutil.Process()
    psutil.cpu_percent(), process.cpu_percent()  # percentages are of the time since the last call

    def measure() -> dict[str, float]:
        memory = psutil.virtual_memory()
        return {
            "system/cpu_percent": psutil.cpu_percent(),
            "system/memory_percent": memory.percent,
            "system/process_cpu_percent": process.cpu_percent(),
            "system/process_memory_bytes": process.memory_info().rss,
        }

    return measure


def _gpus(command: str) -> dict[str, float]:
    asked = [command, f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_GPU_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, float] = {}
    for number, line in enumerate(done.stdout.splitlines() if done.returncode == 0 else []):
        for field, value in zip(_GPU_FIELDS, line.split(","), strict=False):
            if value.strip().replace(".", "", 1).isdigit():  # "[N/A]" where a card does not tell
                found[f"system/gpu{number}_{field.replace('.', '_')}"] = float(value)
    return found
