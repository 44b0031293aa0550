"""The Docker engine of the tests, where there is one."""

from __future__ import annotations

import functools
import os
from typing import NoReturn

import pytest

BASE_IMAGE = os.environ.get("SATELLITE_BASE_IMAGE", "luml-base:test")
OWN_ENGINE = f"unix://{os.environ.get('LUML_ENGINE_DIR', '/tmp/luml-dockerd')}/docker.sock"


@functools.cache
def engine_with_base() -> tuple[str, str]:
    """The address of an engine that has the base image, and if there is none, why."""
    import docker
    import docker.errors

    why = "no Docker engine answers (.ci/engine starts one)"
    for host in dict.fromkeys([os.environ.get("DOCKER_HOST", ""), "unix:///var/run/docker.sock", OWN_ENGINE]):
        if not host:
            continue
        try:
            client = docker.DockerClient(base_url=host)
            client.images.get(BASE_IMAGE)
        except docker.errors.ImageNotFound:
            why = f"the engine at {host} has no image {BASE_IMAGE} (.ci/base-image makes it)"
        except docker.errors.DockerException:
            continue
        else:
            client.close()
            return host, ""
    return "", why


def need_engine() -> str:
    """The engine's address; skips the test where there is none, and fails it where nothing may skip."""
    host, why = engine_with_base()
    if not host:
        missing(why)
    return host


def missing(why: str) -> NoReturn:
    """Skip, or fail where nothing may skip."""
    if os.environ.get("LUML_TEST_NO_SKIP") == "1":
        pytest.fail(why)
    pytest.skip(why)
