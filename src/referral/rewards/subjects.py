"""Subjects: for what a rule gives an entry. It gives at most one live entry for each.

The prefix keeps apart an event, an invitee and a milestone with the same id or number.
"""

from __future__ import annotations

from uuid import UUID

from referral.rewards.rules import Rule


def of_event(event_id: str) -> str:
    return f"event/{event_id}"


def of_invitee(user_id: UUID) -> str:
    return f"invitee/{user_id}"


def of_milestone(number: int) -> str:
    """Return the subject of a milestone. number: of invitees who qualify."""
    return f"milestone/{number}"


def of_rule(rule: Rule, *, event_id: str, invitee_id: UUID) -> str:
    """Return the subject of a rule that is no milestone."""
    return of_event(event_id) if rule.is_for_events else of_invitee(invitee_id)
