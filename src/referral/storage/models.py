"""The tables.

`PERSONAL` names the columns of a table that are about a person. The deletion of an account clears
them or deletes their rows, which a test checks for every column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tortoise import fields
from tortoise.indexes import Index, PartialIndex
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
    places_taken = fields.IntField(null=True)
    """How many people the invite code has admitted; a deletion frees no place. Null until the first
    is admitted while places are limited: then those before are counted."""
    voided_at = fields.DatetimeField(null=True)
    """When the user's activation was last voided, after which they may activate a code again."""
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
            Index(fields=("invitee_count", "id"), name="users_by_invitee_count"),
            PartialIndex(
                fields=("created_at", "id"),
                name="users_blocked_by_age",
                condition={"is_blocked": True},
            ),
            PartialIndex(
                fields=("created_at", "id"),
                name="users_admins_by_age",
                condition={"is_admin": True},
            ),
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
    address_digest = fields.CharField(max_length=22, null=True)
    """A keyed digest of the address of the sign-in or last refresh, for one day."""

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


class AdmittedPhone(Model):
    """A keyed digest of a phone that an inviter's code has admitted, and that left its account.

    It takes no second place of that inviter.
    """

    id = fields.BigIntField(primary_key=True)
    phone_digest = fields.CharField(max_length=43)
    inviter_id = fields.UUIDField()
    takes_place = fields.BooleanField()
    """Whether this admission took a place itself: not if the phone activated the code before."""
    expires_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "admitted_phones"
        unique_together = (("phone_digest", "inviter_id"),)
        indexes = (Index(fields=("inviter_id",), name="admitted_phones_by_inviter"),)


class SignUpGrant(Model):
    """A phone that may sign up without an invite code. Deleted when it signs up."""

    PERSONAL: ClassVar[frozenset[str]] = frozenset({"phone"})

    phone = fields.CharField(max_length=16, primary_key=True)

    class Meta:
        table = "sign_up_grants"


class Activation(Model):
    """An activation of an invite code, also a voided one or an imported link.

    Activations by versions before this table are added when they are first needed.
    """

    id = fields.BigIntField(primary_key=True)
    user_id = fields.UUIDField()
    inviter_id = fields.UUIDField()
    made_at = fields.DatetimeField()
    """When it was made here: for an imported link, the time of the import."""
    voided_at = fields.DatetimeField(null=True)
    is_repeat = fields.BooleanField(default=False)
    """Whether the user was this inviter's invitee before: then no rule earns anything by it."""
    flags = fields.CharField(max_length=60, default="")
    """Names of flags, separated by spaces: see rewards/flags.py."""

    class Meta:
        table = "activations"
        indexes = (
            Index(fields=("user_id", "id"), name="activations_by_user"),
            Index(fields=("inviter_id", "made_at"), name="activations_by_inviter"),
        )


class InviteOpens(Model):
    """How often the invite link of a user was opened on one day."""

    id = fields.BigIntField(primary_key=True)
    user_id = fields.UUIDField()
    day = fields.CharField(max_length=10)
    """In UTC: `2026-01-31`."""
    number = fields.BigIntField()

    class Meta:
        table = "invite_opens"
        unique_together = (("user_id", "day"),)
        indexes = (Index(fields=("day",), name="invite_opens_by_day"),)


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
    events_only = fields.BooleanField(db_default=False)
    """Whether it opens only events, redemptions and their reversals."""
    created_at = fields.DatetimeField()

    class Meta:
        table = "api_keys"


class AuditEntry(Model):
    """Who did what, when and from where. It has no phones, because entries outlive the users."""

    PERSONAL: ClassVar[frozenset[str]] = frozenset({"address", "reason"})

    id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    action = fields.CharField(max_length=50)
    actor = fields.CharField(max_length=150)
    """`user:ID`, `key:NAME` or `command`."""
    user_id = fields.UUIDField(null=True)
    """The user whom the action concerns, if any."""
    address = fields.CharField(max_length=45, null=True)
    """The actor's network address. Cleared after a while, and with the actor's account."""
    reason = fields.CharField(max_length=200, null=True)
    """Why, as an administrator wrote it. Cleared with the account of the user concerned; that of
    the deletion itself after a while."""

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


