"""The tables.

Each says which of its columns are about a person, in `PERSONAL`: the deletion of an account clears
these, or deletes the rows that they stand in. A test asks it of every column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

if TYPE_CHECKING:
    from uuid import UUID


class User(Model):
    """One person, one phone.

    A deleted user stays as a row without phone and personal data: the invite code is retired for
    ever, invitees keep what they activated, and the chain of inviters keeps its links.
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
    """Whether the phone is the one that activated: nobody's new number is given away."""
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
    """How the phone was proven, see core/proof.py."""
    late_repeats_tat = fields.BigIntField(db_default=0)
    """Counts late repeats of a refresh token, see service/session_rules.py and limits/gcra.py."""
    created_at = fields.DatetimeField()
    last_used_at = fields.DatetimeField()
    """When the live refresh token was made: at sign-in, then at each refresh."""

    class Meta:
        table = "sessions"
        indexes = (Index(fields=("user_id", "created_at", "id"), name="sessions_by_user"),)


class DeviceGeneration(Model):
    """What a user's device tokens carry. Raising it ends those of before. Without a row: 0.

    Not in the user's row, and without a link that would lock it: signing out everywhere waits for
    nobody who is about to change the user.
    """

    user_id = fields.UUIDField(primary_key=True)
    generation = fields.IntField()

    class Meta:
        table = "device_generations"


class Counter(Model):
    """How much of one limit somebody has used, see limits/gcra.py. Never a code."""

    key = fields.CharField(max_length=22, primary_key=True)
    """A keyed digest of the limit and of whom it is about."""
    tat = fields.BigIntField(db_index=True)
    """Theoretical arrival time, microseconds since the epoch."""

    class Meta:
        table = "counters"


class PastActivation(Model):
    """A keyed digest of a phone that activated an invite code and then left its account."""

    phone_digest = fields.CharField(max_length=43, primary_key=True)
    expires_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "past_activations"


class AdminGrant(Model):
    """A phone that becomes an administrator at its first sign-in."""

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
    """Who did what, when, from where. User ids, never phones: it outlives the users."""

    PERSONAL: ClassVar[frozenset[str]] = frozenset({"address"})

    id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    action = fields.CharField(max_length=50)
    actor = fields.CharField(max_length=150)
    """`user:ID`, `key:NAME` or `command`."""
    user_id = fields.UUIDField(null=True)
    """Whom it was done to, where that is somebody."""
    address = fields.CharField(max_length=45, null=True)
    """Of the actor. Cleared after a while, and with the actor's account."""

    class Meta:
        table = "audit_entries"
        indexes = (
            Index(fields=("at", "id"), name="audit_entries_by_age"),
            Index(fields=("user_id", "at", "id"), name="audit_entries_by_user"),
        )


class TrafficCount(Model):
    """What was sent, and how many signed in with it, by hour and country or address."""

    key = fields.CharField(max_length=32, primary_key=True)
    """Of a region (`RU`) or a keyed digest of an address, and the hour."""
    hour = fields.IntField(db_index=True)
    """Hours since the epoch."""
    sends = fields.IntField()
    sign_ins = fields.IntField()

    class Meta:
        table = "traffic_counts"


class Lease(Model):
    """Which process does something that one at a time should do, and until when it has said so."""

    name = fields.CharField(max_length=50, primary_key=True)
    holder = fields.UUIDField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "leases"


class Event(Model):
    """What happened, for the team's receiver. User ids, never phones: those join at delivery."""

    sequence = fields.BigIntField(primary_key=True)
    """Rises for each user as things happen to them: whoever writes holds the user's lock."""
    id = fields.UUIDField()
    """The `webhook-id`, and the id of the audit trail's entry where there is one."""
    type = fields.CharField(max_length=30)
    user_id = fields.UUIDField(null=True)
    data = fields.TextField()
    """JSON: what cannot be looked up later."""
    at = fields.DatetimeField()
    next_attempt_at = fields.DatetimeField(null=True)
    """When to try next; null once it is over."""
    attempts = fields.IntField(default=0)
    first_attempt_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=100, null=True)
    """Why the last try failed; null once it is acknowledged."""
    finished_at = fields.DatetimeField(null=True)
    """When it was acknowledged or, with an error, given up."""

    class Meta:
        table = "outbox"
        indexes = (
            Index(fields=("next_attempt_at", "sequence"), name="outbox_by_next_attempt"),
            Index(fields=("user_id", "sequence"), name="outbox_by_user"),
            Index(fields=("finished_at",), name="outbox_by_finish"),
        )


class EndpointState(Model):
    """How the receiver of the events is, for whichever process delivers next."""

    name = fields.CharField(max_length=50, primary_key=True)
    failing_since = fields.DatetimeField(null=True)
    """Null while it takes events."""
    failures = fields.IntField(default=0)
    next_attempt_at = fields.DatetimeField(null=True)
    """When to try again; null while it takes events, and after a 410, until somebody resumes."""
    error = fields.CharField(max_length=100, null=True)
    """Of the last try that failed, at `failed_at`."""
    failed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "endpoint_states"
