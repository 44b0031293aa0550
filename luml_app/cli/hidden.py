"""What nobody else may read: typed unseen by a person, or piped in by a program, never an argument."""

from __future__ import annotations

import sys

import click


def hidden(what: str, without: str) -> str:
    """A value that is asked for as `what`, or all of standard input without its last line's end.

    Raises click.UsageError with the sentence `without` when nothing is piped in.
    """
    if sys.stdin.isatty():
        typed: str = click.prompt(what, hide_input=True, confirmation_prompt=True)
        return typed
    piped = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not piped:
        raise click.UsageError(without)
    return piped
