"""What this satellite says it can do when it pairs."""

from __future__ import annotations

from typing import Any


def capabilities(runtime: str, reason: str) -> dict[str, Any]:
    """The contract's capabilities; beside its keys, where models run here (`docker`, `process`) and why there."""
    return {
        "deploy": {
            "version": 1,
            "supported_variants": ["pyfunc", "pipeline"],
            "supported_tags_combinations": [],
            "extra_fields_form_spec": [],
            "runtime": runtime,
            "runtime_reason": reason,
        }
    }
