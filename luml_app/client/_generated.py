"""The operations of the platform as typed methods, written by `python -m luml_app.web.clients`."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from luml_app.client.calls import AsyncGroup, Call, Group, Id, Send, SendAsync, body
from luml_app.schemas.accounts import EmailAddress, NewPassword, SignUp
from luml_app.schemas.artifacts import (
    Artifact,
    ArtifactBase,
    ArtifactBatchDelete,
    ArtifactBatchMove,
    ArtifactCreate,
    ArtifactCreated,
    ArtifactDetails,
    ArtifactMove,
    ArtifactPage,
    ArtifactsChanged,
    ArtifactUpdate,
    SignedUrl,
)
from luml_app.schemas.buckets import (
    Bucket,
    BucketCreate,
    BucketProbe,
    BucketReport,
    BucketUpdate,
    BucketUrls,
    MultipartRequest,
    MultipartUpload,
)
from luml_app.schemas.collections import Collection, CollectionCreate, CollectionDetails, CollectionUpdate
from luml_app.schemas.deletions import Deletion
from luml_app.schemas.deployments import (
    Deployment,
    DeploymentCreate,
    DeploymentReport,
    DeploymentStatusReport,
    DeploymentUpdate,
)
from luml_app.schemas.events import Event
from luml_app.schemas.fields import Detail, Page
from luml_app.schemas.identities import Identity, IdentityLink, ProviderVisit, WaysIn
from luml_app.schemas.organizations import (
    Orbit,
    OrbitCreate,
    OrbitListed,
    OrbitMember,
    OrbitMemberAdded,
    OrbitMemberUpdate,
    OrbitUpdate,
    Organization,
    OrganizationCreate,
    OrganizationDetails,
    OrganizationInvite,
    OrganizationInviteCreate,
    OrganizationListed,
    OrganizationMember,
    OrganizationMemberCreate,
    OrganizationMemberUpdate,
    OrganizationUpdate,
    OwnershipTransfer,
)
from luml_app.schemas.permissions import Permission
from luml_app.schemas.revisions import Revision, RolloutBounds, RolloutStep
from luml_app.schemas.rollouts import (
    Reason,
    RevisionCreate,
    RevisionDifference,
    Rollback,
    RollbackReport,
    RolloutCreate,
    RolloutUpdate,
)
from luml_app.schemas.satellites import (
    ArtifactForSatellite,
    InferenceAccess,
    InferenceAccessAnswer,
    Satellite,
    SatelliteCreate,
    SatelliteCreated,
    SatellitePair,
    SatelliteSession,
    SatelliteUpdate,
    SessionOpen,
    Task,
    TaskRenew,
    TaskUpdate,
)
from luml_app.schemas.search import Found
from luml_app.schemas.secrets import Secret, SecretCreate, SecretUpdate
from luml_app.schemas.service_accounts import ServiceAccount, ServiceAccountCreate
from luml_app.schemas.sessions import Session
from luml_app.schemas.tracks import (
    Stage,
    StageChange,
    Tenure,
    Track,
    TrackCreate,
    TrackEntriesDelete,
    TrackEntry,
    TrackEntryCreate,
    TrackEntryUpdate,
    TrackUpdate,
)
from luml_app.schemas.users import (
    ApiKey,
    ApiKeyCreate,
    ApiKeyCreated,
    ApiKeyUpdate,
    LoginLink,
    SignedIn,
    SignIn,
    User,
    UserUpdate,
)
from luml_app.schemas.webhooks import Delivery, Webhook, WebhookCreate, WebhookSecret, WebhookUpdate


class Auth(Group):
    """Sign-in by e-mail and password, and one's own account."""

    def signin(self, *, email: str, password: str) -> SignedIn:
        """Sign in; the tokens come as cookies."""
        return self._send(
            Call("auth.signin", "POST", "/v1/auth/signin", SignedIn, body=body(SignIn, email=email, password=password))
        )

    def use_link(self, *, token: str) -> SignedIn:
        """Sign in by a one-time link, such as `luml up` prints."""
        return self._send(Call("auth.use_link", "POST", "/v1/auth/link", SignedIn, query={"token": token}))

    def create_link(self) -> LoginLink:
        """Make a one-time link that signs its bearer in as oneself, in a session of its own."""
        return self._send(Call("auth.create_link", "POST", "/v1/auth/links", LoginLink))

    def refresh(self) -> Detail:
        """Exchange the refresh token for new tokens, once. One that comes again ends its session: it was stolen."""
        return self._send(Call("auth.refresh", "POST", "/v1/auth/refresh", Detail))

    def logout(self) -> Detail:
        """End the session."""
        return self._send(Call("auth.logout", "POST", "/v1/auth/logout", Detail))

    def me(self) -> User:
        """Oneself."""
        return self._send(Call("auth.me", "GET", "/v1/auth/users/me", User))

    def update_me(
        self,
        *,
        full_name: str | UnsetType | None = UNSET,
        photo: str | UnsetType | None = UNSET,
        password: str | UnsetType | None = UNSET,
    ) -> Detail:
        """Change one's name, photo or password. A new password ends every session; API keys go on."""
        return self._send(
            Call(
                "auth.update_me",
                "PATCH",
                "/v1/auth/users/me",
                Detail,
                body=body(UserUpdate, full_name=full_name, photo=photo, password=password),
            )
        )


class Accounts(Group):
    """How accounts begin and end. Who asks for a mail does not learn whether there is such an account."""

    def signup(self, *, email: str, password: str, full_name: str | None = None, photo: str | None = None) -> Detail:
        """Sign up, with an organization of one's own. The account opens when its e-mail address is confirmed."""
        return self._send(
            Call(
                "accounts.signup",
                "POST",
                "/v1/auth/signup",
                Detail,
                body=body(SignUp, email=email, password=password, full_name=full_name, photo=photo),
            )
        )

    def resend_confirmation(self, *, email: str) -> Detail:
        """Ask for another mail to confirm one's e-mail address."""
        return self._send(
            Call(
                "accounts.resend_confirmation",
                "POST",
                "/v1/auth/resend-confirmation",
                Detail,
                body=body(EmailAddress, email=email),
            )
        )

    def confirm_email(self, *, confirmation_token: str, elsewhere: bool = False) -> Detail:
        """Confirm one's e-mail address by the link of the mail.

        When more than one sign-up has used the address, none of their passwords counts; a browser is led on to choose
        one, anybody else asks for it with `accounts.forgot_password`. With `elsewhere` it is the same for a sign-up in
        another browser than this one: the page to which the mail leads says so, since a stranger may have signed up.
        """
        return self._send(
            Call(
                "accounts.confirm_email",
                "GET",
                "/v1/auth/confirm-email",
                Detail,
                query={"confirmation_token": confirmation_token, "elsewhere": elsewhere},
            )
        )

    def forgot_password(self, *, email: str) -> Detail:
        """Ask for a mail with a link to choose a new password. The answer is the same for every address."""
        return self._send(
            Call(
                "accounts.forgot_password",
                "POST",
                "/v1/auth/forgot-password",
                Detail,
                body=body(EmailAddress, email=email),
            )
        )

    def reset_password(self, *, reset_token: str, new_password: str) -> Detail:
        """Choose a new password by the link of the mail, once. It ends every session, and confirms the address."""
        return self._send(
            Call(
                "accounts.reset_password",
                "POST",
                "/v1/auth/reset-password",
                Detail,
                body=body(NewPassword, reset_token=reset_token, new_password=new_password),
            )
        )

    def delete_me(self) -> Detail:
        """Delete one's account, with the organizations that nobody else is in.

        Refused while one is the only owner of an organization that has other members, or of one that has orbits.
        """
        return self._send(Call("accounts.delete_me", "DELETE", "/v1/auth/users/me", Detail))


class Sessions(Group):
    """Where one is signed in by browser."""

    def list(self) -> builtins.list[Session]:
        """The places where one is signed in, the last used one first."""
        return self._send(Call("sessions.list", "GET", "/v1/auth/sessions", builtins.list[Session]))

    def delete(self, session_id: Id) -> None:
        """Sign out elsewhere: end one of one's sessions."""
        self._send(
            Call(
                "sessions.delete",
                "DELETE",
                "/v1/auth/sessions/{session_id}",
                type(None),
                path={"session_id": session_id},
            )
        )

    def delete_others(self) -> None:
        """Sign out everywhere else: end all of one's sessions but the one that asks."""
        self._send(Call("sessions.delete_others", "DELETE", "/v1/auth/sessions", type(None)))


