"""Screens that follow the registry: what others change is seen without asking."""

from __future__ import annotations

import asyncio
from typing import Any

import panel as pn
from panel.io.state import set_curdoc

from luml_app.dashboard.shell import Shell

QUIET_SECONDS = 0.4


def follow(hub: Any, shell: Shell, document: Any) -> None:
    """Refresh the shell's screen after notices about what it shows, until the session ends.

    Notices come on the event loop. A burst of them is one refresh: the first waits a moment for the others.
    """
    waiting: list[asyncio.TimerHandle] = []

    def refresh() -> None:
        waiting.clear()
        if shell.board is not None and document.session_context is not None:
            with set_curdoc(document):
                pn.state.execute(shell.board.store.load, schedule="thread")

    def hear(notice: Any) -> None:
        if not waiting and _concerns(notice, shell):
            waiting.append(asyncio.get_running_loop().call_later(QUIET_SECONDS, refresh))

    stop = hub.subscribe(hear)

    def end(_context: Any) -> None:
        stop()
        for timer in waiting:
            timer.cancel()

    pn.state.on_session_destroyed(end)


def _concerns(notice: Any, shell: Shell) -> bool:
    board = shell.board
    if board is None or not board.store.loaded:
        return False
    if not notice.action:  # something may have been missed
        return True
    here = notice.orbit_id is None or str(notice.orbit_id) == board.store.orbit_id
    return here and str(notice.action).startswith(board.object_prefixes or ("\0",))
