"""Fields that several operations take."""

from __future__ import annotations

from typing import Annotated

from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from referral.core.challenge import MAX_CODE_TEXT_LENGTH
from referral.core.cursor import MAX_PAGE_SIZE
from referral.core.invite_code import MAX_INVITE_TEXT_LENGTH
from referral.core.seal import MAX_ENCRYPTED_LENGTH

TOKEN_EXAMPLE = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiRU52ZnllU3cifQ..."  # noqa: S105 - the start of one

Phone = Annotated[
    str,
    Meta(
        description=(
            "However people write it, at most 64 characters: digits of any script; spaces, dashes, "
            "dots, slashes, brackets, tildes, direction marks and `tel:` are dropped. Start with "
            "`+` and the country's code, or `00`."
        ),
        examples=["+7 999 123-45-67"],
    ),
]
ChallengeToken = Annotated[
    str,
    Meta(
        description=f"The `token` of send-code, at most {MAX_ENCRYPTED_LENGTH} letters.",
        examples=[TOKEN_EXAMPLE],
    ),
]
Code = Annotated[
    str,
    Meta(
        description=(
            "The digits that were sent, of any script; spaces, dashes and direction marks are "
            f"dropped. Or the whole message, of at most {MAX_CODE_TEXT_LENGTH} characters: the digits "
            "after its last `#`, else its only run of as many digits as were sent."
        ),
        examples=["0391"],
    ),
]
InviteCode = Annotated[
    str,
    Meta(
        description=(
            "6 characters, in any case; O is read as 0, I and L as 1, U as V. Spaces, dashes, "
            "quotes, invisible characters and punctuation around it are dropped. Or the whole "
            f"invite link, in at most {MAX_INVITE_TEXT_LENGTH} characters."
        ),
        examples=["7KQ2MX"],
    ),
]
Limit = Annotated[
    int,
    QueryParameter(ge=1, le=MAX_PAGE_SIZE, description="How many at most."),
]
PageCursor = Annotated[
    str | None,
    QueryParameter(description="The `next_cursor` of an earlier answer, for what follows it."),
]
UserId = Annotated[str, PathParameter(description="The `id` of a user.")]
