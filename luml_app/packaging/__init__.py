"""Build and read artifacts: models, datasets and experiments as indexed, uncompressed tar files.

Importing this package is light; what a name needs is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luml_app.packaging.archive import Archive, ArchiveWriter
    from luml_app.packaging.artifact import ArtifactInfo, SavedArtifact
    from luml_app.packaging.datasets import save_dataset
    from luml_app.packaging.errors import PackagingError
    from luml_app.packaging.experiments import Experiment
    from luml_app.packaging.mlflow_models import save_mlflow_model
    from luml_app.packaging.models import save_model
    from luml_app.packaging.reading import read_artifact

_HOMES = {
    "Archive": "archive",
    "ArchiveWriter": "archive",
    "ArtifactInfo": "artifact",
    "Experiment": "experiments",
    "PackagingError": "errors",
    "SavedArtifact": "artifact",
    "read_artifact": "reading",
    "save_dataset": "datasets",
    "save_mlflow_model": "mlflow_models",
    "save_model": "models",
}

__all__ = [
    "Archive",
    "ArchiveWriter",
    "ArtifactInfo",
    "Experiment",
    "PackagingError",
    "SavedArtifact",
    "read_artifact",
    "save_dataset",
    "save_mlflow_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
