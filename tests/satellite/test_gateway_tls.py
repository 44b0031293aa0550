"""The gateway's own certificate."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from satellite.daemon import gateway_settings
from satellite.gateway.supervisor import GatewayFailed, GatewaySupervisor
from satellite.settings import Settings, SettingsError, from_environment, inherited_environment
from tests.satellite.contract_server import ContractServer, until
from tests.satellite.gateway_house import House, house, more_upstreams, upstream

__all__ = ["house", "more_upstreams", "upstream"]


def write_certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return chain, secret


def trusting(chain: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(chain))
    context.minimum_version = context.maximum_version = version
    return context


def ask(here: House, context: ssl.SSLContext) -> int:
    """The status of a call over a connection of its own."""
    with httpx.Client(verify=context) as http:
        address = f"https://localhost:{here.gateway.port}/deployments/d1/compute"
        return http.post(address, content=b"{}" * 100_000, headers={"Authorization": "Bearer dfs_good"}).status_code


def test_callers_come_over_tls_and_a_new_certificate_is_taken_up(house: Callable[..., House], tmp_path: Path) -> None:
    chain, key = write_certificate(tmp_path)
    here = house(tls_chain=str(chain), tls_key=str(key))
    assert here.gateway.url.startswith("https://")
    assert here.gateway.health()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert ask(here, trusting(chain, version)) == 200
    with pytest.raises(httpx.ConnectError):
        old = trusting(chain)
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
        ask(here, old)
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://localhost:{here.gateway.port}/healthz")

    first = chain.read_bytes()
    key.write_text("nonsense")
    until(lambda: "cannot be used" in here.gateway.log_file.read_text())
    assert ask(here, trusting(chain)) == 200, "files that do not fit change nothing"
    write_certificate(tmp_path)
    assert chain.read_bytes() != first
    until(lambda: accepted(here, chain))
    assert here.gateway.health()


def accepted(here: House, chain: Path) -> bool:
    try:
        return ask(here, trusting(chain)) == 200
    except httpx.ConnectError:
        return False


def test_a_certificate_that_cannot_be_used_is_one_clear_sentence(
    our_platform: ContractServer, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chain, _ = write_certificate(tmp_path)
    chosen = settings(our_platform, tls_chain=str(chain), tls_key=str(tmp_path / "nothing.pem"))
    chosen.data.mkdir(parents=True)
    gateway = GatewaySupervisor(gateway_settings(chosen), inherited_environment())
    with pytest.raises(GatewayFailed, match="cannot use the certificate"):
        gateway.start()
    gateway.stop()


def test_a_certificate_needs_its_key() -> None:
    needed = {"LUML_ADDRESS": "http://x", "SATELLITE_TOKEN": "t"}
    with pytest.raises(SettingsError, match="SATELLITE_TLS_KEY is not set"):
        from_environment(needed | {"SATELLITE_TLS_CERT": "chain.pem"})
