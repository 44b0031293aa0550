"""Container specs and the image's build context, without an engine."""

from __future__ import annotations

import socket
import tarfile
from dataclasses import replace
from pathlib import Path

from satellite.model_server.environment import EnvironmentSpec
from satellite.runtimes.containers import LABEL, builder_container, replica_container
from satellite.runtimes.docker_observed import observed, shares_our_network
from satellite.runtimes.image import build_context, image_tag, pip_settings
from satellite.runtimes.interface import ReplicaSpec
from satellite.settings import Limits

ENVIRONMENT = EnvironmentSpec("3.11", ("numpy==2.0.0",))
SPEC = ReplicaSpec(
    "dep", "rev", Path("/models/abc"), "abc", ENVIRONMENT, {"A": "1"}, {"key": "s3cret"}, Limits(1024, 1.5, 64),
    secrets={"TOKEN": "s3cret"},
)  # fmt: skip
BUILT = Path("/envs") / ENVIRONMENT.key
CONTAINER = replica_container(SPEC, "sat", "image:1", "/environments/k/bin/python", BUILT, Path("/run/dep"))


def test_a_replica_is_limited() -> None:
    assert (CONTAINER["mem_limit"], CONTAINER["memswap_limit"]) == (1024, 1024)
    assert CONTAINER["nano_cpus"] == 1_500_000_000
    assert CONTAINER["pids_limit"] == 64
    assert CONTAINER["log_config"]["Config"] == {"max-size": "10m", "max-file": "3"}


def test_a_replica_may_do_nothing_but_serve() -> None:
    assert CONTAINER["cap_drop"] == ["ALL"]
    assert CONTAINER["security_opt"] == ["no-new-privileges:true"]
    assert CONTAINER["read_only"] is True
    assert list(CONTAINER["tmpfs"]) == ["/tmp"]
    assert "user" not in CONTAINER  # the image's own, which is not root
    assert all(mount["ReadOnly"] for mount in CONTAINER["mounts"])
    assert {mount["Source"] for mount in CONTAINER["mounts"]} == {"/models/abc", str(BUILT), "/run/dep"}


def test_a_replica_is_asked_for_without_its_secrets() -> None:
    assert "s3cret" not in str(CONTAINER) + str(SPEC)


def test_gpus_are_asked_for_as_docker_run_does() -> None:
    assert "device_requests" not in CONTAINER
    spec = replace(SPEC, limits=Limits(gpus=2))
    asked = replica_container(spec, "sat", "image:1", "python", BUILT, Path("/run/dep"))["device_requests"]
    assert asked == [{"Driver": "", "Count": 2, "Capabilities": [["gpu"]]}]


def test_the_model_server_is_told_what_differs_from_its_defaults() -> None:
    assert CONTAINER["command"][:4] == ["--model", "/model", "--handover", "/handover"]
    assert "--workers" not in CONTAINER["command"]
    told = replace(SPEC, workers=3, request_seconds=60.0, batch_delay_ms=5).arguments("/model", "/handover")[4:]
    assert " ".join(told) == "--workers 3 --request-seconds 60.0 --batch-delay-ms 5"


def test_a_replica_is_reached_from_this_machine_only() -> None:
    assert CONTAINER["ports"] == {"8080/tcp": ("127.0.0.1", None)}


def test_a_replica_is_found_again_by_its_labels() -> None:
    assert CONTAINER["name"] == "luml-sat-dep.rev.0"
    labels = CONTAINER["labels"]
    assert labels["ai.luml.satellite"] == "sat"
    assert (labels["ai.luml.deployment"], labels["ai.luml.revision"]) == ("dep", "rev")
    assert CONTAINER["restart_policy"] == {"Name": "unless-stopped"}


LISTED = {
    "State": "running",
    "Labels": {f"{LABEL}{name}": name for name in ("key", "deployment", "revision", "digest")},
    "Ports": [{"IP": "127.0.0.1", "PrivatePort": 8080, "PublicPort": 32768, "Type": "tcp"}],
    "NetworkSettings": {"Networks": {"bridge": {"Gateway": "172.17.0.1", "IPAddress": "172.17.0.5"}}},
}


