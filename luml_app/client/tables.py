"""Rows of a stored dataset, read by ranges: only the split, and of other datasets nothing, comes over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from luml_app.client.transfers import read_member
from luml_app.schemas.errors import Conflict

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from luml_app.client.objects import ArtifactHandle
    from luml_app.packaging.dataset_difference import DatasetDifference


class Tables:
    """What a dataset holds; a part of `ArtifactHandle`."""

    def to_arrow(
        self, split: str | None = None, *, subset: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """The rows of a split as an Arrow table; without a name, of the only split there is.

        Raises Conflict for what is no dataset, and `PackagingError` for splits and columns that it does not have.
        """
        from luml_app.packaging.dataset_reading import read_table, split_members

        artifact = _dataset(self)
        members = split_members(artifact.data.manifest, artifact.data.file_index, split, subset)
        return read_table(members, lambda name: read_member(artifact, name), columns)

    def to_pandas(
        self, split: str | None = None, *, subset: str | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """The same as a DataFrame, with the types that pandas had when it was stored from there."""
        table: pd.DataFrame = self.to_arrow(split, subset=subset, columns=columns).to_pandas()
        return table

    def column_statistics(self, split: str | None = None) -> dict[str, Any]:
        """What the columns of a split look like: counts, missing values, extremes, means, most frequent values.

        Empty for a dataset that was stored without. Raises Conflict for what is no dataset.
        """
        from luml_app.packaging.dataset_reading import chosen

        splits = _statistics(_dataset(self)).get("splits")
        return dict(splits[chosen(splits, split, "split")]) if splits else {}

    def changes_to(self, other: ArtifactHandle) -> DatasetDifference:
        """What differs in `other`, a later version of this dataset: columns, types, rows, distributions of values.

        Raises Conflict for what is no dataset.
        """
        from luml_app.packaging.dataset_difference import difference

        one, two = _dataset(self), _dataset(other)
        return difference((one.data.manifest, two.data.manifest), (_statistics(one), _statistics(two)))


def _dataset(part: Tables) -> ArtifactHandle:
    artifact = cast("ArtifactHandle", part)
    if artifact.data.type != "dataset":
        raise Conflict(f"{artifact.data.name!r} is a {artifact.data.type}; only datasets have rows.")
    return artifact


def _statistics(artifact: ArtifactHandle) -> dict[str, Any]:
    from luml_app.packaging.archive import parse_json
    from luml_app.packaging.column_statistics import STATISTICS

    if STATISTICS not in artifact.data.file_index:
        return {}
    return dict(parse_json(read_member(artifact, STATISTICS), STATISTICS))