class DeliveryCount(Model):
    """How many messages were sent, delivered and used, by hour, country and channel."""

    key = fields.CharField(max_length=32, primary_key=True)
    """`KZ:telegram:HOUR`: see messaging/delivery_counts.py."""
    hour = fields.IntField(db_index=True)
    """Hours since the epoch."""
    sent = fields.IntField()
    delivered = fields.IntField()
    used = fields.IntField()
    seconds = fields.FloatField()
    """The sum of the times from the send until the code was used."""

    class Meta:
        table = "delivery_counts"


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


class RewardRule(Model):
    """A rule that turns events into rewards: what never changes about it."""

    name = fields.CharField(max_length=64, primary_key=True)
    trigger = fields.CharField(max_length=64)
    """`activated`, or a type of events."""
    beneficiary = fields.CharField(max_length=7)
    """`inviter` or `invitee`."""
    unit = fields.CharField(max_length=24)
    occurs = fields.CharField(max_length=5)
    """`first`, `every`, `at` or `each`."""
    invitees = fields.IntField(null=True)
    """The number of `at` and `each`."""
    version = fields.IntField()
    """The version in force."""
    created_at = fields.DatetimeField()
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = "reward_rules"


class RewardRuleVersion(Model):
    """One version of a rule. It is never changed or deleted."""

    id = fields.BigIntField(primary_key=True)
    rule = fields.CharField(max_length=64)
    version = fields.IntField()
    amount = fields.BigIntField()
    min_value = fields.BigIntField(null=True)
    cap_per_month = fields.BigIntField(null=True)
    cap_total = fields.BigIntField(null=True)
    hold_days = fields.IntField()
    review = fields.CharField(max_length=7)
    """`none`, `flagged` or `all`."""
    starts_at = fields.DatetimeField()
    ends_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "reward_rule_versions"
        unique_together = (("rule", "version"),)


class RewardEvent(Model):
    """Something that a user did: an event that was posted, or an activation."""

    id = fields.CharField(max_length=128, primary_key=True)
    """The `event_id`; of an activation `activation/ID`, which no posted event can have."""
    digest = fields.CharField(max_length=43, null=True)
    """A keyed digest of the content as it was posted. Null for an activation."""
    type = fields.CharField(max_length=64)
    user_id = fields.UUIDField()
    activation_id = fields.BigIntField(null=True)
    """The activation under which it counts; null if it counts for no rule."""
    occurred_at = fields.DatetimeField()
    created_at = fields.DatetimeField()
    reversed_at = fields.DatetimeField(null=True)
    reason = fields.CharField(max_length=200, null=True)
    """Why it was reversed."""

    class Meta:
        table = "reward_events"


class CountedEvent(Model):
    """An event that makes its user qualify for a rule that looks at invitees."""

    id = fields.BigIntField(primary_key=True)
    event_id = fields.CharField(max_length=128)
    rule = fields.CharField(max_length=64)
    version = fields.IntField()
    """The rule's version when the event was posted."""
    activation_id = fields.BigIntField()
    occurred_at = fields.DatetimeField()
    stands = fields.BooleanField(default=True)
    """False once the event is reversed or its activation voided."""

    class Meta:
        table = "counted_events"
        unique_together = (("event_id", "rule"),)
        indexes = (
            Index(
                fields=("activation_id", "rule", "stands", "occurred_at", "id"),
                name="counted_events_by_activation",
            ),
        )


class Qualifier(Model):
    """An invitee who qualifies for a milestone rule at present, by their activation."""

    id = fields.BigIntField(primary_key=True)
    """In the order in which they qualified."""
    rule = fields.CharField(max_length=64)
    user_id = fields.UUIDField()
    """The inviter."""
    activation_id = fields.BigIntField()

    class Meta:
        table = "qualifiers"
        unique_together = (("rule", "activation_id"),)
        indexes = (Index(fields=("user_id", "rule", "id"), name="qualifiers_by_inviter"),)