class Identities(Group):
    """Accounts elsewhere with which one signs in here."""

    def providers(self) -> WaysIn:
        """The ways in: providers that are set up here, and who may sign up."""
        return self._send(Call("identities.providers", "GET", "/v1/auth/providers", WaysIn))

    def google_login(self, *, next: str = "/app") -> ProviderVisit:
        """Sign in by Google: a browser is sent there, a program is told where that is."""
        return self._send(
            Call("identities.google_login", "GET", "/v1/auth/google/login", ProviderVisit, query={"next": next})
        )

    def google_callback(
        self, *, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from Google."""
        return self._send(
            Call(
                "identities.google_callback",
                "GET",
                "/v1/auth/google/callback",
                SignedIn,
                query={"code": code, "state": state, "error": error, "iss": iss},
            )
        )

    def microsoft_login(self, *, next: str = "/app") -> ProviderVisit:
        """Sign in by Microsoft: a browser is sent there, a program is told where that is."""
        return self._send(
            Call("identities.microsoft_login", "GET", "/v1/auth/microsoft/login", ProviderVisit, query={"next": next})
        )

    def microsoft_callback(
        self, *, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from Microsoft."""
        return self._send(
            Call(
                "identities.microsoft_callback",
                "GET",
                "/v1/auth/microsoft/callback",
                SignedIn,
                query={"code": code, "state": state, "error": error, "iss": iss},
            )
        )

    def oidc_login(self, *, next: str = "/app") -> ProviderVisit:
        """Sign in by the operator's own provider: a browser is sent there, a program is told where that is."""
        return self._send(
            Call("identities.oidc_login", "GET", "/v1/auth/oidc/login", ProviderVisit, query={"next": next})
        )

    def oidc_callback(
        self, *, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from the operator's own provider."""
        return self._send(
            Call(
                "identities.oidc_callback",
                "GET",
                "/v1/auth/oidc/callback",
                SignedIn,
                query={"code": code, "state": state, "error": error, "iss": iss},
            )
        )

    def list(self) -> builtins.list[Identity]:
        """The accounts elsewhere with which one signs in here."""
        return self._send(Call("identities.list", "GET", "/v1/auth/identities", builtins.list[Identity]))

    def link(self, *, provider: Literal["google", "microsoft", "oidc"], next: str = "/account") -> ProviderVisit:
        """Begin to connect an account elsewhere to one's own: the browser goes to `url`, and comes back connected."""
        return self._send(
            Call(
                "identities.link",
                "POST",
                "/v1/auth/identities",
                ProviderVisit,
                body=body(IdentityLink, provider=provider, next=next),
            )
        )

    def delete(self, identity_id: Id) -> None:
        """Disconnect an account elsewhere; refused when it is the only way to sign in."""
        self._send(
            Call(
                "identities.delete",
                "DELETE",
                "/v1/auth/identities/{identity_id}",
                type(None),
                path={"identity_id": identity_id},
            )
        )


class ApiKeys(Group):
    """One's own API keys. The old route keeps one, named "default"; others have names, scopes and an end."""

    def create_default(self) -> ApiKeyCreated:
        """Make one's default API key; an older default key stops working."""
        return self._send(Call("api_keys.create_default", "POST", "/v1/users/me/api-keys", ApiKeyCreated))

    def delete_default(self) -> None:
        """Delete one's default API key."""
        self._send(Call("api_keys.delete_default", "DELETE", "/v1/users/me/api-keys", type(None)))

    def list(self) -> builtins.list[ApiKey]:
        """One's API keys, without the keys themselves."""
        return self._send(Call("api_keys.list", "GET", "/v1/users/me/api-keys", builtins.list[ApiKey]))

    def create(
        self,
        *,
        name: str,
        scopes: builtins.list[Literal["api", "inference", "logs"]] | None = None,
        orbit_id: Id | None = None,
        expires_at: datetime | None = None,
    ) -> ApiKeyCreated:
        """Make a named API key; with `orbit_id` it opens this orbit and nothing else.

        A key that is made with another opens no more than that one, and for no longer.
        """
        return self._send(
            Call(
                "api_keys.create",
                "POST",
                "/v1/users/me/api-keys/named",
                ApiKeyCreated,
                body=body(ApiKeyCreate, name=name, scopes=scopes, orbit_id=orbit_id, expires_at=expires_at),
            )
        )

    def update(
        self,
        key_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        scopes: builtins.list[Literal["api", "inference", "logs"]] | UnsetType | None = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
    ) -> ApiKey:
        """Change an API key's name, scopes or end. What it opens in the orbit it is bound to stays.

        With another key, or itself, it can be given no more and no longer than that one has.
        """
        return self._send(
            Call(
                "api_keys.update",
                "PATCH",
                "/v1/users/me/api-keys/{key_id}",
                ApiKey,
                path={"key_id": key_id},
                body=body(ApiKeyUpdate, name=name, scopes=scopes, expires_at=expires_at),
            )
        )

    def delete(self, key_id: Id) -> None:
        """Delete an API key; it stops working at once."""
        self._send(
            Call("api_keys.delete", "DELETE", "/v1/users/me/api-keys/{key_id}", type(None), path={"key_id": key_id})
        )

    def validate(self) -> None:
        """Answer whether the credential is valid."""
        self._send(Call("api_keys.validate", "GET", "/v1/auth/api-keys/validate", type(None)))


class Permissions(Group):
    """What one may do in an organization or an orbit."""

    def check(self, *, permission: str, organization_id: Id | None = None, orbit_id: Id | None = None) -> Permission:
        """Whether one holds a permission, such as ``deployment:create``, in an orbit or else an organization; and why.

        A place that one cannot see is not found.
        """
        return self._send(
            Call(
                "permissions.check",
                "GET",
                "/v1/permissions",
                Permission,
                query={"permission": permission, "organization_id": organization_id, "orbit_id": orbit_id},
            )
        )


class Organizations(Group):
    """Tenants: members, buckets, orbits and limits."""

    def list(self) -> builtins.list[OrganizationListed]:
        """The organizations that one is a member of."""
        return self._send(
            Call("organizations.list", "GET", "/v1/users/me/organizations", builtins.list[OrganizationListed])
        )

    def create(self, *, name: str, logo: str | None = None) -> Organization:
        """Create an organization, which one then owns, with a built-in bucket to begin with."""
        return self._send(
            Call(
                "organizations.create",
                "POST",
                "/v1/organizations",
                Organization,
                body=body(OrganizationCreate, name=name, logo=logo),
            )
        )

    def get(self, organization_id: Id) -> OrganizationDetails:
        """An organization with its people, orbits, limits and totals."""
        return self._send(
            Call(
                "organizations.get",
                "GET",
                "/v1/organizations/{organization_id}",
                OrganizationDetails,
                path={"organization_id": organization_id},
            )
        )

    def update(
        self, organization_id: Id, *, name: str | UnsetType | None = UNSET, logo: str | UnsetType | None = UNSET
    ) -> OrganizationDetails:
        """Change name or logo."""
        return self._send(
            Call(
                "organizations.update",
                "PATCH",
                "/v1/organizations/{organization_id}",
                OrganizationDetails,
                path={"organization_id": organization_id},
                body=body(OrganizationUpdate, name=name, logo=logo),
            )
        )

    def delete(self, organization_id: Id) -> None:
        """Delete an empty organization."""
        self._send(
            Call(
                "organizations.delete",
                "DELETE",
                "/v1/organizations/{organization_id}",
                type(None),
                path={"organization_id": organization_id},
            )
        )

    def force_delete(self, organization_id: Id, *, confirm: str) -> Deletion:
        """Delete an organization with all its orbits and what is in them, and the bytes in its buckets.

        `confirm` is the organization's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        return self._send(
            Call(
                "organizations.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/force",
                Deletion,
                path={"organization_id": organization_id},
                query={"confirm": confirm},
            )
        )

    def leave(self, organization_id: Id) -> None:
        """Leave an organization and all of its orbits; an owner transfers the ownership first."""
        self._send(
            Call(
                "organizations.leave",
                "DELETE",
                "/v1/organizations/{organization_id}/leave",
                type(None),
                path={"organization_id": organization_id},
            )
        )

    def transfer(self, organization_id: Id, *, member_id: Id) -> OrganizationMember:
        """Make another member the owner in one's place, and oneself an admin; the answer is the new owner."""
        return self._send(
            Call(
                "organizations.transfer",
                "POST",
                "/v1/organizations/{organization_id}/transfer",
                OrganizationMember,
                path={"organization_id": organization_id},
                body=body(OwnershipTransfer, member_id=member_id),
            )
        )


class Members(Group):
    """People in an organization. Only an owner makes or changes an admin, and nobody changes themselves."""

    def list(self, organization_id: Id) -> builtins.list[OrganizationMember]:
        """The members of an organization, the longest-standing first."""
        return self._send(
            Call(
                "members.list",
                "GET",
                "/v1/organizations/{organization_id}/members",
                builtins.list[OrganizationMember],
                path={"organization_id": organization_id},
            )
        )

    def create(
        self, organization_id: Id, *, user_id: Id, role: Literal["owner", "admin", "member"]
    ) -> OrganizationMember:
        """Make somebody with an account a member at once; an invitation that waits for them is used up."""
        return self._send(
            Call(
                "members.create",
                "POST",
                "/v1/organizations/{organization_id}/members",
                OrganizationMember,
                path={"organization_id": organization_id},
                body=body(OrganizationMemberCreate, user_id=user_id, role=role),
            )
        )

    def update(
        self, organization_id: Id, member_id: Id, *, role: Literal["owner", "admin", "member"]
    ) -> OrganizationMember:
        """Give a member another role."""
        return self._send(
            Call(
                "members.update",
                "PATCH",
                "/v1/organizations/{organization_id}/members/{member_id}",
                OrganizationMember,
                path={"organization_id": organization_id, "member_id": member_id},
                body=body(OrganizationMemberUpdate, role=role),
            )
        )

    def delete(self, organization_id: Id, member_id: Id) -> None:
        """Remove a member from the organization and from all of its orbits."""
        self._send(
            Call(
                "members.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/members/{member_id}",
                type(None),
                path={"organization_id": organization_id, "member_id": member_id},
            )
        )


class Invites(Group):
    """Invitations to an organization. They wait for people who have no account yet, and expire."""

    def list(self, organization_id: Id) -> builtins.list[OrganizationInvite]:
        """The invitations that nobody has answered yet, expired ones among them."""
        return self._send(
            Call(
                "invites.list",
                "GET",
                "/v1/organizations/{organization_id}/invitations",
                builtins.list[OrganizationInvite],
                path={"organization_id": organization_id},
            )
        )

    def create(
        self, organization_id: Id, *, email: str, role: Literal["owner", "admin", "member"]
    ) -> OrganizationInvite:
        """Invite an address, with or without an account; an expired invitation of it is renewed."""
        return self._send(
            Call(
                "invites.create",
                "POST",
                "/v1/organizations/{organization_id}/invitations",
                OrganizationInvite,
                path={"organization_id": organization_id},
                body=body(OrganizationInviteCreate, email=email, role=role),
            )
        )

    def resend(self, organization_id: Id, invite_id: Id) -> OrganizationInvite:
        """Send an invitation again, in one's own name; it is good for the full time once more."""
        return self._send(
            Call(
                "invites.resend",
                "POST",
                "/v1/organizations/{organization_id}/invitations/{invite_id}/resend",
                OrganizationInvite,
                path={"organization_id": organization_id, "invite_id": invite_id},
            )
        )

    def delete(self, organization_id: Id, invite_id: Id) -> None:
        """Take an invitation back."""
        self._send(
            Call(
                "invites.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/invitations/{invite_id}",
                type(None),
                path={"organization_id": organization_id, "invite_id": invite_id},
            )
        )


class Invitations(Group):
    """The invitations to one's own address."""

    def list(self) -> builtins.list[OrganizationInvite]:
        """The invitations that one can accept or reject."""
        return self._send(
            Call("invitations.list", "GET", "/v1/users/me/invitations", builtins.list[OrganizationInvite])
        )

    def accept(self, invite_id: Id) -> OrganizationMember:
        """Become a member. The invitation must be in time, and who has sent it must still be allowed to."""
        return self._send(
            Call(
                "invitations.accept",
                "POST",
                "/v1/users/me/invitations/{invite_id}/accept",
                OrganizationMember,
                path={"invite_id": invite_id},
            )
        )

    def reject(self, invite_id: Id) -> None:
        """Say no; the invitation is gone."""
        self._send(
            Call(
                "invitations.reject",
                "POST",
                "/v1/users/me/invitations/{invite_id}/reject",
                type(None),
                path={"invite_id": invite_id},
            )
        )


class ServiceAccounts(Group):
    """Users for programs: members of one organization and of any of its orbits, who never own anything."""

    def list(self, organization_id: Id) -> builtins.list[ServiceAccount]:
        """The service accounts of an organization."""
        return self._send(
            Call(
                "service_accounts.list",
                "GET",
                "/v1/organizations/{organization_id}/service-accounts",
                builtins.list[ServiceAccount],
                path={"organization_id": organization_id},
            )
        )

    def create(self, organization_id: Id, *, name: str) -> ServiceAccount:
        """Create a service account, a member of the organization. Put it into orbits to let it do something."""
        return self._send(
            Call(
                "service_accounts.create",
                "POST",
                "/v1/organizations/{organization_id}/service-accounts",
                ServiceAccount,
                path={"organization_id": organization_id},
                body=body(ServiceAccountCreate, name=name),
            )
        )

    def delete(self, organization_id: Id, account_id: Id) -> None:
        """Delete a service account with its API keys; what it has made stays."""
        self._send(
            Call(
                "service_accounts.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/service-accounts/{account_id}",
                type(None),
                path={"organization_id": organization_id, "account_id": account_id},
            )
        )

    def keys(self, organization_id: Id, account_id: Id) -> builtins.list[ApiKey]:
        """The API keys of a service account, without the keys themselves."""
        return self._send(
            Call(
                "service_accounts.keys",
                "GET",
                "/v1/organizations/{organization_id}/service-accounts/{account_id}/api-keys",
                builtins.list[ApiKey],
                path={"organization_id": organization_id, "account_id": account_id},
            )
        )

    def create_key(
        self,
        organization_id: Id,
        account_id: Id,
        *,
        name: str,
        scopes: builtins.list[Literal["api", "inference", "logs"]] | None = None,
        orbit_id: Id | None = None,
        expires_at: datetime | None = None,
    ) -> ApiKeyCreated:
        """Make an API key for a service account; it is shown this once."""
        return self._send(
            Call(
                "service_accounts.create_key",
                "POST",
                "/v1/organizations/{organization_id}/service-accounts/{account_id}/api-keys",
                ApiKeyCreated,
                path={"organization_id": organization_id, "account_id": account_id},
                body=body(ApiKeyCreate, name=name, scopes=scopes, orbit_id=orbit_id, expires_at=expires_at),
            )
        )

    def delete_key(self, organization_id: Id, account_id: Id, key_id: Id) -> None:
        """Delete an API key of a service account; it stops working at once."""
        self._send(
            Call(
                "service_accounts.delete_key",
                "DELETE",
                "/v1/organizations/{organization_id}/service-accounts/{account_id}/api-keys/{key_id}",
                type(None),
                path={"organization_id": organization_id, "account_id": account_id, "key_id": key_id},
            )
        )


class Orbits(Group):
    """Workspaces: members, one bucket, and everything below."""

    def list(self, organization_id: Id) -> builtins.list[OrbitListed]:
        """The orbits of an organization that one may enter."""
        return self._send(
            Call(
                "orbits.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits",
                builtins.list[OrbitListed],
                path={"organization_id": organization_id},
            )
        )

    def create(
        self,
        organization_id: Id,
        *,
        name: str,
        bucket_secret_id: Id,
        members: builtins.list[OrbitMemberAdded] | None = None,
        notify: bool = False,
    ) -> Orbit:
        """Create an orbit on one of the organization's buckets."""
        return self._send(
            Call(
                "orbits.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits",
                Orbit,
                path={"organization_id": organization_id},
                body=body(OrbitCreate, name=name, bucket_secret_id=bucket_secret_id, members=members, notify=notify),
            )
        )

    def get(self, organization_id: Id, orbit_id: Id) -> Orbit:
        """An orbit with its members and the tags of its collections."""
        return self._send(
            Call(
                "orbits.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}",
                Orbit,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        bucket_secret_id: Id | UnsetType | None = UNSET,
    ) -> Orbit:
        """Change name or bucket; artifacts that are stored already stay where they are."""
        return self._send(
            Call(
                "orbits.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}",
                Orbit,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(OrbitUpdate, name=name, bucket_secret_id=bucket_secret_id),
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id) -> None:
        """Delete an orbit that holds no artifacts and no satellites."""
        self._send(
            Call(
                "orbits.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    def force_delete(self, organization_id: Id, orbit_id: Id, *, confirm: str) -> Deletion:
        """Delete an orbit with all that is in it: deployments, satellites, tracks, artifacts and their bytes.

        `confirm` is the orbit's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        return self._send(
            Call(
                "orbits.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/force",
                Deletion,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={"confirm": confirm},
            )
        )


class OrbitMembers(Group):
    """Members of an organization in one of its orbits."""

    def list(self, organization_id: Id, orbit_id: Id) -> builtins.list[OrbitMember]:
        """The members of an orbit, the longest-standing first."""
        return self._send(
            Call(
                "orbit_members.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/members",
                builtins.list[OrbitMember],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    def create(
        self, organization_id: Id, orbit_id: Id, *, user_id: Id, role: Literal["admin", "member", "viewer"]
    ) -> OrbitMember:
        """Let a member of the organization into the orbit."""
        return self._send(
            Call(
                "orbit_members.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/members",
                OrbitMember,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(OrbitMemberAdded, user_id=user_id, role=role),
            )
        )

    def update(
        self, organization_id: Id, orbit_id: Id, member_id: Id, *, role: Literal["admin", "member", "viewer"]
    ) -> OrbitMember:
        """Give a member of the orbit another role."""
        return self._send(
            Call(
                "orbit_members.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/members/{member_id}",
                OrbitMember,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "member_id": member_id},
                body=body(OrbitMemberUpdate, role=role),
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id, member_id: Id) -> None:
        """Remove somebody from the orbit; they stay in the organization."""
        self._send(
            Call(
                "orbit_members.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/members/{member_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "member_id": member_id},
            )
        )


class Secrets(Group):
    """Values for deployments, such as passwords. Only `get` shows one, and leaves a trace of it in the events."""

    def list(self, organization_id: Id, orbit_id: Id) -> builtins.list[Secret]:
        """The secrets of an orbit by name, without their values."""
        return self._send(
            Call(
                "secrets.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets",
                builtins.list[Secret],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    def create(
        self, organization_id: Id, orbit_id: Id, *, name: str, value: str, tags: builtins.list[str] | None = None
    ) -> Secret:
        """Store a secret; its value is encrypted."""
        return self._send(
            Call(
                "secrets.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets",
                Secret,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(SecretCreate, name=name, value=value, tags=tags),
            )
        )

    def get(self, organization_id: Id, orbit_id: Id, secret_id: Id) -> Secret:
        """A secret with its value."""
        return self._send(
            Call(
                "secrets.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets/{secret_id}",
                Secret,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "secret_id": secret_id},
            )
        )

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        secret_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        value: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
    ) -> Secret:
        """Change name, value or tags; deployments that use it take a new value over by themselves."""
        return self._send(
            Call(
                "secrets.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets/{secret_id}",
                Secret,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "secret_id": secret_id},
                body=body(SecretUpdate, name=name, value=value, tags=tags),
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id, secret_id: Id) -> None:
        """Delete a secret; refused while a deployment refers to it."""
        self._send(
            Call(
                "secrets.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets/{secret_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "secret_id": secret_id},
            )
        )


class Buckets(Group):
    """Places for bytes, with their credentials."""

    def list(self, organization_id: Id) -> builtins.list[Bucket]:
        """The buckets of an organization, without their credentials."""
        return self._send(
            Call(
                "buckets.list",
                "GET",
                "/v1/organizations/{organization_id}/bucket-secrets",
                builtins.list[Bucket],
                path={"organization_id": organization_id},
            )
        )

    def create(
        self,
        organization_id: Id,
        *,
        endpoint: str,
        bucket_name: str,
        type: Literal["s3", "azure"] = "s3",
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        secure: bool | None = None,
        cert_check: bool | None = None,
    ) -> Bucket:
        """Add a bucket; its credentials are encrypted and never given out again."""
        return self._send(
            Call(
                "buckets.create",
                "POST",
                "/v1/organizations/{organization_id}/bucket-secrets",
                Bucket,
                path={"organization_id": organization_id},
                body=body(
                    BucketCreate,
                    endpoint=endpoint,
                    bucket_name=bucket_name,
                    type=type,
                    region=region,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    secure=secure,
                    cert_check=cert_check,
                ),
            )
        )

    def get(self, organization_id: Id, secret_id: Id) -> Bucket:
        """A bucket, without its credentials."""
        return self._send(
            Call(
                "buckets.get",
                "GET",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}",
                Bucket,
                path={"organization_id": organization_id, "secret_id": secret_id},
            )
        )

    def update(
        self,
        organization_id: Id,
        secret_id: Id,
        *,
        type: Literal["s3", "azure"] | UnsetType | None = UNSET,
        endpoint: str | UnsetType | None = UNSET,
        bucket_name: str | UnsetType | None = UNSET,
        region: str | UnsetType | None = UNSET,
        access_key: str | UnsetType | None = UNSET,
        secret_key: str | UnsetType | None = UNSET,
        session_token: str | UnsetType | None = UNSET,
        secure: bool | UnsetType | None = UNSET,
        cert_check: bool | UnsetType | None = UNSET,
    ) -> Bucket:
        """Change a bucket's address or credentials."""
        return self._send(
            Call(
                "buckets.update",
                "PATCH",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}",
                Bucket,
                path={"organization_id": organization_id, "secret_id": secret_id},
                body=body(
                    BucketUpdate,
                    type=type,
                    endpoint=endpoint,
                    bucket_name=bucket_name,
                    region=region,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    secure=secure,
                    cert_check=cert_check,
                ),
            )
        )

    def delete(self, organization_id: Id, secret_id: Id, *, leave_bytes: bool = False) -> None:
        """Delete a bucket's entry here, not the bucket; refused while an orbit or an artifact needs it.

        Refused, too, while bytes of deleted artifacts are still to be deleted there; with `leave_bytes` they stay in
        the bucket, as they must when its credentials do not open it any more.
        """
        self._send(
            Call(
                "buckets.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}",
                type(None),
                path={"organization_id": organization_id, "secret_id": secret_id},
                query={"leave_bytes": leave_bytes},
            )
        )

    def probe_urls(
        self,
        organization_id: Id,
        secret_id: Id,
        *,
        type: Literal["s3", "azure"] | UnsetType | None = UNSET,
        endpoint: str | UnsetType | None = UNSET,
        bucket_name: str | UnsetType | None = UNSET,
        region: str | UnsetType | None = UNSET,
        access_key: str | UnsetType | None = UNSET,
        secret_key: str | UnsetType | None = UNSET,
        session_token: str | UnsetType | None = UNSET,
        secure: bool | UnsetType | None = UNSET,
        cert_check: bool | UnsetType | None = UNSET,
        id: Id | None = None,
    ) -> BucketUrls:
        """Signed addresses of a probe object, to see whether the bucket works from where the client is."""
        return self._send(
            Call(
                "buckets.probe_urls",
                "POST",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}/urls",
                BucketUrls,
                path={"organization_id": organization_id, "secret_id": secret_id},
                body=body(
                    BucketProbe,
                    type=type,
                    endpoint=endpoint,
                    bucket_name=bucket_name,
                    region=region,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    secure=secure,
                    cert_check=cert_check,
                    id=id,
                ),
            )
        )

    def try_urls(
        self,
        *,
        endpoint: str,
        bucket_name: str,
        type: Literal["s3", "azure"] = "s3",
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        secure: bool | None = None,
        cert_check: bool | None = None,
    ) -> BucketUrls:
        """Signed addresses of a probe object in a bucket that is not added yet; nothing is kept."""
        return self._send(
            Call(
                "buckets.try_urls",
                "POST",
                "/v1/bucket-secrets/urls",
                BucketUrls,
                body=body(
                    BucketCreate,
                    endpoint=endpoint,
                    bucket_name=bucket_name,
                    type=type,
                    region=region,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    secure=secure,
                    cert_check=cert_check,
                ),
            )
        )

    def probe(self, organization_id: Id, secret_id: Id) -> BucketReport:
        """Try from the server all that LUML does with a bucket, and say of each step how it went.

        An object is written, read by range, uploaded in parts and deleted by signed addresses; a preflight asks
        whether the pages of this server may speak to the bucket. `cors` holds what to tell the bucket if they may not.
        """
        return self._send(
            Call(
                "buckets.probe",
                "POST",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}/probe",
                BucketReport,
                path={"organization_id": organization_id, "secret_id": secret_id},
            )
        )


class Uploads(Group):
    """Uploads of artifacts' bytes: parts, retries, aborts."""

    def multipart(
        self, *, bucket_id: Id, bucket_location: str, size: int, upload_id: str | None = None
    ) -> MultipartUpload:
        """The part addresses of an upload that was initiated; for whoever may create the artifact that waits for it."""
        return self._send(
            Call(
                "uploads.multipart",
                "POST",
                "/v1/bucket-secrets/upload/multipart",
                MultipartUpload,
                body=body(
                    MultipartRequest,
                    bucket_id=bucket_id,
                    bucket_location=bucket_location,
                    size=size,
                    upload_id=upload_id,
                ),
            )
        )

    def retry(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> ArtifactCreated:
        """Get a new address for the bytes of an artifact whose upload failed, or has not ended."""
        return self._send(
            Call(
                "uploads.retry",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/upload",
                ArtifactCreated,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    def abort(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> None:
        """Give up an upload that has not ended: the artifact goes, and what arrived of its bytes."""
        self._send(
            Call(
                "uploads.abort",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/upload",
                type(None),
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )


class Deletions(Group):
    """Deletions of collections, orbits and organizations with all that is in them."""

    def list(self) -> builtins.list[Deletion]:
        """The latest hundred deletions that one has asked for, or that others have in organizations that one runs."""
        return self._send(Call("deletions.list", "GET", "/v1/users/me/deletions", builtins.list[Deletion]))


class Collections(Group):
    """Named groups of artifacts inside an orbit."""

    def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        name: str,
        type: Literal[
            "model", "dataset", "experiment", "model_dataset", "dataset_experiment", "model_experiment", "mixed"
        ],
        description: str = "",
        tags: builtins.list[str] | None = None,
    ) -> Collection:
        """Create a collection in an orbit."""
        return self._send(
            Call(
                "collections.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections",
                Collection,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(CollectionCreate, name=name, type=type, description=description, tags=tags),
            )
        )

    def list(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 50,
        sort_by: Literal["created_at", "name", "type", "description", "total_artifacts"] = "created_at",
        order: Literal["asc", "desc"] = "desc",
        search: str | None = None,
        types: builtins.list[Literal["model", "dataset", "experiment", "mixed"]] | None = None,
    ) -> Page[Collection]:
        """The collections of an orbit; `search` looks into names, descriptions and tags."""
        return self._send(
            Call(
                "collections.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections",
                Page[Collection],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={
                    "cursor": cursor,
                    "limit": limit,
                    "sort_by": sort_by,
                    "order": order,
                    "search": search,
                    "types": types,
                },
            )
        )

    def get(self, organization_id: Id, orbit_id: Id, collection_id: Id) -> CollectionDetails:
        """A collection with the tags and the searchable values that occur in it, at most 5,000 of each.

        What occurs in none of its artifacts any more may be among them for up to a day.
        """
        return self._send(
            Call(
                "collections.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}",
                CollectionDetails,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
            )
        )

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        collection_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
    ) -> Collection:
        """Change name, description or tags."""
        return self._send(
            Call(
                "collections.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}",
                Collection,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
                body=body(CollectionUpdate, name=name, description=description, tags=tags),
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id, collection_id: Id) -> None:
        """Delete an empty collection."""
        self._send(
            Call(
                "collections.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
            )
        )

    def force_delete(self, organization_id: Id, orbit_id: Id, collection_id: Id, *, confirm: str) -> Deletion:
        """Delete a collection with all its artifacts, taking them out of tracks and their deployments down.

        `confirm` is the collection's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        return self._send(
            Call(
                "collections.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/force",
                Deletion,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
                query={"confirm": confirm},
            )
        )


class Artifacts(Group):
    """Stored files with manifest, digest, file index, metrics and tags."""

    def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        collection_id: Id,
        *,
        file_name: str,
        manifest: dict[str, Any],
        file_index: dict[str, tuple[int, int]],
        file_hash: str,
        size: int,
        extra_values: dict[str, Any] | UnsetType = UNSET,
        params: dict[str, Any] | UnsetType = UNSET,
        name: str | None = None,
        description: str | None = None,
        tags: builtins.list[str] | None = None,
        type: Literal["model", "experiment", "dataset"] | None = None,
    ) -> ArtifactCreated:
        """Announce an artifact and get the address to which its bytes go."""
        return self._send(
            Call(
                "artifacts.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts",
                ArtifactCreated,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
                body=body(
                    ArtifactCreate,
                    file_name=file_name,
                    manifest=manifest,
                    file_index=file_index,
                    file_hash=file_hash,
                    size=size,
                    extra_values=extra_values,
                    params=params,
                    name=name,
                    description=description,
                    tags=tags,
                    type=type,
                ),
            )
        )

    def list(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        types: builtins.list[Literal["model", "experiment", "dataset"]] | None = None,
        cursor: str | None = None,
        limit: int = 50,
        sort_by: str = "created_at",
        order: Literal["asc", "desc"] = "desc",
        collection_ids: builtins.list[Id] | None = None,
        search: str | None = None,
        excluded_tracks: builtins.list[Id] | None = None,
        text: str | None = None,
        tags: builtins.list[str] | None = None,
        type: Literal["model", "experiment", "dataset"] | None = None,
        status: builtins.list[
            Literal["pending_upload", "uploaded", "pending_deletion", "upload_failed", "deletion_failed"]
        ]
        | None = None,
        filter: str | None = None,
        with_total: bool = False,
    ) -> ArtifactPage:
        """The artifacts of an orbit that fit all that is asked for.

        `search` is a piece of name, description or tags, `text` words that each occur there, `tags` are tags that the
        artifact has all of. `filter` is an expression over attributes, metrics and parameters, as in
        `metrics.auc > 0.9 and tags contains "prod"`. `sort_by` is a field or the name of a metric (or `metrics.…`,
        `params.…`): numbers only, missing ones last.
        """
        return self._send(
            Call(
                "artifacts.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts",
                ArtifactPage,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={
                    "types": types,
                    "cursor": cursor,
                    "limit": limit,
                    "sort_by": sort_by,
                    "order": order,
                    "collection_ids": collection_ids,
                    "search": search,
                    "excluded_tracks": excluded_tracks,
                    "text": text,
                    "tags": tags,
                    "type": type,
                    "status": status,
                    "filter": filter,
                    "with_total": with_total,
                },
            )
        )

    def find(self, organization_id: Id, orbit_id: Id, artifact_id: Id) -> Artifact:
        """An artifact of an orbit by its id alone, whatever collection it is in; `artifacts.get` tells more."""
        return self._send(
            Call(
                "artifacts.find",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts/{artifact_id}",
                Artifact,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "artifact_id": artifact_id},
            )
        )

    def get(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> ArtifactDetails:
        """An artifact with manifest and file index, where it stands and what uses it."""
        return self._send(
            Call(
                "artifacts.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}",
                ArtifactDetails,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        collection_id: Id,
        artifact_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
        status: Literal["uploaded", "upload_failed", "deletion_failed"] | UnsetType | None = UNSET,
        metrics: dict[str, int | float | None] | UnsetType | None = UNSET,
        params: dict[str, str | int | float | bool | None] | UnsetType | None = UNSET,
    ) -> Artifact:
        """Change name, description, tags, metrics or parameters, or report how an upload or a deletion went.

        Before an upload counts, the server looks into the bucket: without the object, or with another size or
        checksum than announced, the artifact becomes `upload_failed` and the answer is a conflict.
        """
        return self._send(
            Call(
                "artifacts.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}",
                Artifact,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
                body=body(
                    ArtifactUpdate,
                    name=name,
                    description=description,
                    tags=tags,
                    status=status,
                    metrics=metrics,
                    params=params,
                ),
            )
        )

    def download_url(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> SignedUrl:
        """A signed address of the artifact's bytes; it understands ranges."""
        return self._send(
            Call(
                "artifacts.download_url",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/download-url",
                SignedUrl,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    def delete_url(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> SignedUrl:
        """Begin a deletion by the client: a signed address that deletes the bytes. `artifacts.delete` confirms."""
        return self._send(
            Call(
                "artifacts.delete_url",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/delete-url",
                SignedUrl,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    def move(
        self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id, *, target_collection_id: Id
    ) -> Artifact:
        """Move an artifact into another collection of the orbit; tracks and deployments do not notice."""
        return self._send(
            Call(
                "artifacts.move",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/move",
                Artifact,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
                body=body(ArtifactMove, target_collection_id=target_collection_id),
            )
        )

    def move_many(
        self, organization_id: Id, orbit_id: Id, *, artifact_ids: builtins.list[Id], target_collection_id: Id
    ) -> ArtifactsChanged:
        """Move artifacts into another collection of the orbit: those that can be; the answer says why not the others.

        At most 500 at once; several calls do more.
        """
        return self._send(
            Call(
                "artifacts.move_many",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts/move",
                ArtifactsChanged,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(ArtifactBatchMove, artifact_ids=artifact_ids, target_collection_id=target_collection_id),
            )
        )

    def delete_many(self, organization_id: Id, orbit_id: Id, *, artifact_ids: builtins.list[Id]) -> ArtifactsChanged:
        """Delete artifacts and their bytes: those that can be; the answer says why not the others.

        At most 500 at once; several calls do more.
        """
        return self._send(
            Call(
                "artifacts.delete_many",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts/delete",
                ArtifactsChanged,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(ArtifactBatchDelete, artifact_ids=artifact_ids),
            )
        )

    def by_hash(self, organization_id: Id, orbit_id: Id, *, sha256: str) -> builtins.list[ArtifactBase]:
        """The uploaded artifacts of the orbit with exactly these bytes, oldest first: ask before uploading again."""
        return self._send(
            Call(
                "artifacts.by_hash",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts/by-hash",
                builtins.list[ArtifactBase],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={"sha256": sha256},
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> None:
        """Delete an artifact and its bytes; refused while it is deployed or in a track."""
        self._send(
            Call(
                "artifacts.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}",
                type(None),
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    def force_delete(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> None:
        """Delete an artifact and its bytes in whatever status it is; refused while it is deployed or in a track."""
        self._send(
            Call(
                "artifacts.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/force",
                type(None),
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )


class Search(Group):
    """Everything in an organization, by name, description and tags."""

    def list(
        self,
        organization_id: Id,
        *,
        text: str | None = None,
        kinds: builtins.list[Literal["artifact", "collection", "track", "deployment", "satellite"]] | None = None,
        filter: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Found]:
        """What is in the orbits that you may see, newest first.

        Each word of `text` must occur in name, description or tags. With a `filter` expression only artifacts are
        found: see `artifacts.list`.
        """
        return self._send(
            Call(
                "search.list",
                "GET",
                "/v1/organizations/{organization_id}/search",
                Page[Found],
                path={"organization_id": organization_id},
                query={"text": text, "kinds": kinds, "filter": filter, "limit": limit, "cursor": cursor},
            )
        )


class Tracks(Group):
    """Named lines of versions of artifacts of one type, with stages that point at one version each."""

    def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        name: str,
        artifact_type: Literal["model", "experiment", "dataset"],
        description: str | None = None,
        tags: builtins.list[str] | None = None,
        stages: builtins.list[str] | UnsetType = UNSET,
        protected_stages: builtins.list[str] | UnsetType = UNSET,
    ) -> Track:
        """Create a track with its stages."""
        return self._send(
            Call(
                "tracks.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks",
                Track,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(
                    TrackCreate,
                    name=name,
                    artifact_type=artifact_type,
                    description=description,
                    tags=tags,
                    stages=stages,
                    protected_stages=protected_stages,
                ),
            )
        )

    def list(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 50,
        sort_by: Literal["name", "description", "total_entries", "created_at"] = "created_at",
        order: Literal["asc", "desc"] = "desc",
        search: str | None = None,
        types: builtins.list[str] | None = None,
    ) -> Page[Track]:
        """The tracks of an orbit; `search` looks into names and descriptions, `types` are those of artifacts."""
        return self._send(
            Call(
                "tracks.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks",
                Page[Track],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={
                    "cursor": cursor,
                    "limit": limit,
                    "sort_by": sort_by,
                    "order": order,
                    "search": search,
                    "types": types,
                },
            )
        )

    def get(self, organization_id: Id, orbit_id: Id, track_id: Id, *, as_of: datetime | None = None) -> Track:
        """A track with its stages; `as_of` a moment, as it was then, with its versions."""
        return self._send(
            Call(
                "tracks.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}",
                Track,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                query={"as_of": as_of},
            )
        )

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
        stages: builtins.list[StageChange] | UnsetType | None = UNSET,
    ) -> Track:
        """Change name, description, tags or the list of stages; a stage that holds a version cannot be dropped."""
        return self._send(
            Call(
                "tracks.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}",
                Track,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                body=body(TrackUpdate, name=name, description=description, tags=tags, stages=stages),
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id, track_id: Id) -> None:
        """Delete a track with its versions; the artifacts stay."""
        self._send(
            Call(
                "tracks.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
            )
        )

    def stages(
        self, organization_id: Id, orbit_id: Id, track_id: Id, *, as_of: datetime | None = None
    ) -> builtins.list[Stage]:
        """The stages of a track, in their order; `as_of` a moment, as they were then, with the versions in them."""
        return self._send(
            Call(
                "tracks.stages",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/stages",
                builtins.list[Stage],
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                query={"as_of": as_of},
            )
        )

    def stage(
        self, organization_id: Id, orbit_id: Id, track_id: Id, stage_id: Id, *, as_of: datetime | None = None
    ) -> Stage:
        """A stage and the version that is in it, or (`as_of`) that was in it at a moment."""
        return self._send(
            Call(
                "tracks.stage",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/stages/{stage_id}",
                Stage,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "stage_id": stage_id,
                },
                query={"as_of": as_of},
            )
        )


class TrackEntries(Group):
    """The versions of a track, and the stages that they are in."""

    def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        *,
        artifact_id: Id,
        stage_id: Id | None = None,
        why: str | None = None,
    ) -> TrackEntry:
        """Add an uploaded artifact as the next version, into a stage if wished."""
        return self._send(
            Call(
                "track_entries.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries",
                TrackEntry,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                body=body(TrackEntryCreate, artifact_id=artifact_id, stage_id=stage_id, why=why),
            )
        )

    def list(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 50,
        sort_by: Literal["artifact_name", "description", "stage", "version", "created_at"] = "created_at",
        order: Literal["asc", "desc"] = "desc",
        stage: Id | None = None,
    ) -> Page[TrackEntry]:
        """The versions of a track; `stage` asks for the one in that stage."""
        return self._send(
            Call(
                "track_entries.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries",
                Page[TrackEntry],
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                query={"cursor": cursor, "limit": limit, "sort_by": sort_by, "order": order, "stage": stage},
            )
        )

    def delete_many(
        self, organization_id: Id, orbit_id: Id, track_id: Id, *, entry_ids: builtins.list[Id], why: str | None = None
    ) -> None:
        """Take versions out of a track; all of them, or, if one is not of this track, none."""
        self._send(
            Call(
                "track_entries.delete_many",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                body=body(TrackEntriesDelete, entry_ids=entry_ids, why=why),
            )
        )

    def by_stage(self, organization_id: Id, orbit_id: Id, track_id: Id, *, stage_id: Id) -> TrackEntry:
        """The version that is in a stage."""
        return self._send(
            Call(
                "track_entries.by_stage",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries/by-stage",
                TrackEntry,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                query={"stage_id": stage_id},
            )
        )

    def get(self, organization_id: Id, orbit_id: Id, track_id: Id, entry_id: Id) -> TrackEntry:
        """One version of a track."""
        return self._send(
            Call(
                "track_entries.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries/{entry_id}",
                TrackEntry,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "entry_id": entry_id,
                },
            )
        )

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        entry_id: Id,
        *,
        stage_id: Id | UnsetType | None = UNSET,
        why: str | None = None,
        force: bool = False,
    ) -> TrackEntry:
        """Move a version into a stage, or out of it (null). `force` takes the stage from the version that has it."""
        return self._send(
            Call(
                "track_entries.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries/{entry_id}",
                TrackEntry,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "entry_id": entry_id,
                },
                query={"force": force},
                body=body(TrackEntryUpdate, stage_id=stage_id, why=why),
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id, track_id: Id, entry_id: Id, *, why: str | None = None) -> None:
        """Take a version out of a track; its number is not given again, and the artifact stays."""
        self._send(
            Call(
                "track_entries.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries/{entry_id}",
                type(None),
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "entry_id": entry_id,
                },
                query={"why": why},
            )
        )


class TrackHistory(Group):
    """Which version was in which stage, since when, by whom and why."""

    def stage(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        stage_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 50,
        order: Literal["asc", "desc"] = "desc",
    ) -> Page[Tenure]:
        """The versions that were in a stage, one after the other; also of a stage that has been dropped."""
        return self._send(
            Call(
                "track_history.stage",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/stages/{stage_id}/history",
                Page[Tenure],
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "stage_id": stage_id,
                },
                query={"cursor": cursor, "limit": limit, "order": order},
            )
        )


class Satellites(Group):
    """Workers attached to an orbit, which run its deployments."""

    def create(
        self, organization_id: Id, orbit_id: Id, *, name: str | None = None, description: str | None = None
    ) -> SatelliteCreated:
        """Create a satellite; start it with the key that the answer shows, this once."""
        return self._send(
            Call(
                "satellites.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites",
                SatelliteCreated,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(SatelliteCreate, name=name, description=description),
            )
        )

    def list(self, organization_id: Id, orbit_id: Id, *, paired: bool | None = None) -> builtins.list[Satellite]:
        """The satellites of an orbit; `paired` chooses those that have, or have not, been started yet."""
        return self._send(
            Call(
                "satellites.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites",
                builtins.list[Satellite],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={"paired": paired},
            )
        )

    def get(self, organization_id: Id, orbit_id: Id, satellite_id: Id) -> Satellite:
        """A satellite."""
        return self._send(
            Call(
                "satellites.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites/{satellite_id}",
                Satellite,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "satellite_id": satellite_id},
            )
        )

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        satellite_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
    ) -> Satellite:
        """Change name or description."""
        return self._send(
            Call(
                "satellites.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites/{satellite_id}",
                Satellite,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "satellite_id": satellite_id},
                body=body(SatelliteUpdate, name=name, description=description),
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id, satellite_id: Id) -> None:
        """Delete a satellite that has no deployments; its key stops working."""
        self._send(
            Call(
                "satellites.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites/{satellite_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "satellite_id": satellite_id},
            )
        )

    def rotate_key(self, organization_id: Id, orbit_id: Id, satellite_id: Id) -> ApiKeyCreated:
        """Give a satellite a new key; the old one stops working at once."""
        return self._send(
            Call(
                "satellites.rotate_key",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites/{satellite_id}/api-key",
                ApiKeyCreated,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "satellite_id": satellite_id},
            )
        )


class Deployments(Group):
    """Models served on satellites."""

    def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        satellite_id: Id,
        name: str,
        artifact_id: Id | UnsetType = UNSET,
        follow_stage_id: Id | None = None,
        satellite_parameters: dict[str, bool | int | str] | UnsetType = UNSET,
        description: str | None = None,
        env_variables: dict[str, str] | UnsetType = UNSET,
        dynamic_attributes_secrets: dict[str, Id] | UnsetType = UNSET,
        env_variables_secrets: dict[str, Id] | UnsetType = UNSET,
        tags: builtins.list[str] | None = None,
    ) -> Deployment:
        """Deploy an uploaded model on a paired satellite; the satellite takes it from there."""
        return self._send(
            Call(
                "deployments.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(
                    DeploymentCreate,
                    satellite_id=satellite_id,
                    artifact_id=artifact_id,
                    follow_stage_id=follow_stage_id,
                    name=name,
                    satellite_parameters=satellite_parameters,
                    description=description,
                    env_variables=env_variables,
                    dynamic_attributes_secrets=dynamic_attributes_secrets,
                    env_variables_secrets=env_variables_secrets,
                    tags=tags,
                ),
            )
        )

    def list(self, organization_id: Id, orbit_id: Id) -> builtins.list[Deployment]:
        """The deployments of an orbit, newest first."""
        return self._send(
            Call(
                "deployments.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments",
                builtins.list[Deployment],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    def get(self, organization_id: Id, orbit_id: Id, deployment_id: Id) -> Deployment:
        """A deployment."""
        return self._send(
            Call(
                "deployments.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
            )
        )

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        deployment_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
        dynamic_attributes_secrets: dict[str, Id] | UnsetType | None = UNSET,
        follow_stage_id: Id | UnsetType | None = UNSET,
    ) -> Deployment:
        """Change name, description, tags, the stage that it follows, or the secrets of dynamic attributes."""
        return self._send(
            Call(
                "deployments.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(
                    DeploymentUpdate,
                    name=name,
                    description=description,
                    tags=tags,
                    dynamic_attributes_secrets=dynamic_attributes_secrets,
                    follow_stage_id=follow_stage_id,
                ),
            )
        )

    def delete(self, organization_id: Id, orbit_id: Id, deployment_id: Id) -> Task:
        """Ask the satellite to take a deployment down; the answer is the task that does it."""
        return self._send(
            Call(
                "deployments.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}",
                Task,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
            )
        )

    def force_delete(self, organization_id: Id, orbit_id: Id, deployment_id: Id) -> None:
        """Forget a deployment at once, even when its satellite is away; the satellite cleans up when it is back."""
        self._send(
            Call(
                "deployments.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/force",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
            )
        )

    def stop(self, organization_id: Id, orbit_id: Id, deployment_id: Id, *, why: str | None = None) -> Deployment:
        """Stop serving: no replica stays, and what the deployment is stays as it is; `start` serves it again.

        A rollout that is under way ends with it: the stable revision is what `start` serves.
        """
        return self._send(
            Call(
                "deployments.stop",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/stop",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(Reason, why=why),
            )
        )

    def start(self, organization_id: Id, orbit_id: Id, deployment_id: Id, *, why: str | None = None) -> Deployment:
        """Serve a deployment again that was stopped."""
        return self._send(
            Call(
                "deployments.start",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/start",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(Reason, why=why),
            )
        )

    def restart(self, organization_id: Id, orbit_id: Id, deployment_id: Id, *, why: str | None = None) -> Deployment:
        """Replace every replica by a new one; the old ones serve until the new ones are ready."""
        return self._send(
            Call(
                "deployments.restart",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/restart",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(Reason, why=why),
            )
        )


class Revisions(Group):
    """What a deployment serves or has served: a model with its environment and parameters."""

    def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        deployment_id: Id,
        *,
        artifact_id: Id | UnsetType | None = UNSET,
        satellite_parameters: dict[str, bool | int | str] | UnsetType | None = UNSET,
        env_variables: dict[str, str] | UnsetType | None = UNSET,
        env_variables_secrets: dict[str, Id] | UnsetType | None = UNSET,
        rollout: RolloutCreate | None = None,
        why: str | None = None,
    ) -> Deployment:
        """Roll out a change: another model, environment or parameters; what is not sent is as before.

        The revision before serves until the new one is ready, and its share of the requests as long as the rollout
        says so.
        """
        return self._send(
            Call(
                "revisions.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/revisions",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(
                    RevisionCreate,
                    artifact_id=artifact_id,
                    satellite_parameters=satellite_parameters,
                    env_variables=env_variables,
                    env_variables_secrets=env_variables_secrets,
                    rollout=rollout,
                    why=why,
                ),
            )
        )

    def list(
        self, organization_id: Id, orbit_id: Id, deployment_id: Id, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Revision]:
        """The revisions of a deployment, newest first."""
        return self._send(
            Call(
                "revisions.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/revisions",
                Page[Revision],
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                query={"cursor": cursor, "limit": limit},
            )
        )

    def difference(self, organization_id: Id, orbit_id: Id, deployment_id: Id, revision_id: Id) -> RevisionDifference:
        """What going (back) to a revision would change."""
        return self._send(
            Call(
                "revisions.difference",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/revisions/{revision_id}/difference",
                RevisionDifference,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "deployment_id": deployment_id,
                    "revision_id": revision_id,
                },
            )
        )


class Rollouts(Group):
    """The move of a deployment from one revision to the next."""

    def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        deployment_id: Id,
        *,
        weight: int | UnsetType = UNSET,
        mirror: bool | UnsetType = UNSET,
        steps: builtins.list[RolloutStep] | UnsetType = UNSET,
        bounds: RolloutBounds | UnsetType | None = UNSET,
        why: str | None = None,
    ) -> Deployment:
        """Change the new revision's share of the requests; with weight 100 it takes over."""
        return self._send(
            Call(
                "rollouts.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/rollout",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(RolloutUpdate, weight=weight, mirror=mirror, steps=steps, bounds=bounds, why=why),
            )
        )

    def rollback(
        self,
        organization_id: Id,
        orbit_id: Id,
        deployment_id: Id,
        *,
        revision_id: Id | None = None,
        why: str | None = None,
    ) -> Deployment:
        """Go back to an earlier revision; what serves now goes on until that is ready.

        That is the named one, else the stable one of a rollout under way, else the one that served before.
        """
        return self._send(
            Call(
                "rollouts.rollback",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/rollback",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(Rollback, revision_id=revision_id, why=why),
            )
        )


class Agent(Group):
    """The satellite's own door to the registry."""

    def pair(
        self, *, base_url: str, capabilities: dict[str, dict[str, Any] | None], slug: str | None = None
    ) -> Satellite:
        """Say at each start where one serves and what one can do."""
        return self._send(
            Call(
                "agent.pair",
                "POST",
                "/satellites/v1/pair",
                Satellite,
                body=body(SatellitePair, base_url=base_url, capabilities=capabilities, slug=slug),
            )
        )

    def open_session(self, *, instance: str, lease_seconds: float = 30) -> SatelliteSession:
        """Be the one instance of this satellite that works, or go on being it; refused while another one is.

        Instances share the satellite's key. One that is refused stands by, and asks again: the session of one that does
        not renew it ends after `lease_seconds`.
        """
        return self._send(
            Call(
                "agent.open_session",
                "POST",
                "/satellites/v1/session",
                SatelliteSession,
                body=body(SessionOpen, instance=instance, lease_seconds=lease_seconds),
            )
        )

    def close_session(self, *, instance: str) -> None:
        """Work no more, so that another instance of this satellite may at once."""
        self._send(
            Call("agent.close_session", "DELETE", "/satellites/v1/session", type(None), query={"instance": instance})
        )

    def tasks(
        self, *, status: Literal["pending", "running", "done", "failed"] | None = None, wait: float = 0
    ) -> builtins.list[Task]:
        """One's tasks; with ``status=pending`` those to claim now. `wait`: seconds to wait for one to come."""
        return self._send(
            Call(
                "agent.tasks",
                "GET",
                "/satellites/v1/tasks",
                builtins.list[Task],
                query={"status": status, "wait": wait},
            )
        )

    def update_task(
        self,
        task_id: Id,
        *,
        status: Literal["pending", "running", "done", "failed"],
        result: dict[str, Any] | None = None,
        lease_token: Id | None = None,
        lease_seconds: float | None = None,
    ) -> Task:
        """``running`` claims a task, and a second claim is refused; ``done`` and ``failed`` end it."""
        return self._send(
            Call(
                "agent.update_task",
                "POST",
                "/satellites/v1/tasks/{task_id}/status",
                Task,
                path={"task_id": task_id},
                body=body(
                    TaskUpdate, status=status, result=result, lease_token=lease_token, lease_seconds=lease_seconds
                ),
            )
        )

    def renew_task(self, task_id: Id, *, lease_token: Id, lease_seconds: float = 30) -> Task:
        """Keep a task that one has claimed for a while longer."""
        return self._send(
            Call(
                "agent.renew_task",
                "POST",
                "/satellites/v1/tasks/{task_id}/renew",
                Task,
                path={"task_id": task_id},
                body=body(TaskRenew, lease_token=lease_token, lease_seconds=lease_seconds),
            )
        )

    def deployments(self) -> builtins.list[Deployment]:
        """What shall run here, and what shall not run any more."""
        return self._send(Call("agent.deployments", "GET", "/satellites/v1/deployments", builtins.list[Deployment]))

    def deployment(self, deployment_id: Id) -> Deployment:
        """One deployment."""
        return self._send(
            Call(
                "agent.deployment",
                "GET",
                "/satellites/v1/deployments/{deployment_id}",
                Deployment,
                path={"deployment_id": deployment_id},
            )
        )

    def update_deployment(
        self,
        deployment_id: Id,
        *,
        inference_url: str | UnsetType | None = UNSET,
        status: Literal["pending", "active", "failed", "deletion_pending", "deletion_failed", "not_responding"]
        | UnsetType
        | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
        schemas: dict[str, Any] | UnsetType | None = UNSET,
        error_message: dict[str, Any] | UnsetType | None = UNSET,
        generation: int | None = None,
    ) -> Deployment:
        """Report what one observes. A report about an older generation than the desired one is refused."""
        return self._send(
            Call(
                "agent.update_deployment",
                "PATCH",
                "/satellites/v1/deployments/{deployment_id}",
                Deployment,
                path={"deployment_id": deployment_id},
                body=body(
                    DeploymentReport,
                    inference_url=inference_url,
                    status=status,
                    tags=tags,
                    schemas=schemas,
                    error_message=error_message,
                    generation=generation,
                ),
            )
        )

    def update_deployment_status(
        self,
        deployment_id: Id,
        *,
        status: Literal["pending", "active", "failed", "deletion_pending", "deletion_failed", "not_responding"],
    ) -> Deployment:
        """Report the status alone."""
        return self._send(
            Call(
                "agent.update_deployment_status",
                "PATCH",
                "/satellites/v1/deployments/{deployment_id}/status",
                Deployment,
                path={"deployment_id": deployment_id},
                body=body(DeploymentStatusReport, status=status),
            )
        )

    def roll_back(self, deployment_id: Id, *, generation: int, reason: str, error: str = "") -> Deployment:
        """Take the new revision of a rollout back, because it does not keep to its bounds; the stable one serves all.

        Refused when something else is desired meanwhile than at `generation`.
        """
        return self._send(
            Call(
                "agent.roll_back",
                "POST",
                "/satellites/v1/deployments/{deployment_id}/rollback",
                Deployment,
                path={"deployment_id": deployment_id},
                body=body(RollbackReport, generation=generation, reason=reason, error=error),
            )
        )

    def delete_deployment(self, deployment_id: Id) -> None:
        """Confirm that a deployment that was to be deleted is gone."""
        self._send(
            Call(
                "agent.delete_deployment",
                "DELETE",
                "/satellites/v1/deployments/{deployment_id}",
                type(None),
                path={"deployment_id": deployment_id},
            )
        )

    def inference_access(
        self, *, api_key: str, purpose: Literal["inference", "logs"] = "inference"
    ) -> InferenceAccessAnswer:
        """Whether an API key that somebody has sent opens the deployments here: their models, or their logs."""
        return self._send(
            Call(
                "agent.inference_access",
                "POST",
                "/satellites/v1/deployments/inference-access",
                InferenceAccessAnswer,
                body=body(InferenceAccess, api_key=api_key, purpose=purpose),
            )
        )

    def secrets(self) -> builtins.list[Secret]:
        """The secrets that one's deployments refer to, with their values."""
        return self._send(Call("agent.secrets", "GET", "/satellites/v1/secrets", builtins.list[Secret]))

    def secret(self, secret_id: Id) -> Secret:
        """A secret that a deployment here refers to, with its value."""
        return self._send(
            Call("agent.secret", "GET", "/satellites/v1/secrets/{secret_id}", Secret, path={"secret_id": secret_id})
        )

    def artifact(self, artifact_id: Id) -> ArtifactForSatellite:
        """An artifact that a deployment here refers to, with a signed address of its bytes."""
        return self._send(
            Call(
                "agent.artifact",
                "GET",
                "/satellites/v1/artifacts/{artifact_id}",
                ArtifactForSatellite,
                path={"artifact_id": artifact_id},
            )
        )

    def artifact_url(self, artifact_id: Id) -> SignedUrl:
        """A signed address of the bytes of an artifact that a deployment here refers to."""
        return self._send(
            Call(
                "agent.artifact_url",
                "GET",
                "/satellites/v1/artifacts/{artifact_id}/download-url",
                SignedUrl,
                path={"artifact_id": artifact_id},
            )
        )

    def model(self, model_artifact_id: Id) -> ArtifactForSatellite:
        """The same as `agent.artifact`, under its old name."""
        return self._send(
            Call(
                "agent.model",
                "GET",
                "/satellites/v1/model_artifacts/{model_artifact_id}",
                ArtifactForSatellite,
                path={"model_artifact_id": model_artifact_id},
            )
        )

    def model_url(self, model_artifact_id: Id) -> SignedUrl:
        """The same as `agent.artifact_url`, under its old name."""
        return self._send(
            Call(
                "agent.model_url",
                "GET",
                "/satellites/v1/model_artifacts/{model_artifact_id}/download-url",
                SignedUrl,
                path={"model_artifact_id": model_artifact_id},
            )
        )


class Events(Group):
    """Who did what to which object: the audit log of an organization, and of an orbit."""

    def list(
        self,
        organization_id: Id,
        *,
        orbit: Id | None = None,
        order: Literal["asc", "desc"] = "desc",
        limit: int = 50,
        cursor: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        object_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[Event]:
        """The events of an organization.

        Filters: one `orbit`, one `actor` (id or name), one object, an `action` or the beginning of one (`artifact.`),
        from `since` on and before `until`.
        """
        return self._send(
            Call(
                "events.list",
                "GET",
                "/v1/organizations/{organization_id}/events",
                Page[Event],
                path={"organization_id": organization_id},
                query={
                    "orbit": orbit,
                    "order": order,
                    "limit": limit,
                    "cursor": cursor,
                    "actor": actor,
                    "action": action,
                    "object_id": object_id,
                    "since": since,
                    "until": until,
                },
            )
        )

    def list_in_orbit(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        order: Literal["asc", "desc"] = "desc",
        limit: int = 50,
        cursor: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        object_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[Event]:
        """The events of an orbit; filters as for the organization's."""
        return self._send(
            Call(
                "events.list_in_orbit",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/events",
                Page[Event],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={
                    "order": order,
                    "limit": limit,
                    "cursor": cursor,
                    "actor": actor,
                    "action": action,
                    "object_id": object_id,
                    "since": since,
                    "until": until,
                },
            )
        )


class Webhooks(Group):
    """Addresses to which the events of an organization are sent, signed, and again until they arrive."""

    def create(
        self,
        organization_id: Id,
        *,
        url: str,
        actions: builtins.list[str],
        orbit_id: Id | None = None,
        description: str | None = None,
    ) -> WebhookSecret:
        """Create a webhook; the answer shows its secret, once."""
        return self._send(
            Call(
                "webhooks.create",
                "POST",
                "/v1/organizations/{organization_id}/webhooks",
                WebhookSecret,
                path={"organization_id": organization_id},
                body=body(WebhookCreate, url=url, actions=actions, orbit_id=orbit_id, description=description),
            )
        )

    def list(self, organization_id: Id) -> builtins.list[Webhook]:
        """The webhooks of an organization, oldest first."""
        return self._send(
            Call(
                "webhooks.list",
                "GET",
                "/v1/organizations/{organization_id}/webhooks",
                builtins.list[Webhook],
                path={"organization_id": organization_id},
            )
        )

    def get(self, organization_id: Id, webhook_id: Id) -> Webhook:
        """A webhook."""
        return self._send(
            Call(
                "webhooks.get",
                "GET",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}",
                Webhook,
                path={"organization_id": organization_id, "webhook_id": webhook_id},
            )
        )

    def update(
        self,
        organization_id: Id,
        webhook_id: Id,
        *,
        url: str | UnsetType = UNSET,
        actions: builtins.list[str] | UnsetType = UNSET,
        description: str | UnsetType | None = UNSET,
        enabled: bool | UnsetType = UNSET,
    ) -> Webhook:
        """Change address, actions or description, or switch it on and off; what waits while it is off has failed."""
        return self._send(
            Call(
                "webhooks.update",
                "PATCH",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}",
                Webhook,
                path={"organization_id": organization_id, "webhook_id": webhook_id},
                body=body(WebhookUpdate, url=url, actions=actions, description=description, enabled=enabled),
            )
        )

    def delete(self, organization_id: Id, webhook_id: Id) -> None:
        """Delete a webhook with the history of its deliveries."""
        self._send(
            Call(
                "webhooks.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}",
                type(None),
                path={"organization_id": organization_id, "webhook_id": webhook_id},
            )
        )

    def rotate_secret(self, organization_id: Id, webhook_id: Id) -> WebhookSecret:
        """Make a new secret, shown once. For a day messages are signed with the old one, too."""
        return self._send(
            Call(
                "webhooks.rotate_secret",
                "POST",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/secret",
                WebhookSecret,
                path={"organization_id": organization_id, "webhook_id": webhook_id},
            )
        )

    def test(self, organization_id: Id, webhook_id: Id) -> Delivery:
        """Send a message of the action `webhook.test`, whatever the webhook's patterns; its delivery, which waits."""
        return self._send(
            Call(
                "webhooks.test",
                "POST",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/test",
                Delivery,
                path={"organization_id": organization_id, "webhook_id": webhook_id},
            )
        )

    def deliveries(
        self,
        organization_id: Id,
        webhook_id: Id,
        *,
        state: Literal["pending", "delivered", "failed"] | None = None,
        order: Literal["asc", "desc"] = "desc",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """The messages of the last month, each with its attempts."""
        return self._send(
            Call(
                "webhooks.deliveries",
                "GET",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/deliveries",
                Page[Delivery],
                path={"organization_id": organization_id, "webhook_id": webhook_id},
                query={"state": state, "order": order, "limit": limit, "cursor": cursor},
            )
        )

    def delivery(self, organization_id: Id, webhook_id: Id, delivery_id: Id) -> Delivery:
        """A message with its attempts."""
        return self._send(
            Call(
                "webhooks.delivery",
                "GET",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/deliveries/{delivery_id}",
                Delivery,
                path={"organization_id": organization_id, "webhook_id": webhook_id, "delivery_id": delivery_id},
            )
        )

    def redeliver(self, organization_id: Id, webhook_id: Id, delivery_id: Id) -> Delivery:
        """Send a message again, under the same `webhook-id`."""
        return self._send(
            Call(
                "webhooks.redeliver",
                "POST",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
                Delivery,
                path={"organization_id": organization_id, "webhook_id": webhook_id, "delivery_id": delivery_id},
            )
        )


class Api:
    """Every resource of the platform."""

    def __init__(self, send: Send) -> None:
        self.auth = Auth(send)
        self.accounts = Accounts(send)
        self.sessions = Sessions(send)
        self.identities = Identities(send)
        self.api_keys = ApiKeys(send)
        self.permissions = Permissions(send)
        self.organizations = Organizations(send)
        self.members = Members(send)
        self.invites = Invites(send)
        self.invitations = Invitations(send)
        self.service_accounts = ServiceAccounts(send)
        self.orbits = Orbits(send)
        self.orbit_members = OrbitMembers(send)
        self.secrets = Secrets(send)
        self.buckets = Buckets(send)
        self.uploads = Uploads(send)
        self.deletions = Deletions(send)
        self.collections = Collections(send)
        self.artifacts = Artifacts(send)
        self.search = Search(send)
        self.tracks = Tracks(send)
        self.track_entries = TrackEntries(send)
        self.track_history = TrackHistory(send)
        self.satellites = Satellites(send)
        self.deployments = Deployments(send)
        self.revisions = Revisions(send)
        self.rollouts = Rollouts(send)
        self.agent = Agent(send)
        self.events = Events(send)
        self.webhooks = Webhooks(send)


class AsyncAuth(AsyncGroup):
    """Sign-in by e-mail and password, and one's own account."""

    async def signin(self, *, email: str, password: str) -> SignedIn:
        """Sign in; the tokens come as cookies."""
        return await self._send(
            Call("auth.signin", "POST", "/v1/auth/signin", SignedIn, body=body(SignIn, email=email, password=password))
        )

    async def use_link(self, *, token: str) -> SignedIn:
        """Sign in by a one-time link, such as `luml up` prints."""
        return await self._send(Call("auth.use_link", "POST", "/v1/auth/link", SignedIn, query={"token": token}))

    async def create_link(self) -> LoginLink:
        """Make a one-time link that signs its bearer in as oneself, in a session of its own."""
        return await self._send(Call("auth.create_link", "POST", "/v1/auth/links", LoginLink))

    async def refresh(self) -> Detail:
        """Exchange the refresh token for new tokens, once. One that comes again ends its session: it was stolen."""
        return await self._send(Call("auth.refresh", "POST", "/v1/auth/refresh", Detail))

    async def logout(self) -> Detail:
        """End the session."""
        return await self._send(Call("auth.logout", "POST", "/v1/auth/logout", Detail))

    async def me(self) -> User:
        """Oneself."""
        return await self._send(Call("auth.me", "GET", "/v1/auth/users/me", User))

    async def update_me(
        self,
        *,
        full_name: str | UnsetType | None = UNSET,
        photo: str | UnsetType | None = UNSET,
        password: str | UnsetType | None = UNSET,
    ) -> Detail:
        """Change one's name, photo or password. A new password ends every session; API keys go on."""
        return await self._send(
            Call(
                "auth.update_me",
                "PATCH",
                "/v1/auth/users/me",
                Detail,
                body=body(UserUpdate, full_name=full_name, photo=photo, password=password),
            )
        )


class AsyncAccounts(AsyncGroup):
    """How accounts begin and end. Who asks for a mail does not learn whether there is such an account."""

    async def signup(
        self, *, email: str, password: str, full_name: str | None = None, photo: str | None = None
    ) -> Detail:
        """Sign up, with an organization of one's own. The account opens when its e-mail address is confirmed."""
        return await self._send(
            Call(
                "accounts.signup",
                "POST",
                "/v1/auth/signup",
                Detail,
                body=body(SignUp, email=email, password=password, full_name=full_name, photo=photo),
            )
        )

    async def resend_confirmation(self, *, email: str) -> Detail:
        """Ask for another mail to confirm one's e-mail address."""
        return await self._send(
            Call(
                "accounts.resend_confirmation",
                "POST",
                "/v1/auth/resend-confirmation",
                Detail,
                body=body(EmailAddress, email=email),
            )
        )

    async def confirm_email(self, *, confirmation_token: str, elsewhere: bool = False) -> Detail:
        """Confirm one's e-mail address by the link of the mail.

        When more than one sign-up has used the address, none of their passwords counts; a browser is led on to choose
        one, anybody else asks for it with `accounts.forgot_password`. With `elsewhere` it is the same for a sign-up in
        another browser than this one: the page to which the mail leads says so, since a stranger may have signed up.
        """
        return await self._send(
            Call(
                "accounts.confirm_email",
                "GET",
                "/v1/auth/confirm-email",
                Detail,
                query={"confirmation_token": confirmation_token, "elsewhere": elsewhere},
            )
        )

    async def forgot_password(self, *, email: str) -> Detail:
        """Ask for a mail with a link to choose a new password. The answer is the same for every address."""
        return await self._send(
            Call(
                "accounts.forgot_password",
                "POST",
                "/v1/auth/forgot-password",
                Detail,
                body=body(EmailAddress, email=email),
            )
        )

    async def reset_password(self, *, reset_token: str, new_password: str) -> Detail:
        """Choose a new password by the link of the mail, once. It ends every session, and confirms the address."""
        return await self._send(
            Call(
                "accounts.reset_password",
                "POST",
                "/v1/auth/reset-password",
                Detail,
                body=body(NewPassword, reset_token=reset_token, new_password=new_password),
            )
        )

    async def delete_me(self) -> Detail:
        """Delete one's account, with the organizations that nobody else is in.

        Refused while one is the only owner of an organization that has other members, or of one that has orbits.
        """
        return await self._send(Call("accounts.delete_me", "DELETE", "/v1/auth/users/me", Detail))


class AsyncSessions(AsyncGroup):
    """Where one is signed in by browser."""

    async def list(self) -> builtins.list[Session]:
        """The places where one is signed in, the last used one first."""
        return await self._send(Call("sessions.list", "GET", "/v1/auth/sessions", builtins.list[Session]))

    async def delete(self, session_id: Id) -> None:
        """Sign out elsewhere: end one of one's sessions."""
        await self._send(
            Call(
                "sessions.delete",
                "DELETE",
                "/v1/auth/sessions/{session_id}",
                type(None),
                path={"session_id": session_id},
            )
        )

    async def delete_others(self) -> None:
        """Sign out everywhere else: end all of one's sessions but the one that asks."""
        await self._send(Call("sessions.delete_others", "DELETE", "/v1/auth/sessions", type(None)))


class AsyncIdentities(AsyncGroup):
    """Accounts elsewhere with which one signs in here."""

    async def providers(self) -> WaysIn:
        """The ways in: providers that are set up here, and who may sign up."""
        return await self._send(Call("identities.providers", "GET", "/v1/auth/providers", WaysIn))

    async def google_login(self, *, next: str = "/app") -> ProviderVisit:
        """Sign in by Google: a browser is sent there, a program is told where that is."""
        return await self._send(
            Call("identities.google_login", "GET", "/v1/auth/google/login", ProviderVisit, query={"next": next})
        )

    async def google_callback(
        self, *, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from Google."""
        return await self._send(
            Call(
                "identities.google_callback",
                "GET",
                "/v1/auth/google/callback",
                SignedIn,
                query={"code": code, "state": state, "error": error, "iss": iss},
            )
        )

    async def microsoft_login(self, *, next: str = "/app") -> ProviderVisit:
        """Sign in by Microsoft: a browser is sent there, a program is told where that is."""
        return await self._send(
            Call("identities.microsoft_login", "GET", "/v1/auth/microsoft/login", ProviderVisit, query={"next": next})
        )

    async def microsoft_callback(
        self, *, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from Microsoft."""
        return await self._send(
            Call(
                "identities.microsoft_callback",
                "GET",
                "/v1/auth/microsoft/callback",
                SignedIn,
                query={"code": code, "state": state, "error": error, "iss": iss},
            )
        )

    async def oidc_login(self, *, next: str = "/app") -> ProviderVisit:
        """Sign in by the operator's own provider: a browser is sent there, a program is told where that is."""
        return await self._send(
            Call("identities.oidc_login", "GET", "/v1/auth/oidc/login", ProviderVisit, query={"next": next})
        )

    async def oidc_callback(
        self, *, code: str | None = None, state: str = "", error: str | None = None, iss: str | None = None
    ) -> SignedIn:
        """Come back from the operator's own provider."""
        return await self._send(
            Call(
                "identities.oidc_callback",
                "GET",
                "/v1/auth/oidc/callback",
                SignedIn,
                query={"code": code, "state": state, "error": error, "iss": iss},
            )
        )

    async def list(self) -> builtins.list[Identity]:
        """The accounts elsewhere with which one signs in here."""
        return await self._send(Call("identities.list", "GET", "/v1/auth/identities", builtins.list[Identity]))

    async def link(self, *, provider: Literal["google", "microsoft", "oidc"], next: str = "/account") -> ProviderVisit:
        """Begin to connect an account elsewhere to one's own: the browser goes to `url`, and comes back connected."""
        return await self._send(
            Call(
                "identities.link",
                "POST",
                "/v1/auth/identities",
                ProviderVisit,
                body=body(IdentityLink, provider=provider, next=next),
            )
        )

    async def delete(self, identity_id: Id) -> None:
        """Disconnect an account elsewhere; refused when it is the only way to sign in."""
        await self._send(
            Call(
                "identities.delete",
                "DELETE",
                "/v1/auth/identities/{identity_id}",
                type(None),
                path={"identity_id": identity_id},
            )
        )


class AsyncApiKeys(AsyncGroup):
    """One's own API keys. The old route keeps one, named "default"; others have names, scopes and an end."""

    async def create_default(self) -> ApiKeyCreated:
        """Make one's default API key; an older default key stops working."""
        return await self._send(Call("api_keys.create_default", "POST", "/v1/users/me/api-keys", ApiKeyCreated))

    async def delete_default(self) -> None:
        """Delete one's default API key."""
        await self._send(Call("api_keys.delete_default", "DELETE", "/v1/users/me/api-keys", type(None)))

    async def list(self) -> builtins.list[ApiKey]:
        """One's API keys, without the keys themselves."""
        return await self._send(Call("api_keys.list", "GET", "/v1/users/me/api-keys", builtins.list[ApiKey]))

    async def create(
        self,
        *,
        name: str,
        scopes: builtins.list[Literal["api", "inference", "logs"]] | None = None,
        orbit_id: Id | None = None,
        expires_at: datetime | None = None,
    ) -> ApiKeyCreated:
        """Make a named API key; with `orbit_id` it opens this orbit and nothing else.

        A key that is made with another opens no more than that one, and for no longer.
        """
        return await self._send(
            Call(
                "api_keys.create",
                "POST",
                "/v1/users/me/api-keys/named",
                ApiKeyCreated,
                body=body(ApiKeyCreate, name=name, scopes=scopes, orbit_id=orbit_id, expires_at=expires_at),
            )
        )

    async def update(
        self,
        key_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        scopes: builtins.list[Literal["api", "inference", "logs"]] | UnsetType | None = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
    ) -> ApiKey:
        """Change an API key's name, scopes or end. What it opens in the orbit it is bound to stays.

        With another key, or itself, it can be given no more and no longer than that one has.
        """
        return await self._send(
            Call(
                "api_keys.update",
                "PATCH",
                "/v1/users/me/api-keys/{key_id}",
                ApiKey,
                path={"key_id": key_id},
                body=body(ApiKeyUpdate, name=name, scopes=scopes, expires_at=expires_at),
            )
        )

    async def delete(self, key_id: Id) -> None:
        """Delete an API key; it stops working at once."""
        await self._send(
            Call("api_keys.delete", "DELETE", "/v1/users/me/api-keys/{key_id}", type(None), path={"key_id": key_id})
        )

    async def validate(self) -> None:
        """Answer whether the credential is valid."""
        await self._send(Call("api_keys.validate", "GET", "/v1/auth/api-keys/validate", type(None)))


class AsyncPermissions(AsyncGroup):
    """What one may do in an organization or an orbit."""

    async def check(
        self, *, permission: str, organization_id: Id | None = None, orbit_id: Id | None = None
    ) -> Permission:
        """Whether one holds a permission, such as ``deployment:create``, in an orbit or else an organization; and why.

        A place that one cannot see is not found.
        """
        return await self._send(
            Call(
                "permissions.check",
                "GET",
                "/v1/permissions",
                Permission,
                query={"permission": permission, "organization_id": organization_id, "orbit_id": orbit_id},
            )
        )


class AsyncOrganizations(AsyncGroup):
    """Tenants: members, buckets, orbits and limits."""

    async def list(self) -> builtins.list[OrganizationListed]:
        """The organizations that one is a member of."""
        return await self._send(
            Call("organizations.list", "GET", "/v1/users/me/organizations", builtins.list[OrganizationListed])
        )

    async def create(self, *, name: str, logo: str | None = None) -> Organization:
        """Create an organization, which one then owns, with a built-in bucket to begin with."""
        return await self._send(
            Call(
                "organizations.create",
                "POST",
                "/v1/organizations",
                Organization,
                body=body(OrganizationCreate, name=name, logo=logo),
            )
        )

    async def get(self, organization_id: Id) -> OrganizationDetails:
        """An organization with its people, orbits, limits and totals."""
        return await self._send(
            Call(
                "organizations.get",
                "GET",
                "/v1/organizations/{organization_id}",
                OrganizationDetails,
                path={"organization_id": organization_id},
            )
        )

    async def update(
        self, organization_id: Id, *, name: str | UnsetType | None = UNSET, logo: str | UnsetType | None = UNSET
    ) -> OrganizationDetails:
        """Change name or logo."""
        return await self._send(
            Call(
                "organizations.update",
                "PATCH",
                "/v1/organizations/{organization_id}",
                OrganizationDetails,
                path={"organization_id": organization_id},
                body=body(OrganizationUpdate, name=name, logo=logo),
            )
        )

    async def delete(self, organization_id: Id) -> None:
        """Delete an empty organization."""
        await self._send(
            Call(
                "organizations.delete",
                "DELETE",
                "/v1/organizations/{organization_id}",
                type(None),
                path={"organization_id": organization_id},
            )
        )

    async def force_delete(self, organization_id: Id, *, confirm: str) -> Deletion:
        """Delete an organization with all its orbits and what is in them, and the bytes in its buckets.

        `confirm` is the organization's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        return await self._send(
            Call(
                "organizations.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/force",
                Deletion,
                path={"organization_id": organization_id},
                query={"confirm": confirm},
            )
        )

    async def leave(self, organization_id: Id) -> None:
        """Leave an organization and all of its orbits; an owner transfers the ownership first."""
        await self._send(
            Call(
                "organizations.leave",
                "DELETE",
                "/v1/organizations/{organization_id}/leave",
                type(None),
                path={"organization_id": organization_id},
            )
        )

    async def transfer(self, organization_id: Id, *, member_id: Id) -> OrganizationMember:
        """Make another member the owner in one's place, and oneself an admin; the answer is the new owner."""
        return await self._send(
            Call(
                "organizations.transfer",
                "POST",
                "/v1/organizations/{organization_id}/transfer",
                OrganizationMember,
                path={"organization_id": organization_id},
                body=body(OwnershipTransfer, member_id=member_id),
            )
        )


class AsyncMembers(AsyncGroup):
    """People in an organization. Only an owner makes or changes an admin, and nobody changes themselves."""

    async def list(self, organization_id: Id) -> builtins.list[OrganizationMember]:
        """The members of an organization, the longest-standing first."""
        return await self._send(
            Call(
                "members.list",
                "GET",
                "/v1/organizations/{organization_id}/members",
                builtins.list[OrganizationMember],
                path={"organization_id": organization_id},
            )
        )

    async def create(
        self, organization_id: Id, *, user_id: Id, role: Literal["owner", "admin", "member"]
    ) -> OrganizationMember:
        """Make somebody with an account a member at once; an invitation that waits for them is used up."""
        return await self._send(
            Call(
                "members.create",
                "POST",
                "/v1/organizations/{organization_id}/members",
                OrganizationMember,
                path={"organization_id": organization_id},
                body=body(OrganizationMemberCreate, user_id=user_id, role=role),
            )
        )

    async def update(
        self, organization_id: Id, member_id: Id, *, role: Literal["owner", "admin", "member"]
    ) -> OrganizationMember:
        """Give a member another role."""
        return await self._send(
            Call(
                "members.update",
                "PATCH",
                "/v1/organizations/{organization_id}/members/{member_id}",
                OrganizationMember,
                path={"organization_id": organization_id, "member_id": member_id},
                body=body(OrganizationMemberUpdate, role=role),
            )
        )

    async def delete(self, organization_id: Id, member_id: Id) -> None:
        """Remove a member from the organization and from all of its orbits."""
        await self._send(
            Call(
                "members.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/members/{member_id}",
                type(None),
                path={"organization_id": organization_id, "member_id": member_id},
            )
        )


class AsyncInvites(AsyncGroup):
    """Invitations to an organization. They wait for people who have no account yet, and expire."""

    async def list(self, organization_id: Id) -> builtins.list[OrganizationInvite]:
        """The invitations that nobody has answered yet, expired ones among them."""
        return await self._send(
            Call(
                "invites.list",
                "GET",
                "/v1/organizations/{organization_id}/invitations",
                builtins.list[OrganizationInvite],
                path={"organization_id": organization_id},
            )
        )

    async def create(
        self, organization_id: Id, *, email: str, role: Literal["owner", "admin", "member"]
    ) -> OrganizationInvite:
        """Invite an address, with or without an account; an expired invitation of it is renewed."""
        return await self._send(
            Call(
                "invites.create",
                "POST",
                "/v1/organizations/{organization_id}/invitations",
                OrganizationInvite,
                path={"organization_id": organization_id},
                body=body(OrganizationInviteCreate, email=email, role=role),
            )
        )

    async def resend(self, organization_id: Id, invite_id: Id) -> OrganizationInvite:
        """Send an invitation again, in one's own name; it is good for the full time once more."""
        return await self._send(
            Call(
                "invites.resend",
                "POST",
                "/v1/organizations/{organization_id}/invitations/{invite_id}/resend",
                OrganizationInvite,
                path={"organization_id": organization_id, "invite_id": invite_id},
            )
        )

    async def delete(self, organization_id: Id, invite_id: Id) -> None:
        """Take an invitation back."""
        await self._send(
            Call(
                "invites.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/invitations/{invite_id}",
                type(None),
                path={"organization_id": organization_id, "invite_id": invite_id},
            )
        )


class AsyncInvitations(AsyncGroup):
    """The invitations to one's own address."""

    async def list(self) -> builtins.list[OrganizationInvite]:
        """The invitations that one can accept or reject."""
        return await self._send(
            Call("invitations.list", "GET", "/v1/users/me/invitations", builtins.list[OrganizationInvite])
        )

    async def accept(self, invite_id: Id) -> OrganizationMember:
        """Become a member. The invitation must be in time, and who has sent it must still be allowed to."""
        return await self._send(
            Call(
                "invitations.accept",
                "POST",
                "/v1/users/me/invitations/{invite_id}/accept",
                OrganizationMember,
                path={"invite_id": invite_id},
            )
        )

    async def reject(self, invite_id: Id) -> None:
        """Say no; the invitation is gone."""
        await self._send(
            Call(
                "invitations.reject",
                "POST",
                "/v1/users/me/invitations/{invite_id}/reject",
                type(None),
                path={"invite_id": invite_id},
            )
        )


class AsyncServiceAccounts(AsyncGroup):
    """Users for programs: members of one organization and of any of its orbits, who never own anything."""

    async def list(self, organization_id: Id) -> builtins.list[ServiceAccount]:
        """The service accounts of an organization."""
        return await self._send(
            Call(
                "service_accounts.list",
                "GET",
                "/v1/organizations/{organization_id}/service-accounts",
                builtins.list[ServiceAccount],
                path={"organization_id": organization_id},
            )
        )

    async def create(self, organization_id: Id, *, name: str) -> ServiceAccount:
        """Create a service account, a member of the organization. Put it into orbits to let it do something."""
        return await self._send(
            Call(
                "service_accounts.create",
                "POST",
                "/v1/organizations/{organization_id}/service-accounts",
                ServiceAccount,
                path={"organization_id": organization_id},
                body=body(ServiceAccountCreate, name=name),
            )
        )

    async def delete(self, organization_id: Id, account_id: Id) -> None:
        """Delete a service account with its API keys; what it has made stays."""
        await self._send(
            Call(
                "service_accounts.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/service-accounts/{account_id}",
                type(None),
                path={"organization_id": organization_id, "account_id": account_id},
            )
        )

    async def keys(self, organization_id: Id, account_id: Id) -> builtins.list[ApiKey]:
        """The API keys of a service account, without the keys themselves."""
        return await self._send(
            Call(
                "service_accounts.keys",
                "GET",
                "/v1/organizations/{organization_id}/service-accounts/{account_id}/api-keys",
                builtins.list[ApiKey],
                path={"organization_id": organization_id, "account_id": account_id},
            )
        )

    async def create_key(
        self,
        organization_id: Id,
        account_id: Id,
        *,
        name: str,
        scopes: builtins.list[Literal["api", "inference", "logs"]] | None = None,
        orbit_id: Id | None = None,
        expires_at: datetime | None = None,
    ) -> ApiKeyCreated:
        """Make an API key for a service account; it is shown this once."""
        return await self._send(
            Call(
                "service_accounts.create_key",
                "POST",
                "/v1/organizations/{organization_id}/service-accounts/{account_id}/api-keys",
                ApiKeyCreated,
                path={"organization_id": organization_id, "account_id": account_id},
                body=body(ApiKeyCreate, name=name, scopes=scopes, orbit_id=orbit_id, expires_at=expires_at),
            )
        )

    async def delete_key(self, organization_id: Id, account_id: Id, key_id: Id) -> None:
        """Delete an API key of a service account; it stops working at once."""
        await self._send(
            Call(
                "service_accounts.delete_key",
                "DELETE",
                "/v1/organizations/{organization_id}/service-accounts/{account_id}/api-keys/{key_id}",
                type(None),
                path={"organization_id": organization_id, "account_id": account_id, "key_id": key_id},
            )
        )


class AsyncOrbits(AsyncGroup):
    """Workspaces: members, one bucket, and everything below."""

    async def list(self, organization_id: Id) -> builtins.list[OrbitListed]:
        """The orbits of an organization that one may enter."""
        return await self._send(
            Call(
                "orbits.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits",
                builtins.list[OrbitListed],
                path={"organization_id": organization_id},
            )
        )

    async def create(
        self,
        organization_id: Id,
        *,
        name: str,
        bucket_secret_id: Id,
        members: builtins.list[OrbitMemberAdded] | None = None,
        notify: bool = False,
    ) -> Orbit:
        """Create an orbit on one of the organization's buckets."""
        return await self._send(
            Call(
                "orbits.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits",
                Orbit,
                path={"organization_id": organization_id},
                body=body(OrbitCreate, name=name, bucket_secret_id=bucket_secret_id, members=members, notify=notify),
            )
        )

    async def get(self, organization_id: Id, orbit_id: Id) -> Orbit:
        """An orbit with its members and the tags of its collections."""
        return await self._send(
            Call(
                "orbits.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}",
                Orbit,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        bucket_secret_id: Id | UnsetType | None = UNSET,
    ) -> Orbit:
        """Change name or bucket; artifacts that are stored already stay where they are."""
        return await self._send(
            Call(
                "orbits.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}",
                Orbit,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(OrbitUpdate, name=name, bucket_secret_id=bucket_secret_id),
            )
        )

    async def delete(self, organization_id: Id, orbit_id: Id) -> None:
        """Delete an orbit that holds no artifacts and no satellites."""
        await self._send(
            Call(
                "orbits.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    async def force_delete(self, organization_id: Id, orbit_id: Id, *, confirm: str) -> Deletion:
        """Delete an orbit with all that is in it: deployments, satellites, tracks, artifacts and their bytes.

        `confirm` is the orbit's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        return await self._send(
            Call(
                "orbits.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/force",
                Deletion,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={"confirm": confirm},
            )
        )


class AsyncOrbitMembers(AsyncGroup):
    """Members of an organization in one of its orbits."""

    async def list(self, organization_id: Id, orbit_id: Id) -> builtins.list[OrbitMember]:
        """The members of an orbit, the longest-standing first."""
        return await self._send(
            Call(
                "orbit_members.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/members",
                builtins.list[OrbitMember],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    async def create(
        self, organization_id: Id, orbit_id: Id, *, user_id: Id, role: Literal["admin", "member", "viewer"]
    ) -> OrbitMember:
        """Let a member of the organization into the orbit."""
        return await self._send(
            Call(
                "orbit_members.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/members",
                OrbitMember,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(OrbitMemberAdded, user_id=user_id, role=role),
            )
        )

    async def update(
        self, organization_id: Id, orbit_id: Id, member_id: Id, *, role: Literal["admin", "member", "viewer"]
    ) -> OrbitMember:
        """Give a member of the orbit another role."""
        return await self._send(
            Call(
                "orbit_members.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/members/{member_id}",
                OrbitMember,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "member_id": member_id},
                body=body(OrbitMemberUpdate, role=role),
            )
        )

    async def delete(self, organization_id: Id, orbit_id: Id, member_id: Id) -> None:
        """Remove somebody from the orbit; they stay in the organization."""
        await self._send(
            Call(
                "orbit_members.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/members/{member_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "member_id": member_id},
            )
        )


class AsyncSecrets(AsyncGroup):
    """Values for deployments, such as passwords. Only `get` shows one, and leaves a trace of it in the events."""

    async def list(self, organization_id: Id, orbit_id: Id) -> builtins.list[Secret]:
        """The secrets of an orbit by name, without their values."""
        return await self._send(
            Call(
                "secrets.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets",
                builtins.list[Secret],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    async def create(
        self, organization_id: Id, orbit_id: Id, *, name: str, value: str, tags: builtins.list[str] | None = None
    ) -> Secret:
        """Store a secret; its value is encrypted."""
        return await self._send(
            Call(
                "secrets.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets",
                Secret,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(SecretCreate, name=name, value=value, tags=tags),
            )
        )

    async def get(self, organization_id: Id, orbit_id: Id, secret_id: Id) -> Secret:
        """A secret with its value."""
        return await self._send(
            Call(
                "secrets.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets/{secret_id}",
                Secret,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "secret_id": secret_id},
            )
        )

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        secret_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        value: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
    ) -> Secret:
        """Change name, value or tags; deployments that use it take a new value over by themselves."""
        return await self._send(
            Call(
                "secrets.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets/{secret_id}",
                Secret,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "secret_id": secret_id},
                body=body(SecretUpdate, name=name, value=value, tags=tags),
            )
        )

    async def delete(self, organization_id: Id, orbit_id: Id, secret_id: Id) -> None:
        """Delete a secret; refused while a deployment refers to it."""
        await self._send(
            Call(
                "secrets.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/secrets/{secret_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "secret_id": secret_id},
            )
        )


class AsyncBuckets(AsyncGroup):
    """Places for bytes, with their credentials."""

    async def list(self, organization_id: Id) -> builtins.list[Bucket]:
        """The buckets of an organization, without their credentials."""
        return await self._send(
            Call(
                "buckets.list",
                "GET",
                "/v1/organizations/{organization_id}/bucket-secrets",
                builtins.list[Bucket],
                path={"organization_id": organization_id},
            )
        )

    async def create(
        self,
        organization_id: Id,
        *,
        endpoint: str,
        bucket_name: str,
        type: Literal["s3", "azure"] = "s3",
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        secure: bool | None = None,
        cert_check: bool | None = None,
    ) -> Bucket:
        """Add a bucket; its credentials are encrypted and never given out again."""
        return await self._send(
            Call(
                "buckets.create",
                "POST",
                "/v1/organizations/{organization_id}/bucket-secrets",
                Bucket,
                path={"organization_id": organization_id},
                body=body(
                    BucketCreate,
                    endpoint=endpoint,
                    bucket_name=bucket_name,
                    type=type,
                    region=region,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    secure=secure,
                    cert_check=cert_check,
                ),
            )
        )

    async def get(self, organization_id: Id, secret_id: Id) -> Bucket:
        """A bucket, without its credentials."""
        return await self._send(
            Call(
                "buckets.get",
                "GET",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}",
                Bucket,
                path={"organization_id": organization_id, "secret_id": secret_id},
            )
        )

    async def update(
        self,
        organization_id: Id,
        secret_id: Id,
        *,
        type: Literal["s3", "azure"] | UnsetType | None = UNSET,
        endpoint: str | UnsetType | None = UNSET,
        bucket_name: str | UnsetType | None = UNSET,
        region: str | UnsetType | None = UNSET,
        access_key: str | UnsetType | None = UNSET,
        secret_key: str | UnsetType | None = UNSET,
        session_token: str | UnsetType | None = UNSET,
        secure: bool | UnsetType | None = UNSET,
        cert_check: bool | UnsetType | None = UNSET,
    ) -> Bucket:
        """Change a bucket's address or credentials."""
        return await self._send(
            Call(
                "buckets.update",
                "PATCH",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}",
                Bucket,
                path={"organization_id": organization_id, "secret_id": secret_id},
                body=body(
                    BucketUpdate,
                    type=type,
                    endpoint=endpoint,
                    bucket_name=bucket_name,
                    region=region,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    secure=secure,
                    cert_check=cert_check,
                ),
            )
        )

    async def delete(self, organization_id: Id, secret_id: Id, *, leave_bytes: bool = False) -> None:
        """Delete a bucket's entry here, not the bucket; refused while an orbit or an artifact needs it.

        Refused, too, while bytes of deleted artifacts are still to be deleted there; with `leave_bytes` they stay in
        the bucket, as they must when its credentials do not open it any more.
        """
        await self._send(
            Call(
                "buckets.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}",
                type(None),
                path={"organization_id": organization_id, "secret_id": secret_id},
                query={"leave_bytes": leave_bytes},
            )
        )

    async def probe_urls(
        self,
        organization_id: Id,
        secret_id: Id,
        *,
        type: Literal["s3", "azure"] | UnsetType | None = UNSET,
        endpoint: str | UnsetType | None = UNSET,
        bucket_name: str | UnsetType | None = UNSET,
        region: str | UnsetType | None = UNSET,
        access_key: str | UnsetType | None = UNSET,
        secret_key: str | UnsetType | None = UNSET,
        session_token: str | UnsetType | None = UNSET,
        secure: bool | UnsetType | None = UNSET,
        cert_check: bool | UnsetType | None = UNSET,
        id: Id | None = None,
    ) -> BucketUrls:
        """Signed addresses of a probe object, to see whether the bucket works from where the client is."""
        return await self._send(
            Call(
                "buckets.probe_urls",
                "POST",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}/urls",
                BucketUrls,
                path={"organization_id": organization_id, "secret_id": secret_id},
                body=body(
                    BucketProbe,
                    type=type,
                    endpoint=endpoint,
                    bucket_name=bucket_name,
                    region=region,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    secure=secure,
                    cert_check=cert_check,
                    id=id,
                ),
            )
        )

    async def try_urls(
        self,
        *,
        endpoint: str,
        bucket_name: str,
        type: Literal["s3", "azure"] = "s3",
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        secure: bool | None = None,
        cert_check: bool | None = None,
    ) -> BucketUrls:
        """Signed addresses of a probe object in a bucket that is not added yet; nothing is kept."""
        return await self._send(
            Call(
                "buckets.try_urls",
                "POST",
                "/v1/bucket-secrets/urls",
                BucketUrls,
                body=body(
                    BucketCreate,
                    endpoint=endpoint,
                    bucket_name=bucket_name,
                    type=type,
                    region=region,
                    access_key=access_key,
                    secret_key=secret_key,
                    session_token=session_token,
                    secure=secure,
                    cert_check=cert_check,
                ),
            )
        )

    async def probe(self, organization_id: Id, secret_id: Id) -> BucketReport:
        """Try from the server all that LUML does with a bucket, and say of each step how it went.

        An object is written, read by range, uploaded in parts and deleted by signed addresses; a preflight asks
        whether the pages of this server may speak to the bucket. `cors` holds what to tell the bucket if they may not.
        """
        return await self._send(
            Call(
                "buckets.probe",
                "POST",
                "/v1/organizations/{organization_id}/bucket-secrets/{secret_id}/probe",
                BucketReport,
                path={"organization_id": organization_id, "secret_id": secret_id},
            )
        )


class AsyncUploads(AsyncGroup):
    """Uploads of artifacts' bytes: parts, retries, aborts."""

    async def multipart(
        self, *, bucket_id: Id, bucket_location: str, size: int, upload_id: str | None = None
    ) -> MultipartUpload:
        """The part addresses of an upload that was initiated; for whoever may create the artifact that waits for it."""
        return await self._send(
            Call(
                "uploads.multipart",
                "POST",
                "/v1/bucket-secrets/upload/multipart",
                MultipartUpload,
                body=body(
                    MultipartRequest,
                    bucket_id=bucket_id,
                    bucket_location=bucket_location,
                    size=size,
                    upload_id=upload_id,
                ),
            )
        )

    async def retry(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> ArtifactCreated:
        """Get a new address for the bytes of an artifact whose upload failed, or has not ended."""
        return await self._send(
            Call(
                "uploads.retry",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/upload",
                ArtifactCreated,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    async def abort(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> None:
        """Give up an upload that has not ended: the artifact goes, and what arrived of its bytes."""
        await self._send(
            Call(
                "uploads.abort",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/upload",
                type(None),
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )


class AsyncDeletions(AsyncGroup):
    """Deletions of collections, orbits and organizations with all that is in them."""

    async def list(self) -> builtins.list[Deletion]:
        """The latest hundred deletions that one has asked for, or that others have in organizations that one runs."""
        return await self._send(Call("deletions.list", "GET", "/v1/users/me/deletions", builtins.list[Deletion]))


class AsyncCollections(AsyncGroup):
    """Named groups of artifacts inside an orbit."""

    async def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        name: str,
        type: Literal[
            "model", "dataset", "experiment", "model_dataset", "dataset_experiment", "model_experiment", "mixed"
        ],
        description: str = "",
        tags: builtins.list[str] | None = None,
    ) -> Collection:
        """Create a collection in an orbit."""
        return await self._send(
            Call(
                "collections.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections",
                Collection,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(CollectionCreate, name=name, type=type, description=description, tags=tags),
            )
        )

    async def list(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 50,
        sort_by: Literal["created_at", "name", "type", "description", "total_artifacts"] = "created_at",
        order: Literal["asc", "desc"] = "desc",
        search: str | None = None,
        types: builtins.list[Literal["model", "dataset", "experiment", "mixed"]] | None = None,
    ) -> Page[Collection]:
        """The collections of an orbit; `search` looks into names, descriptions and tags."""
        return await self._send(
            Call(
                "collections.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections",
                Page[Collection],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={
                    "cursor": cursor,
                    "limit": limit,
                    "sort_by": sort_by,
                    "order": order,
                    "search": search,
                    "types": types,
                },
            )
        )

    async def get(self, organization_id: Id, orbit_id: Id, collection_id: Id) -> CollectionDetails:
        """A collection with the tags and the searchable values that occur in it, at most 5,000 of each.

        What occurs in none of its artifacts any more may be among them for up to a day.
        """
        return await self._send(
            Call(
                "collections.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}",
                CollectionDetails,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
            )
        )

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        collection_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
    ) -> Collection:
        """Change name, description or tags."""
        return await self._send(
            Call(
                "collections.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}",
                Collection,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
                body=body(CollectionUpdate, name=name, description=description, tags=tags),
            )
        )

    async def delete(self, organization_id: Id, orbit_id: Id, collection_id: Id) -> None:
        """Delete an empty collection."""
        await self._send(
            Call(
                "collections.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
            )
        )

    async def force_delete(self, organization_id: Id, orbit_id: Id, collection_id: Id, *, confirm: str) -> Deletion:
        """Delete a collection with all its artifacts, taking them out of tracks and their deployments down.

        `confirm` is the collection's name. It disappears at once; `deletions.list` shows how far the rest is.
        """
        return await self._send(
            Call(
                "collections.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/force",
                Deletion,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
                query={"confirm": confirm},
            )
        )


class AsyncArtifacts(AsyncGroup):
    """Stored files with manifest, digest, file index, metrics and tags."""

    async def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        collection_id: Id,
        *,
        file_name: str,
        manifest: dict[str, Any],
        file_index: dict[str, tuple[int, int]],
        file_hash: str,
        size: int,
        extra_values: dict[str, Any] | UnsetType = UNSET,
        params: dict[str, Any] | UnsetType = UNSET,
        name: str | None = None,
        description: str | None = None,
        tags: builtins.list[str] | None = None,
        type: Literal["model", "experiment", "dataset"] | None = None,
    ) -> ArtifactCreated:
        """Announce an artifact and get the address to which its bytes go."""
        return await self._send(
            Call(
                "artifacts.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts",
                ArtifactCreated,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "collection_id": collection_id},
                body=body(
                    ArtifactCreate,
                    file_name=file_name,
                    manifest=manifest,
                    file_index=file_index,
                    file_hash=file_hash,
                    size=size,
                    extra_values=extra_values,
                    params=params,
                    name=name,
                    description=description,
                    tags=tags,
                    type=type,
                ),
            )
        )

    async def list(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        types: builtins.list[Literal["model", "experiment", "dataset"]] | None = None,
        cursor: str | None = None,
        limit: int = 50,
        sort_by: str = "created_at",
        order: Literal["asc", "desc"] = "desc",
        collection_ids: builtins.list[Id] | None = None,
        search: str | None = None,
        excluded_tracks: builtins.list[Id] | None = None,
        text: str | None = None,
        tags: builtins.list[str] | None = None,
        type: Literal["model", "experiment", "dataset"] | None = None,
        status: builtins.list[
            Literal["pending_upload", "uploaded", "pending_deletion", "upload_failed", "deletion_failed"]
        ]
        | None = None,
        filter: str | None = None,
        with_total: bool = False,
    ) -> ArtifactPage:
        """The artifacts of an orbit that fit all that is asked for.

        `search` is a piece of name, description or tags, `text` words that each occur there, `tags` are tags that the
        artifact has all of. `filter` is an expression over attributes, metrics and parameters, as in
        `metrics.auc > 0.9 and tags contains "prod"`. `sort_by` is a field or the name of a metric (or `metrics.…`,
        `params.…`): numbers only, missing ones last.
        """
        return await self._send(
            Call(
                "artifacts.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts",
                ArtifactPage,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={
                    "types": types,
                    "cursor": cursor,
                    "limit": limit,
                    "sort_by": sort_by,
                    "order": order,
                    "collection_ids": collection_ids,
                    "search": search,
                    "excluded_tracks": excluded_tracks,
                    "text": text,
                    "tags": tags,
                    "type": type,
                    "status": status,
                    "filter": filter,
                    "with_total": with_total,
                },
            )
        )

    async def find(self, organization_id: Id, orbit_id: Id, artifact_id: Id) -> Artifact:
        """An artifact of an orbit by its id alone, whatever collection it is in; `artifacts.get` tells more."""
        return await self._send(
            Call(
                "artifacts.find",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts/{artifact_id}",
                Artifact,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "artifact_id": artifact_id},
            )
        )

    async def get(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> ArtifactDetails:
        """An artifact with manifest and file index, where it stands and what uses it."""
        return await self._send(
            Call(
                "artifacts.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}",
                ArtifactDetails,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        collection_id: Id,
        artifact_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
        status: Literal["uploaded", "upload_failed", "deletion_failed"] | UnsetType | None = UNSET,
        metrics: dict[str, int | float | None] | UnsetType | None = UNSET,
        params: dict[str, str | int | float | bool | None] | UnsetType | None = UNSET,
    ) -> Artifact:
        """Change name, description, tags, metrics or parameters, or report how an upload or a deletion went.

        Before an upload counts, the server looks into the bucket: without the object, or with another size or
        checksum than announced, the artifact becomes `upload_failed` and the answer is a conflict.
        """
        return await self._send(
            Call(
                "artifacts.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}",
                Artifact,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
                body=body(
                    ArtifactUpdate,
                    name=name,
                    description=description,
                    tags=tags,
                    status=status,
                    metrics=metrics,
                    params=params,
                ),
            )
        )

    async def download_url(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> SignedUrl:
        """A signed address of the artifact's bytes; it understands ranges."""
        return await self._send(
            Call(
                "artifacts.download_url",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/download-url",
                SignedUrl,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    async def delete_url(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> SignedUrl:
        """Begin a deletion by the client: a signed address that deletes the bytes. `artifacts.delete` confirms."""
        return await self._send(
            Call(
                "artifacts.delete_url",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/delete-url",
                SignedUrl,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    async def move(
        self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id, *, target_collection_id: Id
    ) -> Artifact:
        """Move an artifact into another collection of the orbit; tracks and deployments do not notice."""
        return await self._send(
            Call(
                "artifacts.move",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/move",
                Artifact,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
                body=body(ArtifactMove, target_collection_id=target_collection_id),
            )
        )

    async def move_many(
        self, organization_id: Id, orbit_id: Id, *, artifact_ids: builtins.list[Id], target_collection_id: Id
    ) -> ArtifactsChanged:
        """Move artifacts into another collection of the orbit: those that can be; the answer says why not the others.

        At most 500 at once; several calls do more.
        """
        return await self._send(
            Call(
                "artifacts.move_many",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts/move",
                ArtifactsChanged,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(ArtifactBatchMove, artifact_ids=artifact_ids, target_collection_id=target_collection_id),
            )
        )

    async def delete_many(
        self, organization_id: Id, orbit_id: Id, *, artifact_ids: builtins.list[Id]
    ) -> ArtifactsChanged:
        """Delete artifacts and their bytes: those that can be; the answer says why not the others.

        At most 500 at once; several calls do more.
        """
        return await self._send(
            Call(
                "artifacts.delete_many",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts/delete",
                ArtifactsChanged,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(ArtifactBatchDelete, artifact_ids=artifact_ids),
            )
        )

    async def by_hash(self, organization_id: Id, orbit_id: Id, *, sha256: str) -> builtins.list[ArtifactBase]:
        """The uploaded artifacts of the orbit with exactly these bytes, oldest first: ask before uploading again."""
        return await self._send(
            Call(
                "artifacts.by_hash",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/artifacts/by-hash",
                builtins.list[ArtifactBase],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={"sha256": sha256},
            )
        )

    async def delete(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> None:
        """Delete an artifact and its bytes; refused while it is deployed or in a track."""
        await self._send(
            Call(
                "artifacts.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}",
                type(None),
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )

    async def force_delete(self, organization_id: Id, orbit_id: Id, collection_id: Id, artifact_id: Id) -> None:
        """Delete an artifact and its bytes in whatever status it is; refused while it is deployed or in a track."""
        await self._send(
            Call(
                "artifacts.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/collections/{collection_id}/artifacts/{artifact_id}/force",
                type(None),
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "collection_id": collection_id,
                    "artifact_id": artifact_id,
                },
            )
        )


class AsyncSearch(AsyncGroup):
    """Everything in an organization, by name, description and tags."""

    async def list(
        self,
        organization_id: Id,
        *,
        text: str | None = None,
        kinds: builtins.list[Literal["artifact", "collection", "track", "deployment", "satellite"]] | None = None,
        filter: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Found]:
        """What is in the orbits that you may see, newest first.

        Each word of `text` must occur in name, description or tags. With a `filter` expression only artifacts are
        found: see `artifacts.list`.
        """
        return await self._send(
            Call(
                "search.list",
                "GET",
                "/v1/organizations/{organization_id}/search",
                Page[Found],
                path={"organization_id": organization_id},
                query={"text": text, "kinds": kinds, "filter": filter, "limit": limit, "cursor": cursor},
            )
        )


class AsyncTracks(AsyncGroup):
    """Named lines of versions of artifacts of one type, with stages that point at one version each."""

    async def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        name: str,
        artifact_type: Literal["model", "experiment", "dataset"],
        description: str | None = None,
        tags: builtins.list[str] | None = None,
        stages: builtins.list[str] | UnsetType = UNSET,
        protected_stages: builtins.list[str] | UnsetType = UNSET,
    ) -> Track:
        """Create a track with its stages."""
        return await self._send(
            Call(
                "tracks.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks",
                Track,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(
                    TrackCreate,
                    name=name,
                    artifact_type=artifact_type,
                    description=description,
                    tags=tags,
                    stages=stages,
                    protected_stages=protected_stages,
                ),
            )
        )

    async def list(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 50,
        sort_by: Literal["name", "description", "total_entries", "created_at"] = "created_at",
        order: Literal["asc", "desc"] = "desc",
        search: str | None = None,
        types: builtins.list[str] | None = None,
    ) -> Page[Track]:
        """The tracks of an orbit; `search` looks into names and descriptions, `types` are those of artifacts."""
        return await self._send(
            Call(
                "tracks.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks",
                Page[Track],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={
                    "cursor": cursor,
                    "limit": limit,
                    "sort_by": sort_by,
                    "order": order,
                    "search": search,
                    "types": types,
                },
            )
        )

    async def get(self, organization_id: Id, orbit_id: Id, track_id: Id, *, as_of: datetime | None = None) -> Track:
        """A track with its stages; `as_of` a moment, as it was then, with its versions."""
        return await self._send(
            Call(
                "tracks.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}",
                Track,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                query={"as_of": as_of},
            )
        )

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
        stages: builtins.list[StageChange] | UnsetType | None = UNSET,
    ) -> Track:
        """Change name, description, tags or the list of stages; a stage that holds a version cannot be dropped."""
        return await self._send(
            Call(
                "tracks.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}",
                Track,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                body=body(TrackUpdate, name=name, description=description, tags=tags, stages=stages),
            )
        )

    async def delete(self, organization_id: Id, orbit_id: Id, track_id: Id) -> None:
        """Delete a track with its versions; the artifacts stay."""
        await self._send(
            Call(
                "tracks.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
            )
        )

    async def stages(
        self, organization_id: Id, orbit_id: Id, track_id: Id, *, as_of: datetime | None = None
    ) -> builtins.list[Stage]:
        """The stages of a track, in their order; `as_of` a moment, as they were then, with the versions in them."""
        return await self._send(
            Call(
                "tracks.stages",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/stages",
                builtins.list[Stage],
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                query={"as_of": as_of},
            )
        )

    async def stage(
        self, organization_id: Id, orbit_id: Id, track_id: Id, stage_id: Id, *, as_of: datetime | None = None
    ) -> Stage:
        """A stage and the version that is in it, or (`as_of`) that was in it at a moment."""
        return await self._send(
            Call(
                "tracks.stage",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/stages/{stage_id}",
                Stage,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "stage_id": stage_id,
                },
                query={"as_of": as_of},
            )
        )


class AsyncTrackEntries(AsyncGroup):
    """The versions of a track, and the stages that they are in."""

    async def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        *,
        artifact_id: Id,
        stage_id: Id | None = None,
        why: str | None = None,
    ) -> TrackEntry:
        """Add an uploaded artifact as the next version, into a stage if wished."""
        return await self._send(
            Call(
                "track_entries.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries",
                TrackEntry,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                body=body(TrackEntryCreate, artifact_id=artifact_id, stage_id=stage_id, why=why),
            )
        )

    async def list(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 50,
        sort_by: Literal["artifact_name", "description", "stage", "version", "created_at"] = "created_at",
        order: Literal["asc", "desc"] = "desc",
        stage: Id | None = None,
    ) -> Page[TrackEntry]:
        """The versions of a track; `stage` asks for the one in that stage."""
        return await self._send(
            Call(
                "track_entries.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries",
                Page[TrackEntry],
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                query={"cursor": cursor, "limit": limit, "sort_by": sort_by, "order": order, "stage": stage},
            )
        )

    async def delete_many(
        self, organization_id: Id, orbit_id: Id, track_id: Id, *, entry_ids: builtins.list[Id], why: str | None = None
    ) -> None:
        """Take versions out of a track; all of them, or, if one is not of this track, none."""
        await self._send(
            Call(
                "track_entries.delete_many",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                body=body(TrackEntriesDelete, entry_ids=entry_ids, why=why),
            )
        )

    async def by_stage(self, organization_id: Id, orbit_id: Id, track_id: Id, *, stage_id: Id) -> TrackEntry:
        """The version that is in a stage."""
        return await self._send(
            Call(
                "track_entries.by_stage",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries/by-stage",
                TrackEntry,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "track_id": track_id},
                query={"stage_id": stage_id},
            )
        )

    async def get(self, organization_id: Id, orbit_id: Id, track_id: Id, entry_id: Id) -> TrackEntry:
        """One version of a track."""
        return await self._send(
            Call(
                "track_entries.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries/{entry_id}",
                TrackEntry,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "entry_id": entry_id,
                },
            )
        )

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        entry_id: Id,
        *,
        stage_id: Id | UnsetType | None = UNSET,
        why: str | None = None,
        force: bool = False,
    ) -> TrackEntry:
        """Move a version into a stage, or out of it (null). `force` takes the stage from the version that has it."""
        return await self._send(
            Call(
                "track_entries.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries/{entry_id}",
                TrackEntry,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "entry_id": entry_id,
                },
                query={"force": force},
                body=body(TrackEntryUpdate, stage_id=stage_id, why=why),
            )
        )

    async def delete(
        self, organization_id: Id, orbit_id: Id, track_id: Id, entry_id: Id, *, why: str | None = None
    ) -> None:
        """Take a version out of a track; its number is not given again, and the artifact stays."""
        await self._send(
            Call(
                "track_entries.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/entries/{entry_id}",
                type(None),
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "entry_id": entry_id,
                },
                query={"why": why},
            )
        )


class AsyncTrackHistory(AsyncGroup):
    """Which version was in which stage, since when, by whom and why."""

    async def stage(
        self,
        organization_id: Id,
        orbit_id: Id,
        track_id: Id,
        stage_id: Id,
        *,
        cursor: str | None = None,
        limit: int = 50,
        order: Literal["asc", "desc"] = "desc",
    ) -> Page[Tenure]:
        """The versions that were in a stage, one after the other; also of a stage that has been dropped."""
        return await self._send(
            Call(
                "track_history.stage",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/tracks/{track_id}/stages/{stage_id}/history",
                Page[Tenure],
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "track_id": track_id,
                    "stage_id": stage_id,
                },
                query={"cursor": cursor, "limit": limit, "order": order},
            )
        )


class AsyncSatellites(AsyncGroup):
    """Workers attached to an orbit, which run its deployments."""

    async def create(
        self, organization_id: Id, orbit_id: Id, *, name: str | None = None, description: str | None = None
    ) -> SatelliteCreated:
        """Create a satellite; start it with the key that the answer shows, this once."""
        return await self._send(
            Call(
                "satellites.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites",
                SatelliteCreated,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(SatelliteCreate, name=name, description=description),
            )
        )

    async def list(self, organization_id: Id, orbit_id: Id, *, paired: bool | None = None) -> builtins.list[Satellite]:
        """The satellites of an orbit; `paired` chooses those that have, or have not, been started yet."""
        return await self._send(
            Call(
                "satellites.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites",
                builtins.list[Satellite],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={"paired": paired},
            )
        )

    async def get(self, organization_id: Id, orbit_id: Id, satellite_id: Id) -> Satellite:
        """A satellite."""
        return await self._send(
            Call(
                "satellites.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites/{satellite_id}",
                Satellite,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "satellite_id": satellite_id},
            )
        )

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        satellite_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
    ) -> Satellite:
        """Change name or description."""
        return await self._send(
            Call(
                "satellites.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites/{satellite_id}",
                Satellite,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "satellite_id": satellite_id},
                body=body(SatelliteUpdate, name=name, description=description),
            )
        )

    async def delete(self, organization_id: Id, orbit_id: Id, satellite_id: Id) -> None:
        """Delete a satellite that has no deployments; its key stops working."""
        await self._send(
            Call(
                "satellites.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites/{satellite_id}",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "satellite_id": satellite_id},
            )
        )

    async def rotate_key(self, organization_id: Id, orbit_id: Id, satellite_id: Id) -> ApiKeyCreated:
        """Give a satellite a new key; the old one stops working at once."""
        return await self._send(
            Call(
                "satellites.rotate_key",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/satellites/{satellite_id}/api-key",
                ApiKeyCreated,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "satellite_id": satellite_id},
            )
        )


