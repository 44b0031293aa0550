"""The satellite's verbs beside `run`: they find a running satellite by its data folder, and print what they did."""

from __future__ import annotations

import argparse
import sys

import msgspec

from satellite.control import DataFolder, Status
from satellite.settings import data_folder

NOT_RUNNING = 3
STOP_SECONDS = 120.0
DRAIN_SECONDS = 600.0
SIGNS = {"ok": "ok  ", "note": "note", "fail": "FAIL"}


def parser() -> argparse.ArgumentParser:
    """All verbs with their options."""
    made = argparse.ArgumentParser(prog="satellite", description="Run the deployments of one orbit on this machine")
    verbs = made.add_subparsers(dest="verb", metavar="VERB")
    verbs.add_parser("run", help="run until Ctrl-C (what happens without a verb)")
    drain = verbs.add_parser("drain", help="begin nothing new, and go on serving")
    drain.add_argument("--off", action="store_true", help="begin new work again")
    drain.add_argument("--wait", type=float, default=DRAIN_SECONDS, metavar="SECONDS", help="for the work in hand")
    stop = verbs.add_parser("stop", help="stop the running satellite")
    stop.add_argument("--wait", type=float, default=STOP_SECONDS, metavar="SECONDS", help="until it has stopped")
    for name, meaning in (("status", "what runs here"), ("doctor", "what works here, and what to do about the rest")):
        verbs.add_parser(name, help=meaning).add_argument("--json", action="store_true", help="for programs")
    return made


def perform(options: argparse.Namespace) -> int:
    """Do what was asked for; returns the exit code. Raises NotRunning."""
    verbs = {"drain": drain, "stop": stop, "status": status, "doctor": doctor}
    return verbs[options.verb](options)


def drain(options: argparse.Namespace) -> int:
    """Exit code 1 when work is still in hand after the wait."""
    data = DataFolder(data_folder())
    data.drain(not options.off)
    if options.off:
        print("The satellite begins new work again.")
        return 0
    print("The satellite begins nothing new; what serves goes on. `satellite drain --off` takes this back.")
    if data.wait_until_idle(options.wait):
        return 0
    print(f"{data.working_on()} jobs are still in hand.", file=sys.stderr)
    return 1


def stop(options: argparse.Namespace) -> int:
    """Exit code 1 when it still runs after the wait."""
    if DataFolder(data_folder()).stop(options.wait):
        print("The satellite has stopped.")
        return 0
    print(f"The satellite still runs after {options.wait:g} s.", file=sys.stderr)
    return 1


def status(options: argparse.Namespace) -> int:
    """Exit code 3 when no satellite runs."""
    found = DataFolder(data_folder()).status()
    print(msgspec.json.format(msgspec.json.encode(found)).decode() if options.json else in_words(found))
    return 0 if found.running else NOT_RUNNING


def in_words(found: Status) -> str:
    """A status for people."""
    running = found.running
    if running is None:
        lines = [f"No satellite is running in {data_folder()}."]
    else:
        lines = [
            f"Running since {running.since:%Y-%m-%d %H:%M} UTC as {running.pid}; jobs in hand: {found.working_on}.",
            f"Satellite {running.satellite_id} of {running.platform_url}, serving at {running.base_url}."
            if not running.standing_by
            else f"Standing by: another instance of this satellite works for {running.platform_url}.",
            f"Models run with {running.runtime}: {running.runtime_reason}.",
        ]
    if found.draining:
        lines.append("Draining: nothing new is begun.")
    for one in found.deployments:
        lines.append(
            f"  {one.deployment_id}  {one.state:<9} {one.replicas} replicas  {' '.join(one.revisions)}".rstrip()
        )
    return "\n".join(lines)


def doctor(options: argparse.Namespace) -> int:
    """Exit code 1 when the satellite does not work as things are."""
    from satellite.doctor import examine

    findings = examine()
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(findings)).decode())
    else:
        for one in findings:
            print(f"{SIGNS[one.state]}  {one.what:<10}{one.detail}")
            if one.next_step:
                print(f"{'':16}→ {one.next_step}")
    return 1 if any(one.state == "fail" for one in findings) else 0
