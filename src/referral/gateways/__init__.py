"""Ways to reach a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """A text for a phone (E.164)."""

    phone: str
    text: str


class Gateway(Protocol):
    """Something that sends messages."""

    echoes_code: bool
    """Whether the answer carries the code, because nothing is really sent."""

    async def send(self, message: Message) -> None:
        """Raises SmsUnavailable when the message could not be handed over."""
