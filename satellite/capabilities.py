"""What this satellite says it can do when it pairs."""

from __future__ import annotations

from typing import Any

CAPABILITIES: dict[str, Any] = {
    "deploy": {
        "version": 1,
        "supported_variants": ["pyfunc", "pipeline"],
        "supported_tags_combinations": [],
        "extra_fields_form_spec": [],
    }
}