def test_a_replica_behind_our_own_bridge_is_asked_past_the_engine() -> None:
    assert observed(LISTED, {"127.0.0.1", "172.17.0.1"}).url == "http://172.17.0.5:8080"
    assert observed(LISTED, {"127.0.0.1"}).url == "http://127.0.0.1:32768"
    just_created = {
        **LISTED,
        "Ports": [],
        "NetworkSettings": {"Networks": {"bridge": {"Gateway": "", "IPAddress": ""}}},
    }
    assert (observed(just_created, {""}).phase, observed(just_created, {""}).url) == ("starting", None)


def test_bridges_of_a_virtual_machine_or_a_user_are_not_ours() -> None:
    here = socket.gethostname()
    assert shares_our_network({"Name": here, "SecurityOptions": ["name=seccomp,profile=default"]})
    assert not shares_our_network({"Name": here, "SecurityOptions": ["name=rootless"]})
    assert not shares_our_network({"Name": "docker-desktop", "SecurityOptions": None})


def test_the_builder_is_handed_index_settings_and_certificates() -> None:
    build = {"PIP_INDEX_URL": "https://mirror.example/simple", "SSL_CERT_FILE": "/etc/ca.pem", "SSL_CERT_DIR": "/etc"}
    builder = builder_container(ENVIRONMENT, "sat", "image:1", BUILT, "7:7", build, Path("/wheels"))
    assert builder["environment"]["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert builder["environment"]["SSL_CERT_FILE"] == "/certificates/ca.crt"
    assert "SSL_CERT_DIR" not in builder["environment"]
    assert builder["volumes"]["/etc/ca.pem"] == {"bind": "/certificates/ca.crt", "mode": "ro"}
    assert builder["environment"]["UV_FIND_LINKS"] == "/wheelhouse"
    assert builder["user"] == "7:7"


def test_the_builder_writes_to_the_folder_of_its_environment_only() -> None:
    builder = builder_container(ENVIRONMENT, "sat", "image:1", BUILT, "7:7", {"UV_CACHE_DIR": "/elsewhere"})
    assert builder["volumes"] == {str(BUILT): {"bind": f"/environments/{ENVIRONMENT.key}", "mode": "rw"}}
    assert builder["environment"]["UV_CACHE_DIR"].startswith(f"/environments/{ENVIRONMENT.key}/")
    assert builder["environment"]["UV_PYTHON_INSTALL_DIR"].startswith(f"/environments/{ENVIRONMENT.key}/")


def test_the_build_context_holds_the_model_server_and_the_wheels(tmp_path: Path) -> None:
    (tmp_path / "some-1-py3-none-any.whl").write_bytes(b"wheel")
    with tarfile.open(fileobj=build_context(tmp_path, None)) as tar:
        names = tar.getnames()
    assert {"Dockerfile", "model_server/__main__.py", "certificates"} <= set(names)
    assert "wheelhouse/some-1-py3-none-any.whl" in names


def test_index_settings_travel_in_a_file() -> None:
    settings = pip_settings(
        {"PIP_INDEX_URL": "https://u:p@mirror.example/simple", "PIP_EXTRA_INDEX_URL": "https://a  https://b"}
    )
    assert (
        settings == "[global]\nindex_url = https://u:p@mirror.example/simple\nextra_index_url = https://a https://b\n"
    )
    with tarfile.open(fileobj=build_context(None, None, settings)) as tar:
        file = tar.extractfile("settings/pip.conf")
        assert file and file.read().decode() == settings
    assert pip_settings({"PIP_CERT": "/etc/ca.pem"}) == ""


def test_another_base_is_another_image() -> None:
    assert image_tag("luml", "a:1") != image_tag("luml", "b:1")
    assert image_tag("luml", "a:1") == image_tag("luml", "a:1")
