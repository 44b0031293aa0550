"""What all widgets share: a store that loads data, and a viewer that draws the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import panel as pn
import param

from luml_app.schemas.errors import LumlError, Unauthenticated
from luml_widgets import blocks as b
from luml_widgets.blocks import Block
from luml_widgets.part import Part, in_background, when_shown
from luml_widgets.places import Places

log = logging.getLogger(__name__)


class Store(param.Parameterized):
    """Data and choices without any widget. Subclasses say in `fetch` how to get what they hold.

    `fetch` returns the params to set. It may run in any thread; when two run at once, the one that was asked for
    last wins, and the other's answer is dropped.
    """

    loading = param.Boolean(default=False, doc="Whether an answer is being waited for.")
    loaded = param.Boolean(default=False, doc="Whether there has been an answer.")
    error = param.ClassSelector(class_=Exception, doc="Why the last attempt failed.")

    def __init__(self, api: Any, organization_id: Any, orbit_id: Any, **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]
        self.api = api
        self.organization_id, self.orbit_id = str(organization_id), str(orbit_id)
        self._ticket = 0
        self._lock = threading.Lock()

    @property
    def ids(self) -> tuple[str, str]:
        """Organization and orbit, as most calls want them."""
        return self.organization_id, self.orbit_id

    def fetch(self) -> dict[str, Any]:
        """Ask the api; the params to set."""
        raise NotImplementedError

    def load(self) -> None:
        """Fetch, and set what has come; an error of the registry becomes `error`."""
        with self._lock:
            self._ticket += 1
            ticket = self._ticket
        self.loading = True
        try:
            answer = {**self.fetch(), "error": None, "loaded": True}
        except LumlError as error:
            answer = {"error": error}
        except Exception as error:
            # A fault of ours must not leave a person in front of a sketch for ever.
            log.exception("Loading %s failed", type(self).__name__)
            answer = {"error": error}
        if ticket == self._ticket:
            self.param.update(**answer, loading=False)


StoreT = TypeVar("StoreT", bound=Store)


class Board(pn.viewable.Viewer, Generic[StoreT]):
    """Draws a store as blocks, and gives what a person does to the method ``do_<act>``.

    The same object is shown in the dashboard and in a notebook.
    """

    object_prefixes: ClassVar[tuple[str, ...]] = ()
    """Actions of notices (see `luml_app.core.events`) that make this board look again."""

    def __init__(self, store: StoreT, places: Places | None = None, **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]
        self.store: StoreT = store
        self.places = places or Places.of(store.api, store.orbit_id)
        self.heads = False
        self._part = Part(on_act=self.act)
        self.message: Block | None = None
        self._started = self._ended = False
        store.param.watch(lambda *_: self.redraw(), [name for name in store.param if name != "name"])

    @property
    def title(self) -> str:
        """The real name of what is shown, once it is known."""
        return ""

    def take(self, part: Part) -> None:
        """Be the whole page of the dashboard, with a title of its own, drawn into a part that is there already."""
        self.heads = True
        self._part = part
        with part.lock:
            part.on_act = self.act
        self.start()

    def end(self) -> None:
        """Draw no more: another screen has taken the part."""
        with self._part.lock:
            self._ended = True

    def __panel__(self) -> Any:
        self.start()
        return self._part

    def start(self) -> None:
        """Begin to load, once."""
        if not self._started:
            self._started = True
            self.redraw()
            when_shown(self.store.load)

    def refresh(self) -> None:
        """Load again, in the background where there is one."""
        in_background(self.store.load)

    def redraw(self) -> None:
        """Draw the store as it is now."""
        with self._part.lock:
            if not self._ended:
                self._part.draw(self.screen())

    def screen(self) -> list[Block]:
        """Everything to be seen: the content, or a sketch of it, and above it what went wrong."""
        above = [self._failure(self.store.error)] if self.store.error is not None else []
        above += [self.message] if self.message else []
        head = self.head() if self.heads else []
        if not self.store.loaded:
            return [*head, *(above or self.sketch())]
        return [*head, *above, *self.content()]

    def head(self) -> list[Block]:
        """The page's head, where this is a page of its own."""
        return []

    def sketch(self) -> list[Block]:
        """What is shown while the first answer is on its way."""
        return [b.skeleton()]

    def content(self) -> list[Block]:
        """The blocks of what the store holds."""
        raise NotImplementedError

    def act(self, name: str, value: Any) -> None:
        """Do what a person asks for; an error of the registry is shown above the content."""
        handler: Callable[[Any], None] | None = getattr(self, f"do_{name}", None)
        if handler is None:
            return
        self.message = None
        try:
            handler(value)
        except LumlError as error:
            if isinstance(error, Unauthenticated):
                self.store.error = error
            self.message = b.notice("That did not work.", error.message, act=b.action("Dismiss", "dismiss"))
        self.redraw()

    def do_retry(self, _value: Any) -> None:
        """Load again after an error."""
        self.store.load()

    def do_dismiss(self, _value: Any) -> None:
        """Take the message away."""

    @staticmethod
    def _failure(error: Exception) -> Block:
        retry = b.action("Try again", "retry")
        if isinstance(error, Unauthenticated):
            return b.notice("You are signed out.", "Sign in again, or give a valid API key.", act=retry)
        if isinstance(error, LumlError):
            return b.notice("This could not be loaded.", error.message, act=retry)
        return b.notice("This could not be shown.", "The program has a fault here; the log says more.", act=retry)

    def confirm(self, question: str, label: str, act: str, value: Any = None) -> None:
        """Ask before something that cannot be undone."""
        button = b.action(label, act, value, tone="bad")
        self.message = b.notice("Are you sure?", question, tone="warn", act=button)

    def tell(self, title: str, text: str = "", act: Block | None = None) -> None:
        """Say that something has been done."""
        self.message = b.notice(title, text, tone="good", act=act)
