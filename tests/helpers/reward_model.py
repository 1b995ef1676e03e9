"""A reference model of rewards: what rules, events, reversals and decisions earn, and for whom.

It is as short as the rules allow, knows no database, and gets the time with each operation. It
expects operations that the service would accept, except where a method raises Refused. Decisions
that the rules leave open, made for the team that pays:

- The number for a milestone is that of the invitees who qualify now. An event changes it by one at
  most, so it makes one milestone of a rule at most, which is about that event's invitee.
- A `first` entry is made anew only by the operation that takes it back before it is available, by
  the oldest event that stands (`occurred_at`, then order of posting). A deletion makes none anew.
- An entry made anew has the version that its event counts with, caps as they are now, and a hold
  that begins now. If a cap prevents it, no later event is tried.
- Earned for good, once for each rule, beneficiary and subject: a posted event's `every`, an
  invitee's `first` and `activated` (whichever the activation), a milestone. An entry that was
  reversed is not in the way; one that lives, was rejected or was capped is.
- A block holds what is pending; a flag holds what is pending and undecided. Nothing releases it but
  a decision. The flags of a milestone of `each` are those of the last n who qualified.
- A rejection is final: its event's reversal makes no reversing entry. An entry that is reversed
  cannot be decided; only the decision that it already had may be repeated.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reward_records import Activation, Entry, Event, Rule, Version

SKEW = timedelta(seconds=60)
VOIDED, DELETED = "voided", "deleted"  # the causes of reversing entries that no event has


class Refused(Exception):  # noqa: N818 - an outcome, as in core/errors.py
    """The service refuses the operation with this code."""


class RewardModel:
    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.activations: list[Activation] = []
        self.events: dict[str, Event] = {}
        self.entries: list[Entry] = []
        self.redemptions: dict[str, tuple[tuple[object, ...], Entry]] = {}
        self.blocked: set[str] = set()
        self.deleted: set[str] = set()
        self._capped: set[tuple[str, str, str | int]] = set()
        self._qualified: dict[tuple[str, str], list[Activation]] = {}

    # Rules

    def put_rule(  # noqa: PLR0913 - what never changes, and the rest
        self,
        now: datetime,
        name: str,
        *,
        trigger: str,
        beneficiary: str,
        unit: str,
        amount: int,
        occurs: str = "every",
        invitees: int = 0,
        starts_at: datetime | None = None,
        **more: int | str | datetime | None,
    ) -> int:
        """Make or change a rule; return its version."""
        fixed = (trigger, beneficiary, unit, occurs, invitees)
        rule = self.rules.setdefault(name, Rule(name, *fixed, created_at=now))
        present = (rule.trigger, rule.beneficiary, rule.unit, rule.occurs, rule.invitees)
        if rule.is_deleted or fixed != present:
            raise Refused("invalid_request")
        number, starts_at = len(rule.versions), starts_at or rule.created_at
        version = Version(number, amount, starts_at, **more)  # type: ignore[arg-type]
        if not rule.versions or version != rule.versions[-1]:
            version.number = number + 1
            rule.versions.append(version)
        return rule.versions[-1].number

    def delete_rule(self, name: str) -> None:
        self.rules[name].is_deleted = True

    # Users

    def present(self, user: str) -> Activation | None:
        """Return the activation of a user that is not voided."""
        own = (each for each in self.activations if each.user == user and not each.is_voided)
        return next(own, None)

    def activate(self, now: datetime, user: str, inviter: str, *, imported: bool = False) -> None:
        is_repeat = any((a.user, a.inviter) == (user, inviter) for a in self.activations)
        activation = Activation(user, inviter, now, is_repeat, set())
        self.activations.append(activation)
        if not imported:
            event = Event("activated", (), user, activation, now)
            self.events[f"activation/{len(self.activations)}"] = event
            self._count(now, event, "activated", None)

    def void(self, now: datetime, user: str) -> None:
        activation = self.present(user)
        if activation is not None:
            activation.is_voided = True
            self._take_back(now, VOIDED)

    def delete(self, now: datetime, user: str) -> None:
        self.deleted.add(user)
        for entry in [each for each in self.entries if each.is_live]:
            is_about = entry.about == user and not isinstance(entry.subject, int)
            if (is_about or entry.user == user) and entry.status(now) != "available":
                self._reverse(now, entry, DELETED)

    def block(self, now: datetime, user: str) -> None:
        self.blocked.add(user)
        for entry in self.entries:
            if user in (entry.user, entry.about) and entry.status(now) == "pending":
                entry.review = "asked"

    def unblock(self, user: str) -> None:
        self.blocked.discard(user)

    def flag(self, now: datetime, user: str, *flags: str) -> None:
        activation = self.present(user)
        assert activation is not None
        activation.flags |= set(flags)
        for entry in self.entries:
            asks = entry.version is not None and entry.version.review == "flagged"
            if asks and activation in entry.made_by and entry.status(now) == "pending":
                entry.review = entry.review or "asked"

    # Events

    def post_event(
        self,
        now: datetime,
        event_id: str,
        type_: str,
        user: str,
        *,
        occurred_at: datetime | None = None,
        value: int | None = None,
    ) -> list[Entry]:
        """Post an event; return the entries that it made when it was first posted."""
        content = (type_, user, occurred_at, value)
        known = self.events.get(event_id)
        if known is not None:
            if known.content != content:
                raise Refused("event_conflict")
            return known.earned
        if user in self.deleted:
            raise Refused("not_found")
        event = Event(event_id, content, user, self.present(user), occurred_at or now)
        self.events[event_id] = event
        self._count(now, event, type_, value)
        return event.earned

    def reverse_event(self, now: datetime, event_id: str, reason: str) -> list[Entry]:
        """Reverse an event; return the reversing entries and those made anew."""
        if event_id not in self.events:
            raise Refused("not_found")
        event = self.events[event_id]
        if not event.is_reversed:
            event.is_reversed = True
            event.taken_back = self._take_back(now, reason)
        return event.taken_back

    def _count(self, now: datetime, event: Event, type_: str, value: int | None) -> None:
        """Decide once which rules an event counts for, and make what it earns."""
        activation = event.activation
        if (
            activation is None
            or activation.is_repeat
            or activation.made_at > event.occurred_at + SKEW
        ):
            return
        for rule in self.rules.values():
            version = rule.versions[-1]
            is_in_time = version.starts_at <= event.occurred_at and (
                version.ends_at is None or event.occurred_at < version.ends_at
            )
            is_enough = version.min_value is None or (
                value is not None and value >= version.min_value
            )
            if not rule.is_deleted and rule.trigger == type_ and is_in_time and is_enough:
                event.counted.append((rule, version))
                event.earned += self._earn(now, rule, version, event)

    def _earn(self, now: datetime, rule: Rule, version: Version, event: Event) -> list[Entry]:
        assert event.activation is not None
        if rule.occurs == "every" and event.cause != "activated":
            return self._make(now, rule, version, event, event.cause)
        if rule.occurs in {"every", "first"}:
            return self._make(now, rule, version, event, f"invitee {event.user}")
        before = self._number(rule, event.activation.inviter)
        number = self._requalify(rule, event.activation)
        reached = number == rule.invitees if rule.occurs == "at" else number % rule.invitees == 0
        return self._make(now, rule, version, event, number) if number > before and reached else []

    def _make(
        self, now: datetime, rule: Rule, version: Version, event: Event, subject: str | int
    ) -> list[Entry]:
        """Make an entry, unless it was earned before or a cap or deletion prevents it."""
        assert event.activation is not None
        user = event.activation.inviter if rule.beneficiary == "inviter" else event.user
        earned = [e for e in self.entries if e.rule is rule and e.user == user and e.available_at]
        given = [e for e in earned if not e.is_reversed]
        key = (rule.name, user, subject)
        if user in self.deleted or key in self._capped or subject in [e.subject for e in given]:
            return []
        sums = [(e.created_at, e.amount) for e in given if e.is_live]
        month = [amount for at, amount in sums if (at.year, at.month) == (now.year, now.month)]
        total = [amount for _, amount in sums]
        for cap, amounts in ((version.cap_per_month, month), (version.cap_total, total)):
            if cap is not None and sum(amounts) + version.amount > cap:
                self._capped.add(key)
                return []
        entry = Entry(user, rule.unit, version.amount, event.cause, now, event.user)
        entry.available_at = now + timedelta(days=version.hold_days)
        entry.rule, entry.version, entry.subject, entry.event = rule, version, subject, event
        qualified = self._qualified.get((rule.name, user), [])
        is_milestone = isinstance(subject, int)
        entry.made_by = qualified[-rule.invitees :] if is_milestone else [event.activation]
        is_asked = version.review == "all" or (version.review == "flagged" and entry.flags)
        if is_asked or user in self.blocked or event.user in self.blocked:
            entry.review = "asked"
        self.entries.append(entry)
        return [entry]

    # Reversals

    def _take_back(self, now: datetime, cause: str) -> list[Entry]:
        """Reverse what is no longer earned, and make anew what another event earns."""
        for name, inviter in self._qualified:
            for activation in [a for a in self.activations if a.inviter == inviter]:
                self._requalify(self.rules[name], activation)
        changed = []
        for entry in [each for each in self.entries if each.is_live]:
            assert entry.rule is not None
            if not self._is_earned(now, entry, entry.rule):
                changed.append(self._reverse(now, entry, cause))
                if entry.rule.occurs == "first":
                    changed += self._make_anew(now, entry, entry.rule)
        return changed

    def _is_earned(self, now: datetime, entry: Entry, rule: Rule) -> bool:
        assert entry.event is not None
        assert entry.event.activation is not None
        if isinstance(entry.subject, int):
            return self._number(rule, entry.user) >= entry.subject
        if entry.event.stands_for(rule):
            return True
        qualifies = rule.occurs == "first" and self._standing(rule, entry.event.activation)
        return bool(qualifies) and entry.status(now) == "available"

    def _reverse(self, now: datetime, entry: Entry, cause: str) -> Entry:
        entry.is_reversed = True
        reversing = Entry(entry.user, entry.unit, -entry.amount, cause, now, entry.about)
        reversing.rule, reversing.version, reversing.reverses = entry.rule, entry.version, entry
        self.entries.append(reversing)
        return reversing

    def _make_anew(self, now: datetime, entry: Entry, rule: Rule) -> list[Entry]:
        assert entry.event is not None
        assert entry.event.activation is not None
        standing = self._standing(rule, entry.event.activation)
        if not standing:
            return []
        oldest = min(standing, key=lambda event: event.occurred_at)
        version = next(version for counted, version in oldest.counted if counted is rule)
        return self._make(now, rule, version, oldest, f"invitee {oldest.user}")

    def _standing(self, rule: Rule, activation: Activation) -> list[Event]:
        """Return the events that make an invitee qualify, in the order of posting."""
        events = self.events.values()
        return [e for e in events if e.activation is activation and e.stands_for(rule)]

    def _number(self, rule: Rule, inviter: str) -> int:
        return len(self._qualified.get((rule.name, inviter), []))

    def _requalify(self, rule: Rule, activation: Activation) -> int:
        """Note whether an invitee qualifies now; return how many of the inviter's do."""
        qualified = self._qualified.setdefault((rule.name, activation.inviter), [])
        qualifies = bool(self._standing(rule, activation))
        if qualifies and activation not in qualified:
            qualified.append(activation)
        elif not qualifies and activation in qualified:
            qualified.remove(activation)
        return len(qualified)

    # Redemptions, decisions and balances

    def redeem(self, now: datetime, redemption_id: str, user: str, unit: str, amount: int) -> Entry:
        content = (user, unit, amount)
        if redemption_id in self.redemptions:
            known, entry = self.redemptions[redemption_id]
            if known != content or entry.is_reversed:
                raise Refused("redemption_conflict")
            return entry
        if user in self.deleted:
            raise Refused("not_found")
        if user in self.blocked:
            raise Refused("account_blocked")
        if self.balances(now, user).get(unit, (0, 0))[0] < amount:
            raise Refused("insufficient_balance")
        entry = Entry(user, unit, -amount, redemption_id, now)
        self.redemptions[redemption_id] = (content, entry)
        self.entries.append(entry)
        return entry

    def reverse_redemption(self, now: datetime, redemption_id: str) -> None:
        if redemption_id not in self.redemptions:
            raise Refused("not_found")
        _, entry = self.redemptions[redemption_id]
        if not entry.is_reversed:
            self._reverse(now, entry, redemption_id)

    def decide(self, entry: Entry, decision: str) -> None:
        """Approve or reject an entry. decision: `approved` or `rejected`."""
        if entry.review == decision:
            return
        if entry.is_reversed or entry.review != "asked":
            raise Refused("review_conflict")
        entry.review = decision

    def entries_of(self, user: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.user == user]

    def balances(self, now: datetime, user: str) -> dict[str, tuple[int, int]]:
        """Return (available, pending) of each unit in which the user has an entry."""
        found: dict[str, tuple[int, int]] = {}
        for entry in self.entries_of(user):
            available, pending = found.get(entry.unit, (0, 0))
            status = entry.status(now)
            if status in {"available", "redeemed"}:
                available += entry.amount
            elif status == "pending":
                pending += entry.amount
            found[entry.unit] = (available, pending)
        return found
