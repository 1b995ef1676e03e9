"""The limits: their names, and the numbers in force."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LimitName(StrEnum):
    """The limits as RateLimit headers, logs and metrics name them.

    Keys of counters derive from these values: changing one resets all counters of the limit.
    """

    CHALLENGE_GUESSES = "challenge-guesses"
    PHONE_FAILURES_DAY = "phone-failures-day"
    PHONE_FAILURES_MONTH = "phone-failures-month"
    PHONE_FAILURES_DAY_MAX = "phone-failures-day-max"
    ADDRESS_FAILURES_HOUR = "address-failures-hour"
    FAILURES_HOUR = "failures-hour"
    PHONE_RESEND_WAIT = "phone-resend-wait"
    PHONE_RESEND_STEPS = "phone-resend-steps"
    PHONE_SENDS_HOUR = "phone-sends-hour"
    PHONE_SENDS_DAY = "phone-sends-day"
    PHONE_RECENT_CODE = "phone-recent-code"
    DEVICE_UNUSED_MESSAGES = "device-unused-messages"
    ADDRESS_SENDS_HOUR = "address-sends-hour"
    SENDS_DAY = "sends-day"
    USER_INVITE_FAILURES_HOUR = "user-invite-failures-hour"
    ADDRESS_INVITE_FAILURES_HOUR = "address-invite-failures-hour"
    COST_GUARD_COUNTRY = "cost-guard-country"
    COST_GUARD_RANGE = "cost-guard-range"
    COST_GUARD_ADDRESS = "cost-guard-address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers in force. Waits, and the lifetimes of codes and access tokens, are in seconds.

    The defaults are those for a real gateway.
    """

    code_length: int = 6
    code_life: int = 120
    guesses_per_challenge: int = 3
    failures_per_phone_day: int = 10
    failures_per_phone_month: int = 20
    failures_per_phone_day_max: int = 100
    failures_per_address_hour: int = 60
    failures_per_hour: int = 200
    resend_waits: tuple[int, ...] = (30, 60, 120)
    sends_per_phone_hour: int = 5
    sends_per_phone_day: int = 10
    sends_per_address_hour: int = 30
    sends_per_day: int = 10_000
    invite_failures_per_user_hour: int = 10
    invite_failures_per_address_hour: int = 60
    access_life: int = 900
    session_idle_days: int = 30
    session_max_days: int = 180

    @classmethod
    def simulated(cls) -> Limits:
        """Return the defaults with the simulated gateway, whose codes protect nobody."""
        return cls(code_length=4)

    @classmethod
    def development(cls) -> Limits:
        """Return the defaults in development with the simulated gateway: developers do not wait."""
        return cls(
            code_length=4,
            resend_waits=(3,),
            sends_per_phone_hour=1000,
            sends_per_phone_day=1000,
            sends_per_address_hour=1000,
        )

    @property
    def sends_reserved(self) -> int:
        """How many of a day's sends overall are reserved for exempt known devices."""
        return self.sends_per_day // 5

    def resend_in(self, sends_in_hour: int) -> int:
        """Return the seconds to wait after the send that makes this many in the last hour.

        Never longer than the lifetime of a code.
        """
        nth = min(sends_in_hour, len(self.resend_waits)) - 1
        return min(self.resend_waits[nth], self.code_life)