class AsyncDeployments(AsyncGroup):
    """Models served on satellites."""

    async def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        satellite_id: Id,
        name: str,
        artifact_id: Id | UnsetType = UNSET,
        follow_stage_id: Id | None = None,
        satellite_parameters: dict[str, bool | int | str] | UnsetType = UNSET,
        description: str | None = None,
        env_variables: dict[str, str] | UnsetType = UNSET,
        dynamic_attributes_secrets: dict[str, Id] | UnsetType = UNSET,
        env_variables_secrets: dict[str, Id] | UnsetType = UNSET,
        tags: builtins.list[str] | None = None,
    ) -> Deployment:
        """Deploy an uploaded model on a paired satellite; the satellite takes it from there."""
        return await self._send(
            Call(
                "deployments.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                body=body(
                    DeploymentCreate,
                    satellite_id=satellite_id,
                    artifact_id=artifact_id,
                    follow_stage_id=follow_stage_id,
                    name=name,
                    satellite_parameters=satellite_parameters,
                    description=description,
                    env_variables=env_variables,
                    dynamic_attributes_secrets=dynamic_attributes_secrets,
                    env_variables_secrets=env_variables_secrets,
                    tags=tags,
                ),
            )
        )

    async def list(self, organization_id: Id, orbit_id: Id) -> builtins.list[Deployment]:
        """The deployments of an orbit, newest first."""
        return await self._send(
            Call(
                "deployments.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments",
                builtins.list[Deployment],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
            )
        )

    async def get(self, organization_id: Id, orbit_id: Id, deployment_id: Id) -> Deployment:
        """A deployment."""
        return await self._send(
            Call(
                "deployments.get",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
            )
        )

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        deployment_id: Id,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
        dynamic_attributes_secrets: dict[str, Id] | UnsetType | None = UNSET,
        follow_stage_id: Id | UnsetType | None = UNSET,
    ) -> Deployment:
        """Change name, description, tags, the stage that it follows, or the secrets of dynamic attributes."""
        return await self._send(
            Call(
                "deployments.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(
                    DeploymentUpdate,
                    name=name,
                    description=description,
                    tags=tags,
                    dynamic_attributes_secrets=dynamic_attributes_secrets,
                    follow_stage_id=follow_stage_id,
                ),
            )
        )

    async def delete(self, organization_id: Id, orbit_id: Id, deployment_id: Id) -> Task:
        """Ask the satellite to take a deployment down; the answer is the task that does it."""
        return await self._send(
            Call(
                "deployments.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}",
                Task,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
            )
        )

    async def force_delete(self, organization_id: Id, orbit_id: Id, deployment_id: Id) -> None:
        """Forget a deployment at once, even when its satellite is away; the satellite cleans up when it is back."""
        await self._send(
            Call(
                "deployments.force_delete",
                "DELETE",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/force",
                type(None),
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
            )
        )

    async def stop(self, organization_id: Id, orbit_id: Id, deployment_id: Id, *, why: str | None = None) -> Deployment:
        """Stop serving: no replica stays, and what the deployment is stays as it is; `start` serves it again.

        A rollout that is under way ends with it: the stable revision is what `start` serves.
        """
        return await self._send(
            Call(
                "deployments.stop",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/stop",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(Reason, why=why),
            )
        )

    async def start(
        self, organization_id: Id, orbit_id: Id, deployment_id: Id, *, why: str | None = None
    ) -> Deployment:
        """Serve a deployment again that was stopped."""
        return await self._send(
            Call(
                "deployments.start",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/start",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(Reason, why=why),
            )
        )

    async def restart(
        self, organization_id: Id, orbit_id: Id, deployment_id: Id, *, why: str | None = None
    ) -> Deployment:
        """Replace every replica by a new one; the old ones serve until the new ones are ready."""
        return await self._send(
            Call(
                "deployments.restart",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/restart",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(Reason, why=why),
            )
        )


