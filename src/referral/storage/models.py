"""The tables.

`PERSONAL` names the columns of a table that are about a person. The deletion of an account clears
them or deletes their rows, which a test checks for every column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class User(Model):
    """One person, one phone.

    A deleted user keeps a row without phone and personal data: the invite code is never given to
    another user, invitees keep the code that they activated, and the chain of inviters stays whole.
    """

    PERSONAL: ClassVar[frozenset[str]] = frozenset({"phone", "name", "email"})

    id = fields.UUIDField(primary_key=True)
    phone = fields.CharField(max_length=16, unique=True, null=True)
    name = fields.CharField(max_length=100, null=True)
    email = fields.CharField(max_length=254, null=True)
    invite_code = fields.CharField(max_length=6, unique=True)
    inviter: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "referral.User",
        related_name="invitees",
        null=True,
        on_delete=fields.RESTRICT,
        db_index=False,
    )
    inviter_id: UUID | None
    activated_at = fields.DatetimeField(null=True)
    inviter_sees_phone = fields.BooleanField(default=True)
    """False once the user has changed phone: the inviter is never shown a new number."""
    invitee_count = fields.IntField(default=0)
    is_admin = fields.BooleanField(default=False)
    is_blocked = fields.BooleanField(default=False)
    created_at = fields.DatetimeField()
    last_sign_in_at = fields.DatetimeField()
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = "users"
        indexes = (
            Index(fields=("inviter_id", "activated_at", "id"), name="users_by_inviter"),
            Index(fields=("created_at", "id"), name="users_by_age"),
        )


class Session(Model):
    """One sign-in. Ending it deletes the row."""

    PERSONAL: ClassVar[frozenset[str]] = frozenset({"user_agent"})

    id = fields.UUIDField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "referral.User", related_name="sessions", on_delete=fields.CASCADE, db_index=False
    )
    user_id: UUID
    family_digest = fields.BinaryField()
    refresh_digest = fields.BinaryField()
    user_agent = fields.CharField(max_length=255, null=True)
    proof = fields.CharField(max_length=10)
    """How the phone was proven: see core/proof.py."""
    late_repeats_tat = fields.BigIntField(db_default=0)
    """The TAT of the limit on late repeats of refresh tokens: see service/session_rules.py."""
    created_at = fields.DatetimeField()
    last_used_at = fields.DatetimeField()
    """When the live refresh token was issued: at sign-in, then at each refresh."""
    client: fields.ForeignKeyNullableRelation[Client] = fields.ForeignKeyField(
        "referral.Client",
        related_name="sessions",
        null=True,
        on_delete=fields.CASCADE,
        db_index=False,
    )
    client_id: str | None
    """The client whose session this is; null for a sign-in by the API or on the pages."""
    scopes = fields.CharField(max_length=200, null=True)
    """The scopes that were granted to the client, separated by spaces."""
    authenticated_at = fields.DatetimeField(null=True)
    """Of a client's session: when the browser's session began, in which a code was verified."""
    expires_at = fields.DatetimeField(null=True)
    """When a session without a refresh token ends. Null for the others."""

    @property
    def signed_in_at(self) -> datetime:
        """When a code was last verified, from which every age of the session counts."""
        return self.authenticated_at or self.created_at

    class Meta:
        table = "sessions"
        indexes = (
            Index(fields=("user_id", "created_at", "id"), name="sessions_by_user"),
            Index(fields=("client_id",), name="sessions_by_client"),
        )


class Client(Model):
    """An app of the team that signs people in with OpenID Connect."""

    id = fields.CharField(max_length=40, primary_key=True)
    name = fields.CharField(max_length=60, unique=True)
    redirect_uris = fields.TextField()
    """One URI on each line."""
    post_logout_redirect_uris = fields.TextField()
    """One URI on each line."""
    is_public = fields.BooleanField()
    """Whether the app cannot keep a secret: a mobile or single-page app."""
    requires_pkce = fields.BooleanField()
    account_allowed = fields.BooleanField()
    """Whether it may request the scope `account`."""
    audience = fields.CharField(max_length=200, null=True)
    """The `aud` of its access tokens; null if that is the client's id."""
    secret_digest = fields.CharField(max_length=43, null=True)
    previous_secret_digest = fields.CharField(max_length=43, null=True)
    """The digest of the previous secret, which is valid until the rotation is finished."""
    created_at = fields.DatetimeField()

    class Meta:
        table = "clients"


class SigningKey(Model):
    """A key pair for ID tokens, encrypted by a data key."""

    id = fields.CharField(max_length=43, primary_key=True)
    """The `kid`."""
    encrypted = fields.TextField()
    signs_from = fields.DatetimeField()
    """When it begins to sign: some time after it is published, so that every app has read it."""

    class Meta:
        table = "signing_keys"


