"""What the addresses of the dashboard mean."""

from __future__ import annotations

import pytest

from luml_app.dashboard.addresses import HOME, UNKNOWN, Address, read

ORBIT = "018f0000-0000-7000-8000-000000000001"
OTHER = "018f0000-0000-7000-8000-000000000002"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("/app", HOME),
        ("/app/", HOME),
        (f"/app/o/{ORBIT}", Address("collections", ORBIT)),
        (f"/app/o/{ORBIT}/tracks", Address("tracks", ORBIT)),
        (f"/app/o/{ORBIT}/deployments/{OTHER}", Address("deployments", ORBIT, OTHER)),
        (f"/app/o/{ORBIT}/artifacts/{OTHER}?collection=x", Address("artifacts", ORBIT, OTHER, {"collection": "x"})),
    ],
)
def test_known(url: str, address: Address) -> None:
    assert read(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "/app/x",
        "/app/o/nonsense/tracks",
        f"/app/o/{ORBIT}/nonsense",
        f"/app/o/{ORBIT}/tracks/nonsense",
        f"/app/o/{ORBIT}/satellites/{OTHER}",
        f"/app/o/{ORBIT}/tracks/{OTHER}/more",
        "/app/%00/%ff",
        "/app/o/" + "x" * 5000,
    ],
)
def test_unknown(url: str) -> None:
    assert read(url) == UNKNOWN
