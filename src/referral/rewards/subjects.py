"""Subjects: what a rule gives an entry for, once. See models.RewardEntry.subject."""

from __future__ import annotations

from uuid import UUID


def of_event(event_id: str) -> str:
    return f"event/{event_id}"


def of_invitee(user_id: UUID) -> str:
    return f"invitee/{user_id}"


def of_milestone(number: int) -> str:
    return f"milestone/{number}"