class DeviceGeneration(Model):
    """The generation that a user's valid device tokens carry. A user without a row has 0.

    Incrementing it revokes the tokens that were issued before. It is a table of its own without a
    foreign key, which would lock the user's row: signing out everywhere must not wait for a
    transaction that is changing the user.
    """

    user_id = fields.UUIDField(primary_key=True)
    generation = fields.IntField()

    class Meta:
        table = "device_generations"


class Counter(Model):
    """How much of one limit is used: see limits/gcra.py."""

    key = fields.CharField(max_length=22, primary_key=True)
    """A keyed digest of the limit and of the phone, address or other scope that it is about."""
    tat = fields.BigIntField(db_index=True)
    """The theoretical arrival time, in microseconds since the epoch."""

    class Meta:
        table = "counters"


class PastActivation(Model):
    """A keyed digest of a phone that activated an invite code and then left its account."""

    phone_digest = fields.CharField(max_length=43, primary_key=True)
    expires_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "past_activations"


class AdminGrant(Model):
    """A phone whose user becomes an administrator at the first sign-in."""

    PERSONAL: ClassVar[frozenset[str]] = frozenset({"phone"})

    phone = fields.CharField(max_length=16, primary_key=True)

    class Meta:
        table = "admin_grants"


class DataKey(Model):
    """A random secret, encrypted by a key derived from REFERRAL_SECRET."""

    id = fields.UUIDField(primary_key=True)
    encrypted = fields.TextField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "data_keys"


class ApiKey(Model):
    """A bearer token for administration by programs."""

    name = fields.CharField(max_length=100, primary_key=True)
    digest = fields.CharField(max_length=43, unique=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "api_keys"


class AuditEntry(Model):
    """Who did what, when and from where. It has no phones, because entries outlive the users."""

    PERSONAL: ClassVar[frozenset[str]] = frozenset({"address"})

    id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    action = fields.CharField(max_length=50)
    actor = fields.CharField(max_length=150)
    """`user:ID`, `key:NAME` or `command`."""
    user_id = fields.UUIDField(null=True)
    """The user whom the action concerns, if any."""
    address = fields.CharField(max_length=45, null=True)
    """The actor's network address. Cleared after a while, and with the actor's account."""

    class Meta:
        table = "audit_entries"
        indexes = (
            Index(fields=("at", "id"), name="audit_entries_by_age"),
            Index(fields=("user_id", "at", "id"), name="audit_entries_by_user"),
        )


class TrafficCount(Model):
    """How many codes were sent and how many sign-ins followed, by hour and segment."""

    key = fields.CharField(max_length=32, primary_key=True)
    """`SEGMENT:HOUR`, for a country, range of numbers or address: see limits/pumping/."""
    hour = fields.IntField(db_index=True)
    """Hours since the epoch."""
    sends = fields.IntField()
    sign_ins = fields.IntField()

    class Meta:
        table = "traffic_counts"


class Lease(Model):
    """The process that does a job, and until when. Only one process does it at a time."""

    name = fields.CharField(max_length=50, primary_key=True)
    holder = fields.UUIDField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "leases"


class Event(Model):
    """An event for the webhook endpoint. It has no phones: they are added at delivery."""

    sequence = fields.BigIntField(primary_key=True)
    """Increases with time for each user, because a writer holds the lock of the user's row."""
    id = fields.UUIDField()
    """The `webhook-id`, and the id of the entry in the audit trail if there is one."""
    type = fields.CharField(max_length=30)
    user_id = fields.UUIDField(null=True)
    data = fields.TextField()
    """JSON with the facts that cannot be looked up at delivery."""
    at = fields.DatetimeField()
    next_attempt_at = fields.DatetimeField(null=True)
    """When to attempt delivery next; null once it is finished."""
    attempts = fields.IntField(default=0)
    first_attempt_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=100, null=True)
    """Why the last attempt failed; null once it is acknowledged."""
    finished_at = fields.DatetimeField(null=True)
    """When it was acknowledged or, if there is an error, given up."""

    class Meta:
        table = "outbox"
        indexes = (
            Index(fields=("next_attempt_at", "sequence"), name="outbox_by_next_attempt"),
            Index(fields=("user_id", "sequence"), name="outbox_by_user"),
            Index(fields=("finished_at",), name="outbox_by_finish"),
        )


class EndpointState(Model):
    """The circuit breaker of the webhook endpoint, shared by all processes."""

    name = fields.CharField(max_length=50, primary_key=True)
    failing_since = fields.DatetimeField(null=True)
    """Null while the endpoint accepts events."""
    failures = fields.IntField(default=0)
    next_attempt_at = fields.DatetimeField(null=True)
    """When to send the next probe. Null while it accepts events, and after a 410 until resumed."""
    error = fields.CharField(max_length=100, null=True)
    """Why the last attempt failed, at `failed_at`."""
    failed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "endpoint_states"
