"""Threads that meet at a type which none of them has decoded before: a crash of msgspec that ends the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Eight threads decode each type for the first time, all at once, and change places as often as Python lets them.
THREADS = """
import sys, threading
import msgspec
from luml_app.schemas import settling
from luml_app.client import wire
from luml_app.client.calls import Call
import luml_app.web.house

def below(kind):
    return {kind}.union(*map(below, kind.__subclasses__()))

kinds = sorted(below(msgspec.Struct) - {msgspec.Struct}, key=lambda kind: kind.__module__ + kind.__qualname__)
together = threading.Barrier(8)

def decode():
    for kind in kinds:
        document = msgspec.json.encode(dict.fromkeys(reversed(kind.__struct_encode_fields__)))
        together.wait()
        try:
            DECODE(kind, document)
        except Exception as error:
            assert type(error).__name__ in {"ValidationError", "ServerFault"}, error

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=decode) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
"""
AS_SERVER = "settling.settle_structs()\nDECODE = lambda kind, document: msgspec.json.decode(document, type=kind)\n"
AS_CLIENT = "DECODE = lambda kind, document: wire.value_of(Call('x', 'GET', '/', returns=kind), 200, {}, document)\n"


@pytest.mark.parametrize("decode", [AS_SERVER, AS_CLIENT], ids=["server", "client"])
def test_threads_may_meet_at_a_new_type(decode: str) -> None:
    program = THREADS.replace("sys.setswitchinterval", f"{decode}sys.setswitchinterval", 1)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
