"""The command line: `luml …`, one module per noun, each imported when its command is called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from luml_app.cli.output import printable
from luml_app.schemas.errors import LumlError

# name: (where it is, what `luml --help` says). The help stands here so that listing commands imports none of them.
COMMANDS = {
    "up": ("luml_app.cli.up:up", "Start everything on this machine: database, server, satellite."),
    "serve": ("luml_app.cli.serve:serve", "Run the server alone."),
    "migrate": ("luml_app.cli.serve:migrate", "Bring the database to this version's schema."),
    "users": ("luml_app.cli.users:users", "Make accounts without a sign-up."),
    "limits": ("luml_app.cli.limits:limits", "Show or set an organization's limits."),
    "backup": ("luml_app.cli.backups:backup", "Write database and built-in store into one file."),
    "restore": ("luml_app.cli.backups:restore", "Bring a backup into an empty installation."),
    "gc": ("luml_app.cli.gc:gc", "Free what nothing needs any more."),
    "login": ("luml_app.cli.login:login", "Sign in to a server and keep an API key for it."),
    "whoami": ("luml_app.cli.login:whoami", "Show who you are, and where."),
    "api-keys": ("luml_app.cli.api_keys:api_keys", "List, create and delete your API keys."),
    "sessions": ("luml_app.cli.sessions:sessions", "List where you are signed in, and sign out there."),
    "organizations": ("luml_app.cli.places:organizations", "List and delete organizations."),
    "orbits": ("luml_app.cli.places:orbits", "List and delete orbits."),
    "collections": ("luml_app.cli.places:collections", "List and delete collections."),
    "artifacts": ("luml_app.cli.artifacts:artifacts", "List, show, push, pull and remove artifacts."),
    "runs": ("luml_app.cli.runs:runs", "List the training runs that are kept on this machine."),
    "sync": ("luml_app.cli.runs:sync", "Send the training runs that wait on this machine."),
    "search": ("luml_app.cli.search:search", "Find things in all orbits of an organization."),
    "buckets": ("luml_app.cli.buckets:buckets", "List, add, probe and remove buckets."),
    "events": ("luml_app.cli.events:events", "List, export and follow the audit log."),
    "webhooks": ("luml_app.cli.webhooks:webhooks", "Send events to addresses of your choice."),
    "deploy": ("luml_app.cli.deployments:deploy", "Deploy a model."),
    "deployments": ("luml_app.cli.rollouts:deployments", "List deployments, roll out changes, go back."),
    "predict": ("luml_app.cli.deployments:predict", "Call a deployed model."),
    "logs": ("luml_app.cli.logs:logs", "Show what a deployed model prints."),
    "requests": ("luml_app.cli.logs:requests", "Show what a deployed model was asked and has answered."),
    "members": ("luml_app.cli.members:members", "List people, give them roles, remove them."),
    "invites": ("luml_app.cli.invites:invites", "Invite people, and answer invitations."),
    "service-accounts": (
        "luml_app.cli.service_accounts:service_accounts",
        "Make users for programs, and their API keys.",
    ),
    "secrets": ("luml_app.cli.secrets:secrets", "Keep secrets for deployments."),
    "satellite": ("luml_app.cli.satellite:satellite", "Run a satellite."),
    "keys": ("luml_app.cli.keys:keys", "List, make, replace and retire the secret keys."),
    "doctor": ("luml_app.cli.doctor:doctor", "Check this installation and say what to mend."),
    "demo": ("luml_app.cli.up:demo", "Train, store, deploy and call a small model."),
}


_OURS = {"luml_app", "luml_widgets", "satellite", "migrations"}


class Commands(click.Group):
    """The commands of the table, imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of `luml --help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


@click.group(cls=Commands)
@click.version_option(package_name="luml", prog_name="luml")
def luml() -> None:
    """Keep, compare, deploy and watch machine-learning models."""


def main(arguments: list[str] | None = None) -> Any:
    """Run `luml`; an error is one sentence on standard error, and exit code 1 (2 for a wrong call, 130 for Ctrl-C)."""
    try:
        sys.exit(luml.main(args=arguments, prog_name="luml", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except LumlError as error:
        _refuse(error.message)
    except ModuleNotFoundError as error:
        if (error.name or "luml").partition(".")[0] in _OURS:
            raise
        _refuse(f"{error.name} is not installed: install everything with `pip install 'luml[all]'`.")
    except OSError as error:  # a file or folder that was named by the caller
        place = f": {error.filename}" if error.filename else ""
        _refuse(f"{error.strerror or error}{place}")


def _refuse(sentence: str) -> NoReturn:
    click.echo(f"luml: {printable(sentence)}", err=True)
    sys.exit(1)
