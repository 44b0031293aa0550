from __future__ import annotations

from typing import Any

import pytest

from luml_app.schemas.errors import Conflict, NotFound
from tests.cast import Cast


def test_an_organization_is_made_renamed_and_deleted(api: Any) -> None:
    made = api.organizations.create(name="Looking glass")
    assert made.id in {one.id for one in api.organizations.list()}
    assert api.organizations.update(made.id, name="Mirror").name == "Mirror"
    details = api.organizations.get(made.id)
    assert (details.name, details.total_members, details.total_orbits) == ("Mirror", 1, 0)
    api.organizations.delete(made.id)
    with pytest.raises(NotFound):
        api.organizations.get(made.id)


def test_one_lists_ones_own_organizations_with_ones_role(api: Any, cast: Cast) -> None:
    (mine,) = api.organizations.list()
    assert (mine.id, mine.role) == (cast.here.organization_id, "owner")
    assert "delete" in mine.permissions["organization"]


def test_an_organization_with_orbits_is_not_deleted(api: Any, cast: Cast) -> None:
    with pytest.raises(Conflict, match="orbits"):
        api.organizations.delete(cast.here.organization_id)
    assert api.organizations.get(cast.here.organization_id).total_orbits == 1
