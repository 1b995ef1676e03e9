"""How much of everything is allowed, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers in force. Lives of codes and access tokens: seconds.

    The defaults are those of a real gateway; `simulated` and `free` say what differs without one.
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
        """Where nothing is really sent: a code protects nobody."""
        return cls(code_length=4)

    @classmethod
    def free(cls) -> Limits:
        """Where, besides, only developers are: nobody has to wait."""
        return cls(
            code_length=4,
            resend_waits=(3,),
            sends_per_phone_hour=1000,
            sends_per_phone_day=1000,
            sends_per_address_hour=1000,
        )

    @property
    def sends_reserved(self) -> int:
        """Those of a day's sends over all that are for known devices alone."""
        return self.sends_per_day // 5

    def resend_in(self, sends_in_hour: int) -> int:
        """Seconds to wait after the n-th send of the last hour; never longer than a code lives."""
        nth = min(sends_in_hour, len(self.resend_waits)) - 1
        return min(self.resend_waits[nth], self.code_life)
