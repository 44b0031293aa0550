"""One valid call of every operation. Budgets, permissions, events and the contract are checked by playing them.

A new operation needs a case here; `test_every_operation_has_a_case` says which are missing.
"""

from __future__ import annotations

from tests.api.cases import accounts, history, people, places, registry, serving
from tests.api.cases.places import BUCKET
from tests.api.cases.playing import CASES, OPERATIONS, Case, request_of

AREAS = (accounts, history, people, places, registry, serving)  # to import them is to know their cases

__all__ = ["AREAS", "BUCKET", "CASES", "OPERATIONS", "Case", "request_of"]
