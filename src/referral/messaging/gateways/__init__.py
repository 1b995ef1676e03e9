"""Ways to reach a phone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from http import HTTPStatus
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


@unique
class Failure(Enum):
    """What a gateway that did not take a message says of it. The values are a metric's labels."""

    NOT_TAKEN = "not taken"
    """Surely nothing was taken, and another phone's message would not have been either."""
    PHONE = "phone"
    """Surely nothing was taken, because of this phone."""
    UNKNOWN = "unknown"
    """The gateway reported a failure. Nobody knows whether the message goes out."""
    NO_ANSWER = "no answer"
    """The gateway reported nothing. The message may still arrive."""


class GatewayError(Exception):
    """A gateway did not take a message. Its text is for the log: no phone, no text, no code.

    may_repeat: whether to ask the same gateway again: no connection could be made.
    """

    def __init__(
        self, reason: str, failure: Failure = Failure.UNKNOWN, *, may_repeat: bool = False
    ) -> None:
        self.failure = failure
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


# Statuses that judge the content of a request. The text is ours, so the phone is what differs
_ABOUT_THE_PHONE = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


def failure_of(status: int) -> Failure:
    """What the status of an HTTP answer says, if it is not 2xx."""
    if status in _ABOUT_THE_PHONE:
        return Failure.PHONE
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Failure.NOT_TAKEN
    return Failure.UNKNOWN
