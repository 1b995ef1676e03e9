"""Gateways send messages to phones. registry.py lists them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from http import HTTPStatus
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A text for a phone (E.164). Its repr shows neither phone, text nor code.

    id: the same at each attempt, so that an endpoint can drop a duplicate. code: the digits in the
    text, if it brings a code. language: of the text. receipt: what a delivery report has to return,
    see limits/receipts.py.
    """

    id: str
    phone: str = field(repr=False)
    text: str = field(repr=False)
    code: str | None = field(repr=False)
    language: str
    receipt: str = field(default="", repr=False)


@unique
class Failure(Enum):
    """How a gateway failed to send a message. The values are labels of a metric."""

    NOT_TAKEN = "not taken"
    """The message was certainly not accepted, for a reason that does not depend on the phone."""
    PHONE = "phone"
    """The message was certainly not accepted, because of the phone."""
    UNKNOWN = "unknown"
    """The gateway reported a failure, but may have accepted the message."""
    NO_ANSWER = "no answer"
    """The gateway did not respond. The message may still arrive."""

    @property
    def is_uncertain(self) -> bool:
        """Whether the gateway may have accepted the message."""
        return self in {Failure.UNKNOWN, Failure.NO_ANSWER}


class GatewayError(Exception):
    """A gateway failed to send a message. The reason is logged, so it has no phone, text or code.

    may_retry: no connection could be made, so the same gateway may be tried once more.
    """

    def __init__(
        self, reason: str, failure: Failure = Failure.UNKNOWN, *, may_retry: bool = False
    ) -> None:
        self.failure = failure
        self.may_retry = may_retry
        super().__init__(reason)


class Gateway(Protocol):
    """A way to send messages."""

    name: str
    """Its name in the log and in metrics: the scheme of its URL."""

    echoes_code: bool
    """Whether the response of send-code carries the code, because nothing is really sent."""

    async def send(self, message: Message) -> None:
        """Send a message. Raises GatewayError, or whatever a library raises."""


# Statuses about the content of a request, of which only the phone comes from the client
_ABOUT_PHONE = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


def failure_for_status(status: int) -> Failure:
    """Return the failure that an HTTP status other than 2xx stands for."""
    if status in _ABOUT_PHONE:
        return Failure.PHONE
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Failure.NOT_TAKEN
    return Failure.UNKNOWN