class AsyncRevisions(AsyncGroup):
    """What a deployment serves or has served: a model with its environment and parameters."""

    async def create(
        self,
        organization_id: Id,
        orbit_id: Id,
        deployment_id: Id,
        *,
        artifact_id: Id | UnsetType | None = UNSET,
        satellite_parameters: dict[str, bool | int | str] | UnsetType | None = UNSET,
        env_variables: dict[str, str] | UnsetType | None = UNSET,
        env_variables_secrets: dict[str, Id] | UnsetType | None = UNSET,
        rollout: RolloutCreate | None = None,
        why: str | None = None,
    ) -> Deployment:
        """Roll out a change: another model, environment or parameters; what is not sent is as before.

        The revision before serves until the new one is ready, and its share of the requests as long as the rollout
        says so.
        """
        return await self._send(
            Call(
                "revisions.create",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/revisions",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(
                    RevisionCreate,
                    artifact_id=artifact_id,
                    satellite_parameters=satellite_parameters,
                    env_variables=env_variables,
                    env_variables_secrets=env_variables_secrets,
                    rollout=rollout,
                    why=why,
                ),
            )
        )

    async def list(
        self, organization_id: Id, orbit_id: Id, deployment_id: Id, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Revision]:
        """The revisions of a deployment, newest first."""
        return await self._send(
            Call(
                "revisions.list",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/revisions",
                Page[Revision],
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                query={"cursor": cursor, "limit": limit},
            )
        )

    async def difference(
        self, organization_id: Id, orbit_id: Id, deployment_id: Id, revision_id: Id
    ) -> RevisionDifference:
        """What going (back) to a revision would change."""
        return await self._send(
            Call(
                "revisions.difference",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/revisions/{revision_id}/difference",
                RevisionDifference,
                path={
                    "organization_id": organization_id,
                    "orbit_id": orbit_id,
                    "deployment_id": deployment_id,
                    "revision_id": revision_id,
                },
            )
        )


