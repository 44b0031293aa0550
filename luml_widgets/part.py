"""The one component of the browser: draws blocks, and reports what a person does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from luml_widgets import theme
from luml_widgets.blocks import Block

_DRAWING = Path(__file__).parent / "drawing"
OnAct = Callable[[str, Any], None]


class Part(JSComponent):
    """Draws `blocks`. A whole screen is one of these: one model in the document, however much is to be seen.

    `on_act(name, value)` is called with what a person does. `lock` is held while the part is drawn.
    """

    blocks = param.List(doc="What to draw; see `luml_widgets.blocks`.")
    layout = param.String(default="cell", doc="How much room there is: page, cell, shell-nav, shell-top.")

    _esm = (_DRAWING / "part.js").read_text()
    _stylesheets = [theme.css_variables() + (_DRAWING / "part.css").read_text()]

    def __init__(self, on_act: OnAct | None = None, **params: Any) -> None:
        params.setdefault("sizing_mode", "stretch_width")
        params.setdefault("margin", 0)
        super().__init__(**params)  # type: ignore[no-untyped-call]
        self.on_act = on_act
        # Threads draw while the event loop may be making the browser's model of this part. Without the lock a drawing
        # could fall between: after the blocks were read for the model, and before the model hears of changes.
        self.lock = threading.RLock()

    def draw(self, blocks: list[Block]) -> None:
        """Show these blocks, if they are other ones."""
        with self.lock:
            if blocks != self.blocks:
                self.blocks = blocks

    def _get_model(self, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return super()._get_model(*args, **kwargs)

    def _handle_msg(self, data: Any) -> None:
        on_act = self.on_act
        if on_act is not None and isinstance(data, dict) and isinstance(data.get("act"), str):
            in_background(lambda: on_act(data["act"], data.get("value")))


def in_background(work: Callable[[], None]) -> None:
    """Run `work` beside the event loop where there is one to be kept free (a Panel server with threads), else at once.

    In a notebook the kernel runs one thing after the other, and a cell may count on what it has started.
    """
    if _has_threads():
        pn.state.execute(work, schedule="thread")
    else:
        work()


def when_shown(work: Callable[[], None]) -> None:
    """Run `work` in the background once the page's skeleton is on the screen; in a notebook at once."""
    if _has_threads() and not pn.state.loaded:
        pn.state.onload(work, threaded=True)
    else:
        in_background(work)


def _has_threads() -> bool:
    doc = pn.state.curdoc
    return bool(doc and doc.session_context and pn.state._thread_pool)
