"""Ways to reach a phone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A text for a phone (E.164). Shown anywhere, it gives nothing of that away.

    id: the same at every try, so that a receiver can drop what it has already. code: the digits in
    the text, where it brings some. language: the text's.
    """

    id: str
    phone: str = field(repr=False)
    text: str = field(repr=False)
    code: str | None = field(repr=False)
    language: str


class GatewayError(Exception):
    """A gateway did not take a message. Its text is for the log: no phone, no text, no code.

    may_repeat: whether the gateway may be asked again, because it surely took nothing.
    """

    def __init__(self, reason: str, *, may_repeat: bool = False) -> None:
        self.may_repeat = may_repeat
        super().__init__(reason)


class Gateway(Protocol):
    """Something that sends messages."""

    name: str
    """What the log calls it: the scheme of its URL."""

    echoes_code: bool
    """Whether the answer carries the code, because nothing is really sent."""

    async def send(self, message: Message) -> None:
        """Hand the message over. Raises GatewayError, or what else goes wrong."""