class AsyncRollouts(AsyncGroup):
    """The move of a deployment from one revision to the next."""

    async def update(
        self,
        organization_id: Id,
        orbit_id: Id,
        deployment_id: Id,
        *,
        weight: int | UnsetType = UNSET,
        mirror: bool | UnsetType = UNSET,
        steps: builtins.list[RolloutStep] | UnsetType = UNSET,
        bounds: RolloutBounds | UnsetType | None = UNSET,
        why: str | None = None,
    ) -> Deployment:
        """Change the new revision's share of the requests; with weight 100 it takes over."""
        return await self._send(
            Call(
                "rollouts.update",
                "PATCH",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/rollout",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(RolloutUpdate, weight=weight, mirror=mirror, steps=steps, bounds=bounds, why=why),
            )
        )

    async def rollback(
        self,
        organization_id: Id,
        orbit_id: Id,
        deployment_id: Id,
        *,
        revision_id: Id | None = None,
        why: str | None = None,
    ) -> Deployment:
        """Go back to an earlier revision; what serves now goes on until that is ready.

        That is the named one, else the stable one of a rollout under way, else the one that served before.
        """
        return await self._send(
            Call(
                "rollouts.rollback",
                "POST",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/deployments/{deployment_id}/rollback",
                Deployment,
                path={"organization_id": organization_id, "orbit_id": orbit_id, "deployment_id": deployment_id},
                body=body(Rollback, revision_id=revision_id, why=why),
            )
        )


