"""One module per resource: its operations, its SQL and its rules.

`RESOURCES` is the list from which routes, OpenAPI, clients and the reference are made; `CHORES` that of what the
server does by itself, after or between requests.
"""

from functools import cache

from luml_app.core.operations import Operation, Resource, collect
from luml_app.jobs.chores import Chore
from luml_app.jobs.deliveries import prune_deliveries
from luml_app.jobs.mailing import send_mail
from luml_app.jobs.pruning import prune_jobs
from luml_app.resources.account_mails import write_account_mail
from luml_app.resources.accounts import Accounts
from luml_app.resources.agent import Agent
from luml_app.resources.api_keys import ApiKeys
from luml_app.resources.artifacts import Artifacts
from luml_app.resources.auth import Auth
from luml_app.resources.buckets import Buckets
from luml_app.resources.collection_words import forget_words
from luml_app.resources.collections import Collections
from luml_app.resources.deletions import Deletions
from luml_app.resources.deployments import Deployments
from luml_app.resources.erasing import erase, resume_deletions
from luml_app.resources.events import Events, prune_events
from luml_app.resources.following import follow_stage
from luml_app.resources.identities import Identities
from luml_app.resources.invitations import Invitations
from luml_app.resources.invites import Invites
from luml_app.resources.members import Members
from luml_app.resources.orbit_members import OrbitMembers
from luml_app.resources.orbits import Orbits
from luml_app.resources.organizations import Organizations
from luml_app.resources.permissions import Permissions
from luml_app.resources.progress import advance_rollout
from luml_app.resources.pruning import prune_accounts
from luml_app.resources.purging import purge_bucket, purge_buckets
from luml_app.resources.revisions import Revisions
from luml_app.resources.rollouts import Rollouts
from luml_app.resources.rotation import renew_secret
from luml_app.resources.satellites import Satellites
from luml_app.resources.search import Search
from luml_app.resources.secrets import Secrets
from luml_app.resources.service_accounts import ServiceAccounts
from luml_app.resources.sessions import Sessions
from luml_app.resources.sweeping import sweep_uploads
from luml_app.resources.track_entries import TrackEntries
from luml_app.resources.track_history import TrackHistory
from luml_app.resources.tracks import Tracks
from luml_app.resources.uploads import Uploads
from luml_app.resources.verifying import verify_artifacts
from luml_app.resources.webhooks import Webhooks

RESOURCES: list[type[Resource]] = [
    Auth,
    Accounts,
    Sessions,
    Identities,
    ApiKeys,
    Permissions,
    Organizations,
    Members,
    Invites,
    Invitations,
    ServiceAccounts,
    Orbits,
    OrbitMembers,
    Secrets,
    Buckets,
    Uploads,
    Deletions,
    Collections,
    Artifacts,
    Search,
    Tracks,
    TrackEntries,
    TrackHistory,
    Satellites,
    Deployments,
    Revisions,
    Rollouts,
    Agent,
    Events,
    Webhooks,
]

CHORES: list[Chore] = [
    prune_events,
    prune_deliveries,
    prune_jobs,
    send_mail,
    write_account_mail,
    prune_accounts,
    purge_bucket,
    purge_buckets,
    erase,
    resume_deletions,
    sweep_uploads,
    verify_artifacts,
    advance_rollout,
    follow_stage,
    renew_secret,
    forget_words,
]


@cache
def all_operations() -> dict[str, Operation]:
    """Every operation of the platform, by name."""
    return collect(RESOURCES)
