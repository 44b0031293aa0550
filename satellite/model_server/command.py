"""What the model server's command line does. Nothing heavy is imported before it is known to be needed."""

from __future__ import annotations

import sys

from .settings import builder_arguments, builder_environment, from_arguments


def main(argv: list[str]) -> int:
    """Run the server, or what the first word says: build an `environment`, start on a `node`; returns the exit code."""
    if argv[:1] == ["environment"]:
        return provide_environment(argv[1:])
    if argv[:1] == ["node"]:
        from . import node

        return node.start(argv[1:])
    from .supervisor import Supervisor

    return Supervisor(from_arguments(argv)).run()


def provide_environment(argv: list[str]) -> int:
    """Make one environment in a folder; returns the exit code."""
    from . import environment

    spec, folder = builder_arguments(argv)
    try:
        environment.provide(environment.spec_from_json(spec), folder, builder_environment())
    except environment.BuildFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0
