"""What can go wrong while an artifact is built or read.

::

    PackagingError
    ├── ArchiveError          the file is not a tar that may be read
    ├── SampleError           the sample does not describe what the model takes or gives
    ├── SourceError           the source of a function or class cannot be shipped
    ├── StorageError          the model cannot be written to a file
    ├── DependencyError       a package the model needs cannot be pinned
    ├── LoadCheckError        the stored model does not load or predicts something else
    └── MissingPackageError   an optional package of this machine is needed for this
"""

from __future__ import annotations

from luml_app.schemas.errors import LumlError


class PackagingError(LumlError):
    """The artifact could not be built or read."""

    code = "packaging_error"


class ArchiveError(PackagingError):
    """The file is not an uncompressed tar archive that may be read."""

    code = "archive_error"


class SampleError(PackagingError):
    """The sample does not describe what the model takes or gives."""

    code = "sample_error"


class SourceError(PackagingError):
    """The source of the function or class cannot be shipped with the artifact."""

    code = "source_error"


class StorageError(PackagingError):
    """The model cannot be written to a file."""

    code = "storage_error"


class DependencyError(PackagingError):
    """A package that the model needs cannot be pinned."""

    code = "dependency_error"


class LoadCheckError(PackagingError):
    """The stored model does not load in a fresh interpreter, or predicts something else there."""

    code = "load_check_failed"


class MissingPackageError(PackagingError):
    """An optional package is needed for this."""

    code = "missing_package"
