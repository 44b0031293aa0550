"""`satellite doctor`: what a satellite needs of its machine, looked at, with what to do about what is amiss."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx

from satellite.cache import RESERVE
from satellite.control import DataFolder
from satellite.machine import this_machine
from satellite.model_server.environment import BuildFailed, find_uv
from satellite.model_server.sockets import listening_socket
from satellite.platform import PlatformAway, PlatformError, Unauthorized
from satellite.rest import RestPlatform
from satellite.runtimes.choice import docker_image
from satellite.runtimes.handover import MEMORY
from satellite.runtimes.interface import RuntimeFailure, Unknown
from satellite.settings import MIB, Settings, SettingsError, data_folder, from_environment

GIB = 1024 * MIB
SECONDS = 10.0
# Addresses that a bucket signs are good for some minutes; a clock that is further off than that spoils them.
SKEW_NOTED, SKEW_BAD = 5.0, 120.0
INDEX = "https://pypi.org/simple/"
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fail`: the satellite does not work so; `note`: worth knowing."""

    what: str
    state: Literal["ok", "note", "fail"]
    detail: str
    next_step: str = ""


Findings = Iterator[Finding]


def examine() -> list[Finding]:
    """All findings, in the order in which one depends on the other; settings that cannot be read are the last one."""
    found = [*python(), *uv()]
    try:
        settings = from_environment()
    except SettingsError as error:
        return [*found, *disk(data_folder()), Finding("settings", "fail", str(error), "Set it in the environment.")]
    return [*found, *(finding for look in LOOKS for finding in look(settings))]


def python() -> Findings:
    """The interpreter."""
    good = sys.version_info >= (3, 11)
    yield Finding(
        "python", "ok" if good else "fail", sys.version.split()[0], "" if good else "Use Python 3.11 or newer."
    )


def uv() -> Findings:
    """What builds environments of models."""
    try:
        yield Finding("uv", "ok", find_uv())
    except BuildFailed as error:
        yield Finding("uv", "fail", str(error), "pip install uv")


def disk(folder: Path) -> Findings:
    """Room for models and environments."""
    place = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(place).free
    detail = f"{free / GIB:.1f} GiB free for {folder}"
    if not os.access(place, os.W_OK):
        yield Finding(
            "disk", "fail", f"{place} may not be written to", "Let SATELLITE_DATA name a folder of this user."
        )
    elif free < RESERVE:
        yield Finding("disk", "fail", detail, "Free some space: models that nobody uses are dropped below 1 GiB.")
    else:
        yield Finding("disk", "ok", detail)


def data(settings: Settings) -> Findings:
    """The data folder, and who works in it."""
    yield from disk(settings.data)
    status = DataFolder(settings.data).status()
    if status.running is None:
        yield Finding("daemon", "note", f"no satellite is running in {settings.data}", "luml satellite run")
    elif status.running.standing_by:
        yield Finding("daemon", "note", "standing by: another instance of this satellite is at work", "")
    elif status.draining:
        yield Finding("daemon", "note", "running, and draining: it begins nothing new", "luml satellite drain --off")
    else:
        yield Finding(
            "daemon", "ok", f"running since {status.running.since:%Y-%m-%d %H:%M} UTC as {status.running.pid}"
        )


def memory(settings: Settings) -> Findings:
    """Memory for models, and a place in it for their secrets."""
    machine, wanted = this_machine(), settings.limits.memory
    enough = machine.memory >= wanted
    detail = f"{machine.memory / GIB:.1f} GiB, {machine.cpus} processors; a model may have {wanted / GIB:.1f} GiB"
    yield Finding("memory", "ok" if enough else "note", detail, "" if enough else "Lower SATELLITE_MEMORY_MIB.")
    if not os.access(MEMORY, os.W_OK):
        yield Finding(
            "secrets", "note", f"no {MEMORY} here: secrets of models lie in {settings.data}", "Encrypt that disk."
        )


def engine(settings: Settings) -> Findings:
    """The Docker engine, the image in which models run, and GPUs."""
    if settings.runtime == "process":
        yield Finding("engine", "note", "not looked for: models run as processes, as SATELLITE_RUNTIME says")
        return
    needed: Literal["fail", "note"] = "note" if settings.runtime == "auto" else "fail"
    try:
        version, image, machine = docker_image(settings)
    except (RuntimeFailure, Unknown) as error:
        yield Finding("engine", needed, str(error), "Start Docker, or let models run as processes of this machine.")
        return
    yield Finding("engine", "ok", f"Docker {version}")
    there = image in {"there", "can be built"}
    step = "" if there else f"docker pull {settings.base_image}, or set SATELLITE_BASE_IMAGE to an image that is there"
    yield Finding("image", "ok" if there else "note", f"{image} ({settings.image}, from {settings.base_image})", step)
    yield Finding("gpu", "ok" if machine.gpus else "note", f"{machine.gpus} for models ({machine.gpus_said})")


