"""The command line stands on the Python API, and its tests on that one's fixtures."""

from __future__ import annotations

from tests.client.conftest import client, make_file, no_settings_of_this_machine, orbit, start_satellite

__all__ = ["client", "make_file", "no_settings_of_this_machine", "orbit", "start_satellite"]
