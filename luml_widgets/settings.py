"""What of the environment the widgets set: where Panel's JavaScript comes from."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

CDN_ROOT = "PANEL_CDN_ROOT"


def serve_javascript_from(root: str, environment: MutableMapping[str, str] | None = None) -> None:
    """Let Panel load what it needs from `root`, unless somebody has said otherwise.

    Panel reads the variable when it is imported, once: afterwards nothing can be changed any more.
    """
    environment = os.environ if environment is None else environment
    if "panel" not in sys.modules:
        environment.setdefault(CDN_ROOT, root)
