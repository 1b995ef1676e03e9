"""Fields and parameters that several operations share."""

from __future__ import annotations

from typing import Annotated

from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from referral.core.challenge import MAX_CODE_TEXT_LENGTH
from referral.core.channels import Channel
from referral.core.cursor import MAX_PAGE_SIZE
from referral.core.invite_code import MAX_INVITE_TEXT_LENGTH
from referral.core.seal import MAX_ENCRYPTED_LENGTH

TOKEN_EXAMPLE = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiRU52ZnllU3cifQ..."  # noqa: S105 - only the header of a token

Phone = Annotated[
    str,
    Meta(
        description=(
            "A phone number as people write it, in at most 64 characters, starting with `+` or "
            "`00` and the country code. Digits may be of any script; spaces, dashes, dots, "
            "slashes, brackets, tildes, direction marks and a leading `tel:` are ignored."
        ),
        examples=["+7 999 123-45-67"],
    ),
]
WantedChannel = Annotated[
    Channel | None,
    Meta(
        description=(
            "The channel to send the code by, if not the first in order: one of `other_channels` "
            "in an earlier response. `voice` needs another code sent to the phone within the last "
            "hour: otherwise it is refused with 400, and still counts to the limits of the address."
        ),
        examples=["telegram"],
    ),
]
AppHash = Annotated[
    str | None,
    Meta(
        description=(
            "The hash of the Android app that reads the code from the message by the SMS Retriever "
            "API: one of `REFERRAL_SMS_APP_HASHES`. The last line of an SMS is then this hash "
            "instead of the site."
        ),
        examples=["FA+9qCX9VSu"],
    ),
]
ChallengeToken = Annotated[
    str,
    Meta(
        description=(
            "The `token` in the response of the send-code operation, "
            f"at most {MAX_ENCRYPTED_LENGTH} characters."
        ),
        examples=[TOKEN_EXAMPLE],
    ),
]
Code = Annotated[
    str,
    Meta(
        description=(
            "The code that was sent. Digits may be of any script; spaces, dashes and direction "
            "marks are ignored. The whole message is accepted too, in at most "
            f"{MAX_CODE_TEXT_LENGTH} characters: the code is then the digits after its last `#`, "
            "or otherwise the only run of digits that is as long as the code."
        ),
        examples=["0391"],
    ),
]
InviteCode = Annotated[
    str,
    Meta(
        description=(
            "An invite code of 6 characters, or the whole invite link, in at most "
            f"{MAX_INVITE_TEXT_LENGTH} characters. Case does not matter; O is read as 0, I and L "
            "as 1, U as V. Spaces, dashes, quotes, invisible characters and surrounding "
            "punctuation are ignored."
        ),
        examples=["7KQ2MX"],
    ),
]
Limit = Annotated[
    int,
    QueryParameter(ge=1, le=MAX_PAGE_SIZE, description="The maximum number of items on the page."),
]
PageCursor = Annotated[
    str | None,
    QueryParameter(
        description="The `next_cursor` of the previous page; leave it out for the first page."
    ),
]
UserId = Annotated[str, PathParameter(description="The `id` of a user.")]
