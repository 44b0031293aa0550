"""What of the environment the widgets set: where Panel's JavaScript comes from."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

CDN_ROOT = "PANEL_CDN_ROOT"


def serve_javascript_from(root: str, environment: MutableMapping[str, str] | None = None) -> bool:
    """Let Panel load its JavaScript from `root`, unless somebody has said otherwise; whether it comes from there.

    Panel reads the variable when it is imported, once: afterwards nothing can be changed any more.
    """
    environment = os.environ if environment is None else environment
    if "panel" not in sys.modules:
        environment.setdefault(CDN_ROOT, root)
    return environment.get(CDN_ROOT) == root


def chosen_by_user(environment: MutableMapping[str, str] | None = None) -> bool:
    """Whether the user has chosen a place for Panel's JavaScript."""
    environment = os.environ if environment is None else environment
    return CDN_ROOT in environment
