"""The secret keys of an installation: of its settings, else of a file in its home, newest first, one a line."""

from __future__ import annotations

from collections.abc import Sequence

from luml_app.core.keys import Keys, MasterKey, new_token
from luml_app.core.settings import Settings
from luml_app.embedded.home import Home
from luml_app.schemas.errors import Conflict, NotFound

_NAME = "master"


def keys_of(settings: Settings) -> Keys:
    """The keys that ``LUML_SECRET_KEYS`` lists (newest first, commas between), else the home's own, which may change
    while they are used.
    """
    if settings.secret_keys:
        return Keys(masters_of(settings))
    file = KeyFile(Home(settings.home).prepare())
    return Keys(file.read(), reload=file.changed)


def masters_of(settings: Settings, *, make: bool = True) -> list[str]:
    """The master keys in the clear, newest first. Where there are none yet, one is made, unless `make` is false."""
    if settings.secret_keys:
        return [key.strip() for key in settings.secret_keys.split(",") if key.strip()]
    home = Home(settings.home)
    if not make and not (home.keys / _NAME).exists():
        return []
    return KeyFile(home.prepare()).read()


class KeyFile:
    """The keys in a home. Every process that uses them sees a change with its next use of a key."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._seen: tuple[int, int] | None = None

    def read(self) -> list[str]:
        """The keys, newest first; the first one is made when there is none. Raises HomeError."""
        self._home.key(_NAME)  # makes it, and looks whether it is whole
        self._seen = self._mark()
        return self._home.key(_NAME).splitlines()

    def changed(self) -> Sequence[str] | None:
        """The keys, if the file is another one than at the last look."""
        return None if self._mark() == self._seen else self.read()

    def add(self) -> str:
        """Put a new key in front of the others; its id."""
        key = new_token()
        self._home.change_key(_NAME, lambda old: "\n".join([key, *old.splitlines()]))
        return MasterKey(key).id

    def keep(self, masters: Sequence[str]) -> None:
        """Put keys of another installation before one's own."""
        file = self._home.keys / _NAME
        if not file.exists():
            self._home.write_key(file, "\n".join(masters))
        self._home.change_key(_NAME, lambda old: "\n".join(dict.fromkeys([*masters, *old.splitlines()])))

    def drop(self, key_id: str) -> None:
        """Take an old key out. Raises NotFound, and Conflict for the newest."""

        def change(old: str) -> str:
            keys = old.splitlines()
            kept = [key for key in keys if MasterKey(key).id != key_id]
            if len(kept) == len(keys):
                raise NotFound(f"There is no key {key_id!r}; `luml keys list` shows them.")
            if kept[:1] != keys[:1]:
                raise Conflict("This is the newest key; `luml keys rotate` makes a newer one first.")
            return "\n".join(kept)

        self._home.change_key(_NAME, change)

    def _mark(self) -> tuple[int, int]:
        found = (self._home.keys / _NAME).stat()
        return found.st_ino, found.st_mtime_ns
