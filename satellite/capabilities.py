"""What this satellite says it can do when it pairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from satellite.bundle import VARIANTS
from satellite.parameters import Parameter


def capabilities(runtime: str, reason: str, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The contract's capabilities; beside its keys, where models run here (`docker`, `process`) and why there."""
    return {
        "deploy": {
            "version": 1,
            "supported_variants": list(VARIANTS),
            # Not an empty list, which some clients read as: none.
            "supported_tags_combinations": None,
            "extra_fields_form_spec": [parameter.form() for parameter in parameters],
            "runtime": runtime,
            "runtime_reason": reason,
            "rollouts": 1,
        },
    }