class RewardTotal(Model):
    """The sum that a rule has given a user, and how many of their invitees qualify for it.

    It is changed only by a transaction that holds the lock of the user's row.
    """

    id = fields.BigIntField(primary_key=True)
    rule = fields.CharField(max_length=64)
    user_id = fields.UUIDField()
    period = fields.CharField(max_length=7)
    """A month in UTC, such as `2026-01`; empty for all time."""
    amount = fields.BigIntField(default=0)
    """Without entries that were reversed or rejected."""
    qualifiers = fields.IntField(default=0)
    """The present number of qualifiers. Only counted in the row for all time."""

    class Meta:
        table = "reward_totals"
        unique_together = (("user_id", "rule", "period"),)


class RewardEntry(Model):
    """An entry of the ledger. It is never deleted, and its amount never changes."""

    id = fields.UUIDField(primary_key=True)
    kind = fields.CharField(max_length=10)
    """`earned`, `capped`, `reversal`, `redemption` or `return` (of a redemption)."""
    user_id = fields.UUIDField()
    """The beneficiary."""
    unit = fields.CharField(max_length=24)
    amount = fields.BigIntField()
    cause = fields.CharField(max_length=200)
    created_at = fields.DatetimeField()
    available_at = fields.DatetimeField(null=True)
    review = fields.CharField(max_length=8, null=True)
    """`asked`, `approved` or `rejected`; null if nobody has to decide."""
    reversed_at = fields.DatetimeField(null=True)
    """When an entry that reverses this one was made."""
    reverses_id = fields.UUIDField(null=True)
    announcement_id = fields.UUIDField(null=True, db_index=True)
    """The id of its event `reward.available`."""
    rule = fields.CharField(max_length=64, null=True)
    version = fields.IntField(null=True)
    subject = fields.CharField(max_length=140, null=True)
    """For what the rule gave it: see rewards/subjects.py. Null if no rule gave it."""
    attempt = fields.IntField(null=True)
    """How many entries the rule made for the same subject before, all of them reversed."""
    event_id = fields.CharField(max_length=128, null=True)
    """The event that it is earned by."""
    made_by = fields.CharField(max_length=140, null=True)
    """The operation on an event that made it: `post/ID` or `reverse/ID`."""
    about_user_id = fields.UUIDField(null=True)
    """The invitee whose event made it."""
    activation_id = fields.BigIntField(null=True)
    milestone = fields.IntField(null=True)

    class Meta:
        table = "reward_entries"
        unique_together = (("user_id", "rule", "subject", "attempt"),)
        indexes = (
            Index(fields=("created_at", "id"), name="reward_entries_by_age"),
            Index(fields=("user_id", "created_at", "id"), name="reward_entries_by_user"),
            Index(fields=("user_id", "unit", "available_at"), name="reward_entries_by_hold"),
            Index(fields=("user_id", "review"), name="reward_entries_by_decision"),
            Index(fields=("review", "created_at", "id"), name="reward_entries_by_review"),
            Index(fields=("made_by",), name="reward_entries_by_event"),
            Index(fields=("activation_id",), name="reward_entries_by_activation"),
            Index(fields=("about_user_id",), name="reward_entries_by_invitee"),
            Index(fields=("reverses_id",), name="reward_entries_by_reversal"),
        )


class MilestoneInvitee(Model):
    """One of the invitees who made a milestone, by their activation."""

    id = fields.BigIntField(primary_key=True)
    entry_id = fields.UUIDField(db_index=True)
    activation_id = fields.BigIntField(db_index=True)

    class Meta:
        table = "milestone_invitees"


class RewardBalance(Model):
    """The sum of a user's entries in one unit that are pending or available.

    It is changed only with the user's row locked, except when pending entries are put in review:
    see rewards/review_queries.py.
    """

    id = fields.BigIntField(primary_key=True)
    user_id = fields.UUIDField()
    unit = fields.CharField(max_length=24)
    amount = fields.BigIntField()

    class Meta:
        table = "reward_balances"
        unique_together = (("user_id", "unit"),)


class Redemption(Model):
    """A redemption: a user has spent a part of their balance."""

    id = fields.CharField(max_length=128, primary_key=True)
    """The `redemption_id`."""
    digest = fields.CharField(max_length=43)
    """A keyed digest of the content as it was sent, with the user."""
    entry_id = fields.UUIDField()
    user_id = fields.UUIDField()
    reversed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "redemptions"
