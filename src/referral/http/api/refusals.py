"""The error responses of operations in the OpenAPI document."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from referral.core import errors
from referral.core.errors import Refusal
from referral.http.problems import (
    MEDIA_TYPE,
    BodyTooLarge,
    Overloaded,
    Problem,
    StorageUnavailable,
    UnsupportedMediaType,
    problem,
)

# The errors of every operation, and those of operations with a body, for signed-in users, for
# administrators and for API keys
ANY = (StorageUnavailable, Overloaded)
BODY = (errors.InvalidRequest, BodyTooLarge, UnsupportedMediaType, *ANY)
SIGNED_IN = (errors.Unauthorized, errors.AccountBlocked, *ANY)
ADMINISTRATOR = (*SIGNED_IN, errors.Forbidden)
KEY = (*SIGNED_IN, errors.Forbidden)

_MEMBERS: dict[type[Refusal], dict[str, Any]] = {
    errors.InvalidRequest: {"errors": [{"field": "phone", "message": "Required."}]},
    errors.WrongCode: {"attempts_left": 2},
}


def responses(*refusals: type[Refusal]) -> dict[int, ResponseSpec]:
    """Return the specifications of an operation's error responses, by status.

    Each has an example of every class of refusals with this status.
    """
    by_status: dict[int, list[Problem]] = defaultdict(list)
    for kind in dict.fromkeys(refusals):
        example = problem(kind, kind.detail, _MEMBERS.get(kind, {}))
        by_status[example.status].append(example)
    return {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            media_type=MEDIA_TYPE,
            description=" or ".join(f"`{each.code}`" for each in examples),
            examples=[Example(id=each.code, value=msgspec.to_builtins(each)) for each in examples],
        )
        for status, examples in by_status.items()
    }