def platform(settings: Settings) -> Findings:
    """The platform, the key, the clock and the bucket: each is asked through the one before."""
    asked = time.time()
    try:
        answer = httpx.get(f"{settings.platform_url}/healthz", timeout=SECONDS)
    except httpx.HTTPError as error:
        step = "See that the server runs and that LUML_ADDRESS, proxies and certificates are right."
        yield Finding("platform", "fail", f"{settings.platform_url} does not answer: {error}", step)
        return
    yield Finding("platform", "ok", f"{settings.platform_url} answers")
    yield clock(answer.headers.get("date", ""), (asked + time.time()) / 2)
    yield from key_and_bucket(settings)


def clock(date: str, here: float) -> Finding:
    """This machine's clock against the platform's `Date`, which has whole seconds."""
    try:
        skew = here - parsedate_to_datetime(date).timestamp() - 0.5
    except ValueError:
        return Finding("clock", "note", "the platform does not say what time it is")
    detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the platform's"
    if abs(skew) <= SKEW_NOTED:
        return Finding("clock", "ok", f"as the platform's, {datetime.fromtimestamp(here, UTC):%H:%M:%S} UTC")
    step = "Have the time set by the network (NTP), here and there: signed addresses depend on it."
    return Finding("clock", "fail" if abs(skew) > SKEW_BAD else "note", detail, step)


def key_and_bucket(settings: Settings) -> Findings:
    """Whether the platform knows the key, and whether the bucket gives the file of a deployment's model."""
    with contextlib.closing(RestPlatform(settings.platform_url, settings.token)) as api:
        try:
            deployments = api.deployments()
        except Unauthorized:
            yield Finding(
                "key", "fail", "the platform does not know SATELLITE_TOKEN", "Create the satellite anew for a key."
            )
            return
        except (PlatformError, PlatformAway) as error:
            yield Finding("key", "fail", f"could not be tried: {error}", "Look into the log of the server.")
            return
        yield Finding("key", "ok", f"good; {len(deployments)} deployments")
        artifact = next((one.targets[-1].revision.artifact_id for one in deployments if one.desired == "running"), None)
        if artifact is None:
            yield Finding("bucket", "note", "not tried: no deployment needs a file from it yet")
            return
        try:
            with api.download(api.artifact(artifact).url) as chunks:
                next(iter(chunks), b"")
            yield Finding("bucket", "ok", "gives the file of a deployment's model")
        except (PlatformError, PlatformAway) as error:
            step = "See that this machine reaches the bucket's address, and that the bucket's credentials are good."
            yield Finding("bucket", "fail", str(error), step)


def address(settings: Settings) -> Findings:
    """The port of the gateway, and the address under which callers look for it."""
    port = DataFolder(settings.data).status().gateway_port
    if port is None and (taken := port_trouble(settings)):
        yield Finding("port", "fail", taken, "End what listens there, or set SATELLITE_PORT to another port.")
    else:
        where = f"{settings.gateway_host}:{port or settings.gateway_port or 'a free port'}"
        yield Finding("port", "ok", f"{where} {'serves' if port else 'is free'}")
    yield reach(settings, port)


def port_trouble(settings: Settings) -> str:
    """Why the gateway could not listen where it is to; empty when it could."""
    try:
        listening_socket(settings.gateway_host, settings.gateway_port).close()
    except OSError as error:
        return f"{settings.gateway_host}:{settings.gateway_port}: {error.strerror}"
    return ""


def reach(settings: Settings, port: int | None) -> Finding:
    """Whether the address that callers are given leads to the gateway, as far as this machine can tell."""
    if not settings.base_url:
        return Finding("address", "note", "callers on this machine only", "Set SATELLITE_BASE_URL for others.")
    if port is None:
        return Finding("address", "note", f"{settings.base_url}: not tried, for no gateway runs")
    try:
        good = "routes_version" in httpx.get(f"{settings.base_url}/healthz", timeout=SECONDS).text
        said = "leads to the gateway" if good else "leads to something else than the gateway"
    except httpx.HTTPError as error:
        good, said = False, f"does not answer: {error}"
    step = "" if good else "Set SATELLITE_BASE_URL to an address that leads here; a firewall may stand between."
    return Finding("address", "ok" if good else "note", f"{settings.base_url} {said}", step)


def packages(settings: Settings) -> Findings:
    """The package index, from which environments are built."""
    index = next((settings.build[name] for name in INDEX_VARIABLES if settings.build.get(name)), INDEX)
    shown = urlsplit(index)._replace(netloc=urlsplit(index).hostname or "").geturl()
    try:
        httpx.head(index, timeout=SECONDS, follow_redirects=True)
        yield Finding("packages", "ok", f"{shown} answers")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        step = "Set PIP_INDEX_URL, proxies, certificates or SATELLITE_WHEELHOUSE, if models need packages."
        yield Finding("packages", "note", f"{shown} does not answer: {type(error).__name__}", step)


LOOKS: tuple[Callable[[Settings], Findings], ...] = (data, memory, engine, platform, address, packages)
