"""What other processes run; it imports little, so that they start soon."""

from __future__ import annotations

from luml_app.tracking import Run


def log_much(run: Run, number: int) -> None:
    for step in range(1000):
        run.log({"shared": float(step), f"own/{number}": float(step)})
