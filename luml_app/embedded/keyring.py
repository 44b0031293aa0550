"""The secret keys of an installation: of its settings, else of its home."""

from __future__ import annotations

from luml_app.core.keys import Keys
from luml_app.core.settings import Settings
from luml_app.embedded.home import Home


def keys_of(settings: Settings) -> Keys:
    """The keys that ``LUML_SECRET_KEYS`` lists (newest first, commas between), else the home's own."""
    if settings.secret_keys:
        return Keys([key.strip() for key in settings.secret_keys.split(",") if key.strip()])
    return Keys([Home(settings.home).prepare().key("master")])