class AsyncAgent(AsyncGroup):
    """The satellite's own door to the registry."""

    async def pair(
        self, *, base_url: str, capabilities: dict[str, dict[str, Any] | None], slug: str | None = None
    ) -> Satellite:
        """Say at each start where one serves and what one can do."""
        return await self._send(
            Call(
                "agent.pair",
                "POST",
                "/satellites/v1/pair",
                Satellite,
                body=body(SatellitePair, base_url=base_url, capabilities=capabilities, slug=slug),
            )
        )

    async def open_session(self, *, instance: str, lease_seconds: float = 30) -> SatelliteSession:
        """Be the one instance of this satellite that works, or go on being it; refused while another one is.

        Instances share the satellite's key. One that is refused stands by, and asks again: the session of one that does
        not renew it ends after `lease_seconds`.
        """
        return await self._send(
            Call(
                "agent.open_session",
                "POST",
                "/satellites/v1/session",
                SatelliteSession,
                body=body(SessionOpen, instance=instance, lease_seconds=lease_seconds),
            )
        )

    async def close_session(self, *, instance: str) -> None:
        """Work no more, so that another instance of this satellite may at once."""
        await self._send(
            Call("agent.close_session", "DELETE", "/satellites/v1/session", type(None), query={"instance": instance})
        )

    async def tasks(
        self, *, status: Literal["pending", "running", "done", "failed"] | None = None, wait: float = 0
    ) -> builtins.list[Task]:
        """One's tasks; with ``status=pending`` those to claim now. `wait`: seconds to wait for one to come."""
        return await self._send(
            Call(
                "agent.tasks",
                "GET",
                "/satellites/v1/tasks",
                builtins.list[Task],
                query={"status": status, "wait": wait},
            )
        )

    async def update_task(
        self,
        task_id: Id,
        *,
        status: Literal["pending", "running", "done", "failed"],
        result: dict[str, Any] | None = None,
        lease_token: Id | None = None,
        lease_seconds: float | None = None,
    ) -> Task:
        """``running`` claims a task, and a second claim is refused; ``done`` and ``failed`` end it."""
        return await self._send(
            Call(
                "agent.update_task",
                "POST",
                "/satellites/v1/tasks/{task_id}/status",
                Task,
                path={"task_id": task_id},
                body=body(
                    TaskUpdate, status=status, result=result, lease_token=lease_token, lease_seconds=lease_seconds
                ),
            )
        )

    async def renew_task(self, task_id: Id, *, lease_token: Id, lease_seconds: float = 30) -> Task:
        """Keep a task that one has claimed for a while longer."""
        return await self._send(
            Call(
                "agent.renew_task",
                "POST",
                "/satellites/v1/tasks/{task_id}/renew",
                Task,
                path={"task_id": task_id},
                body=body(TaskRenew, lease_token=lease_token, lease_seconds=lease_seconds),
            )
        )

    async def deployments(self) -> builtins.list[Deployment]:
        """What shall run here, and what shall not run any more."""
        return await self._send(
            Call("agent.deployments", "GET", "/satellites/v1/deployments", builtins.list[Deployment])
        )

    async def deployment(self, deployment_id: Id) -> Deployment:
        """One deployment."""
        return await self._send(
            Call(
                "agent.deployment",
                "GET",
                "/satellites/v1/deployments/{deployment_id}",
                Deployment,
                path={"deployment_id": deployment_id},
            )
        )

    async def update_deployment(
        self,
        deployment_id: Id,
        *,
        inference_url: str | UnsetType | None = UNSET,
        status: Literal["pending", "active", "failed", "deletion_pending", "deletion_failed", "not_responding"]
        | UnsetType
        | None = UNSET,
        tags: builtins.list[str] | UnsetType | None = UNSET,
        schemas: dict[str, Any] | UnsetType | None = UNSET,
        error_message: dict[str, Any] | UnsetType | None = UNSET,
        generation: int | None = None,
    ) -> Deployment:
        """Report what one observes. A report about an older generation than the desired one is refused."""
        return await self._send(
            Call(
                "agent.update_deployment",
                "PATCH",
                "/satellites/v1/deployments/{deployment_id}",
                Deployment,
                path={"deployment_id": deployment_id},
                body=body(
                    DeploymentReport,
                    inference_url=inference_url,
                    status=status,
                    tags=tags,
                    schemas=schemas,
                    error_message=error_message,
                    generation=generation,
                ),
            )
        )

    async def update_deployment_status(
        self,
        deployment_id: Id,
        *,
        status: Literal["pending", "active", "failed", "deletion_pending", "deletion_failed", "not_responding"],
    ) -> Deployment:
        """Report the status alone."""
        return await self._send(
            Call(
                "agent.update_deployment_status",
                "PATCH",
                "/satellites/v1/deployments/{deployment_id}/status",
                Deployment,
                path={"deployment_id": deployment_id},
                body=body(DeploymentStatusReport, status=status),
            )
        )

    async def roll_back(self, deployment_id: Id, *, generation: int, reason: str, error: str = "") -> Deployment:
        """Take the new revision of a rollout back, because it does not keep to its bounds; the stable one serves all.

        Refused when something else is desired meanwhile than at `generation`.
        """
        return await self._send(
            Call(
                "agent.roll_back",
                "POST",
                "/satellites/v1/deployments/{deployment_id}/rollback",
                Deployment,
                path={"deployment_id": deployment_id},
                body=body(RollbackReport, generation=generation, reason=reason, error=error),
            )
        )

    async def delete_deployment(self, deployment_id: Id) -> None:
        """Confirm that a deployment that was to be deleted is gone."""
        await self._send(
            Call(
                "agent.delete_deployment",
                "DELETE",
                "/satellites/v1/deployments/{deployment_id}",
                type(None),
                path={"deployment_id": deployment_id},
            )
        )

    async def inference_access(
        self, *, api_key: str, purpose: Literal["inference", "logs"] = "inference"
    ) -> InferenceAccessAnswer:
        """Whether an API key that somebody has sent opens the deployments here: their models, or their logs."""
        return await self._send(
            Call(
                "agent.inference_access",
                "POST",
                "/satellites/v1/deployments/inference-access",
                InferenceAccessAnswer,
                body=body(InferenceAccess, api_key=api_key, purpose=purpose),
            )
        )

    async def secrets(self) -> builtins.list[Secret]:
        """The secrets that one's deployments refer to, with their values."""
        return await self._send(Call("agent.secrets", "GET", "/satellites/v1/secrets", builtins.list[Secret]))

    async def secret(self, secret_id: Id) -> Secret:
        """A secret that a deployment here refers to, with its value."""
        return await self._send(
            Call("agent.secret", "GET", "/satellites/v1/secrets/{secret_id}", Secret, path={"secret_id": secret_id})
        )

    async def artifact(self, artifact_id: Id) -> ArtifactForSatellite:
        """An artifact that a deployment here refers to, with a signed address of its bytes."""
        return await self._send(
            Call(
                "agent.artifact",
                "GET",
                "/satellites/v1/artifacts/{artifact_id}",
                ArtifactForSatellite,
                path={"artifact_id": artifact_id},
            )
        )

    async def artifact_url(self, artifact_id: Id) -> SignedUrl:
        """A signed address of the bytes of an artifact that a deployment here refers to."""
        return await self._send(
            Call(
                "agent.artifact_url",
                "GET",
                "/satellites/v1/artifacts/{artifact_id}/download-url",
                SignedUrl,
                path={"artifact_id": artifact_id},
            )
        )

    async def model(self, model_artifact_id: Id) -> ArtifactForSatellite:
        """The same as `agent.artifact`, under its old name."""
        return await self._send(
            Call(
                "agent.model",
                "GET",
                "/satellites/v1/model_artifacts/{model_artifact_id}",
                ArtifactForSatellite,
                path={"model_artifact_id": model_artifact_id},
            )
        )

    async def model_url(self, model_artifact_id: Id) -> SignedUrl:
        """The same as `agent.artifact_url`, under its old name."""
        return await self._send(
            Call(
                "agent.model_url",
                "GET",
                "/satellites/v1/model_artifacts/{model_artifact_id}/download-url",
                SignedUrl,
                path={"model_artifact_id": model_artifact_id},
            )
        )


