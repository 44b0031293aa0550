"""Organizations and orbits."""

from __future__ import annotations

from luml_app.schemas.fields import (
    UNSET,
    UUID,
    Annotated,
    Document,
    Email,
    Literal,
    Meta,
    Name,
    Record,
    Struct,
    UnsetType,
    Url,
    datetime,
)
from luml_app.schemas.users import User

OrganizationRole = Literal["owner", "admin", "member"]
OrbitRole = Literal["admin", "member", "viewer"]


class Organization(Record, kw_only=True):
    """The tenant: members, buckets, orbits, limits."""

    name: str
    logo: str | None = None


class OrganizationListed(Organization, kw_only=True):
    """An organization in the list of one's own, with one's role in it."""

    role: OrganizationRole | None = None
    permissions: Document | None = None


class OrganizationCreate(Struct, kw_only=True):
    """A new organization, owned by its creator."""

    name: Name
    logo: Url | None = None


class OrganizationUpdate(Struct, kw_only=True):
    """Changes of an organization; what is not sent stays."""

    name: Name | UnsetType | None = UNSET
    logo: Annotated[str, Meta(max_length=2048)] | UnsetType | None = UNSET


class OrganizationMember(Record, kw_only=True):
    """A person in an organization."""

    organization_id: UUID
    role: OrganizationRole
    user: User


class OrganizationMemberCreate(Struct, kw_only=True):
    """Somebody with an account who becomes a member at once, without being asked."""

    user_id: UUID
    role: OrganizationRole


class OrganizationMemberUpdate(Struct, kw_only=True):
    """Another role for a member."""

    role: OrganizationRole


class OwnershipTransfer(Struct, kw_only=True):
    """The member who becomes the owner in one's place."""

    member_id: UUID


class OrganizationInviteCreate(Struct, kw_only=True):
    """An invitation to an address, whether there is an account with it yet or not."""

    email: Email
    role: OrganizationRole


class OrganizationInvite(Struct, kw_only=True):
    """An invitation that waits for its answer until `expires_at`."""

    id: UUID
    email: str
    role: OrganizationRole
    organization_id: UUID
    created_at: datetime
    expires_at: datetime
    invited_by_user: User | None = None
    organization: Organization | None = None


class OrbitListed(Record, kw_only=True):
    """A workspace in an organization."""

    name: str
    organization_id: UUID
    bucket_secret_id: UUID
    total_members: int | None = None
    total_collections: int | None = None
    total_satellites: int | None = None
    total_artifacts: int | None = None
    role: OrbitRole | None = None
    permissions: Document | None = None


class OrbitMember(Record, kw_only=True):
    """A person in an orbit."""

    orbit_id: UUID
    role: OrbitRole
    user: User


class Orbit(OrbitListed, kw_only=True):
    """An orbit with its members and the tags of its collections."""

    members: list[OrbitMember] | None = None
    collections_tags: list[str] | None = None


class OrbitMemberUpdate(Struct, kw_only=True):
    """Another role for somebody in an orbit."""

    role: OrbitRole


class OrbitMemberAdded(Struct, kw_only=True):
    """Somebody of the organization who comes into an orbit."""

    user_id: UUID
    role: OrbitRole


class OrbitCreate(Struct, kw_only=True):
    """A new orbit on a bucket of the organization."""

    name: Name
    bucket_secret_id: UUID
    members: Annotated[list[OrbitMemberAdded], Meta(max_length=1000)] | None = None
    notify: bool = False


class OrbitUpdate(Struct, kw_only=True):
    """Changes of an orbit; what is not sent stays."""

    name: Name | UnsetType | None = UNSET
    bucket_secret_id: UUID | UnsetType | None = UNSET


class OrganizationDetails(Organization, kw_only=True):
    """An organization with its people, orbits, limits (0: none) and totals."""

    invites: list[OrganizationInvite] = []
    members: list[OrganizationMember] = []
    orbits: list[OrbitListed] = []
    members_limit: int = 0
    orbits_limit: int = 0
    satellites_limit: int = 0
    artifacts_limit: int = 0
    total_orbits: int = 0
    total_members: int = 0
    total_satellites: int = 0
    total_artifacts: int = 0
    members_by_role: dict[str, int] = {}
    permissions: Document | None = None
