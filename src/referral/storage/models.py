"""The tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        indexes = (Index(fields=("inviter_id", "activated_at", "id"), name="users_by_inviter"),)


class Session(Model):
    """One sign-in. Ending it deletes the row."""

    id = fields.UUIDField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "referral.User", related_name="sessions", on_delete=fields.CASCADE, db_index=False
    )
    user_id: UUID
    family_digest = fields.BinaryField()
    refresh_digest = fields.BinaryField()
    user_agent = fields.CharField(max_length=255, null=True)
    created_at = fields.DatetimeField()
    last_used_at = fields.DatetimeField()
    """When the live refresh token was made: at sign-in, then at each refresh."""

    class Meta:
        table = "sessions"
        indexes = (Index(fields=("user_id", "created_at", "id"), name="sessions_by_user"),)


class Counter(Model):
    """How much of one limit somebody has used, see core/buckets.py. Never a code."""

    key = fields.CharField(max_length=22, primary_key=True)
    """A keyed digest of the limit and of whom it is about."""
    moment = fields.BigIntField(db_index=True)

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

    phone = fields.CharField(max_length=16, primary_key=True)

    class Meta:
        table = "admin_grants"


class KeptSecret(Model):
    """A random secret, sealed by a key derived from REFERRAL_SECRET."""

    id = fields.UUIDField(primary_key=True)
    sealed = fields.TextField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "kept_secrets"