class AsyncEvents(AsyncGroup):
    """Who did what to which object: the audit log of an organization, and of an orbit."""

    async def list(
        self,
        organization_id: Id,
        *,
        orbit: Id | None = None,
        order: Literal["asc", "desc"] = "desc",
        limit: int = 50,
        cursor: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        object_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[Event]:
        """The events of an organization.

        Filters: one `orbit`, one `actor` (id or name), one object, an `action` or the beginning of one (`artifact.`),
        from `since` on and before `until`.
        """
        return await self._send(
            Call(
                "events.list",
                "GET",
                "/v1/organizations/{organization_id}/events",
                Page[Event],
                path={"organization_id": organization_id},
                query={
                    "orbit": orbit,
                    "order": order,
                    "limit": limit,
                    "cursor": cursor,
                    "actor": actor,
                    "action": action,
                    "object_id": object_id,
                    "since": since,
                    "until": until,
                },
            )
        )

    async def list_in_orbit(
        self,
        organization_id: Id,
        orbit_id: Id,
        *,
        order: Literal["asc", "desc"] = "desc",
        limit: int = 50,
        cursor: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        object_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[Event]:
        """The events of an orbit; filters as for the organization's."""
        return await self._send(
            Call(
                "events.list_in_orbit",
                "GET",
                "/v1/organizations/{organization_id}/orbits/{orbit_id}/events",
                Page[Event],
                path={"organization_id": organization_id, "orbit_id": orbit_id},
                query={
                    "order": order,
                    "limit": limit,
                    "cursor": cursor,
                    "actor": actor,
                    "action": action,
                    "object_id": object_id,
                    "since": since,
                    "until": until,
                },
            )
        )


class AsyncWebhooks(AsyncGroup):
    """Addresses to which the events of an organization are sent, signed, and again until they arrive."""

    async def create(
        self,
        organization_id: Id,
        *,
        url: str,
        actions: builtins.list[str],
        orbit_id: Id | None = None,
        description: str | None = None,
    ) -> WebhookSecret:
        """Create a webhook; the answer shows its secret, once."""
        return await self._send(
            Call(
                "webhooks.create",
                "POST",
                "/v1/organizations/{organization_id}/webhooks",
                WebhookSecret,
                path={"organization_id": organization_id},
                body=body(WebhookCreate, url=url, actions=actions, orbit_id=orbit_id, description=description),
            )
        )

    async def list(self, organization_id: Id) -> builtins.list[Webhook]:
        """The webhooks of an organization, oldest first."""
        return await self._send(
            Call(
                "webhooks.list",
                "GET",
                "/v1/organizations/{organization_id}/webhooks",
                builtins.list[Webhook],
                path={"organization_id": organization_id},
            )
        )

    async def get(self, organization_id: Id, webhook_id: Id) -> Webhook:
        """A webhook."""
        return await self._send(
            Call(
                "webhooks.get",
                "GET",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}",
                Webhook,
                path={"organization_id": organization_id, "webhook_id": webhook_id},
            )
        )

    async def update(
        self,
        organization_id: Id,
        webhook_id: Id,
        *,
        url: str | UnsetType = UNSET,
        actions: builtins.list[str] | UnsetType = UNSET,
        description: str | UnsetType | None = UNSET,
        enabled: bool | UnsetType = UNSET,
    ) -> Webhook:
        """Change address, actions or description, or switch it on and off; what waits while it is off has failed."""
        return await self._send(
            Call(
                "webhooks.update",
                "PATCH",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}",
                Webhook,
                path={"organization_id": organization_id, "webhook_id": webhook_id},
                body=body(WebhookUpdate, url=url, actions=actions, description=description, enabled=enabled),
            )
        )

    async def delete(self, organization_id: Id, webhook_id: Id) -> None:
        """Delete a webhook with the history of its deliveries."""
        await self._send(
            Call(
                "webhooks.delete",
                "DELETE",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}",
                type(None),
                path={"organization_id": organization_id, "webhook_id": webhook_id},
            )
        )

    async def rotate_secret(self, organization_id: Id, webhook_id: Id) -> WebhookSecret:
        """Make a new secret, shown once. For a day messages are signed with the old one, too."""
        return await self._send(
            Call(
                "webhooks.rotate_secret",
                "POST",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/secret",
                WebhookSecret,
                path={"organization_id": organization_id, "webhook_id": webhook_id},
            )
        )

    async def test(self, organization_id: Id, webhook_id: Id) -> Delivery:
        """Send a message of the action `webhook.test`, whatever the webhook's patterns; its delivery, which waits."""
        return await self._send(
            Call(
                "webhooks.test",
                "POST",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/test",
                Delivery,
                path={"organization_id": organization_id, "webhook_id": webhook_id},
            )
        )

    async def deliveries(
        self,
        organization_id: Id,
        webhook_id: Id,
        *,
        state: Literal["pending", "delivered", "failed"] | None = None,
        order: Literal["asc", "desc"] = "desc",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """The messages of the last month, each with its attempts."""
        return await self._send(
            Call(
                "webhooks.deliveries",
                "GET",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/deliveries",
                Page[Delivery],
                path={"organization_id": organization_id, "webhook_id": webhook_id},
                query={"state": state, "order": order, "limit": limit, "cursor": cursor},
            )
        )

    async def delivery(self, organization_id: Id, webhook_id: Id, delivery_id: Id) -> Delivery:
        """A message with its attempts."""
        return await self._send(
            Call(
                "webhooks.delivery",
                "GET",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/deliveries/{delivery_id}",
                Delivery,
                path={"organization_id": organization_id, "webhook_id": webhook_id, "delivery_id": delivery_id},
            )
        )

    async def redeliver(self, organization_id: Id, webhook_id: Id, delivery_id: Id) -> Delivery:
        """Send a message again, under the same `webhook-id`."""
        return await self._send(
            Call(
                "webhooks.redeliver",
                "POST",
                "/v1/organizations/{organization_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
                Delivery,
                path={"organization_id": organization_id, "webhook_id": webhook_id, "delivery_id": delivery_id},
            )
        )


class AsyncApi:
    """Every resource of the platform, to be awaited."""

    def __init__(self, send: SendAsync) -> None:
        self.auth = AsyncAuth(send)
        self.accounts = AsyncAccounts(send)
        self.sessions = AsyncSessions(send)
        self.identities = AsyncIdentities(send)
        self.api_keys = AsyncApiKeys(send)
        self.permissions = AsyncPermissions(send)
        self.organizations = AsyncOrganizations(send)
        self.members = AsyncMembers(send)
        self.invites = AsyncInvites(send)
        self.invitations = AsyncInvitations(send)
        self.service_accounts = AsyncServiceAccounts(send)
        self.orbits = AsyncOrbits(send)
        self.orbit_members = AsyncOrbitMembers(send)
        self.secrets = AsyncSecrets(send)
        self.buckets = AsyncBuckets(send)
        self.uploads = AsyncUploads(send)
        self.deletions = AsyncDeletions(send)
        self.collections = AsyncCollections(send)
        self.artifacts = AsyncArtifacts(send)
        self.search = AsyncSearch(send)
        self.tracks = AsyncTracks(send)
        self.track_entries = AsyncTrackEntries(send)
        self.track_history = AsyncTrackHistory(send)
        self.satellites = AsyncSatellites(send)
        self.deployments = AsyncDeployments(send)
        self.revisions = AsyncRevisions(send)
        self.rollouts = AsyncRollouts(send)
        self.agent = AsyncAgent(send)
        self.events = AsyncEvents(send)
        self.webhooks = AsyncWebhooks(send)
