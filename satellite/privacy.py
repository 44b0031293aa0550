"""Keeps what a process knows from others of the same user, as far as the system can."""

from __future__ import annotations

import ctypes
import sys

PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """Let no other process of this user read this one's memory and environment, where the satellite's key is.

    Models in processes run as the same user. Only Linux can be asked for it, and nothing is kept from root.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
