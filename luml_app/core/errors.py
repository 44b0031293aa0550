"""What a database error means: constraints are recognised by name, never by the text of a message."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from luml_app.schemas.errors import Conflict, Invalid, LumlError, NotFound, Unavailable

BROKEN: dict[str, LumlError] = {
    "users_email_key": Conflict("There is an account with this e-mail address already."),
    "users_service_password_check": Conflict("A service account has no password; give it an API key."),
    "api_keys_user_id_name_key": Conflict("There is an API key of this name already."),
    "orbit_secrets_orbit_id_name_key": Conflict("There is a secret of this name in the orbit already."),
    "identities_issuer_subject_key": Conflict("This account elsewhere is connected to an account here already."),
    "orbits_organization_id_name_key": Conflict("There is an orbit of this name already; choose another."),
    "orbits_bucket_secret_id_fkey": Conflict("An orbit uses this bucket."),
    "artifacts_bucket_secret_id_fkey": Conflict("Artifacts are stored in this bucket."),
    "doomed_objects_bucket_secret_id_fkey": Conflict(
        "Bytes of deleted artifacts are still being deleted from this bucket; wait, or send leave_bytes=true."
    ),
    "tracks_orbit_id_name_key": Conflict("There is a track of this name in the orbit already."),
    "stages_track_id_name_key": Conflict("A track cannot have two stages of one name."),
    "track_entries_track_id_artifact_id_key": Conflict("The artifact is in this track already."),
    "track_entries_stage_id_key": Conflict("The stage is taken by another version; send force=true to move it."),
    "track_entries_stage_id_fkey": Conflict("A version is in this stage; move it out first."),
    "track_entries_artifact_id_fkey": Conflict("The artifact is in a track; take it out first."),
    "revisions_artifact_id_fkey": Conflict("A deployment serves this artifact."),
    "deployments_satellite_id_fkey": Conflict("The satellite has deployments; delete them first."),
    "jobs_leased_key": Conflict("The deployment is being worked on already."),
    "jobs_queued_key": Conflict("There is newer work for this deployment."),
    "organization_members_organization_id_user_id_key": Conflict("They are a member of the organization already."),
    "orbit_members_orbit_id_user_id_key": Conflict("They are a member of the orbit already."),
    "orbit_members_user_id_fkey": NotFound("There is no such user."),
}


def translated(error: DBAPIError) -> LumlError | None:
    """The error in words of the registry, or None for one that nobody foresaw (a fault of the server)."""
    diagnostics = getattr(error.orig, "diag", None)
    constraint = getattr(diagnostics, "constraint_name", None)
    if isinstance(error, IntegrityError) and constraint in BROKEN:
        known = BROKEN[constraint]
        return type(known)(known.message)
    if isinstance(error, IntegrityError) and _state(error) == _MISSING_PARENT:
        return Conflict("Something that this refers to has been deleted meanwhile.")
    if isinstance(error, DataError):
        return Invalid(f"A value cannot be stored: {str(error.orig).splitlines()[0]}")
    if _state(error) == _TOOK_TOO_LONG:
        return Unavailable("This takes the database longer than a request may; ask for less at once.")
    if _state(error) in _IN_EACH_OTHERS_WAY:
        return Unavailable("Somebody else changed the same objects; try again.", retry_after=1)
    return None


_MISSING_PARENT = "23503"  # foreign_key_violation
_TOOK_TOO_LONG = "57014"  # query_canceled
_IN_EACH_OTHERS_WAY = {"40001", "40P01", "55P03"}  # serialization_failure, deadlock_detected, lock_not_available


def in_each_others_way(error: DBAPIError) -> bool:
    """Whether the transaction lost only because another one ran at the same time; done again, it may well succeed."""
    return _state(error) in _IN_EACH_OTHERS_WAY


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", ""))
