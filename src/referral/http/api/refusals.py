"""What the OpenAPI document says of the refusals of an operation."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from referral.core import errors
from referral.core.errors import Refusal
from referral.http.problems import (
    MEDIA_TYPE,
    TABLE,
    BodyTooLarge,
    Overloaded,
    Problem,
    StorageUnavailable,
    UnsupportedMediaType,
)

# What any operation may answer, one with a body, one for signed-in users, and one for those who
# administer
ANY = (StorageUnavailable, Overloaded)
BODY = (errors.InvalidRequest, BodyTooLarge, UnsupportedMediaType, *ANY)
SIGNED_IN = (errors.Unauthorized, errors.AccountBlocked, *ANY)
ADMINISTRATOR = (*SIGNED_IN, errors.Forbidden)


def responses(*refusals: type[Refusal]) -> dict[int, ResponseSpec]:
    """What an operation's part of the OpenAPI document says of its errors."""
    by_status: dict[int, list[type[Refusal]]] = defaultdict(list)
    for refusal in dict.fromkeys(refusals):
        by_status[TABLE[refusal][0]].append(refusal)
    return {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            media_type=MEDIA_TYPE,
            description=" or ".join(f"`{kind.code}`" for kind in kinds),
            examples=[Example(id=kind.code, value=_example(kind)) for kind in kinds],
        )
        for status, kinds in by_status.items()
    }


def _example(kind: type[Refusal]) -> dict[str, Any]:
    status, title = TABLE[kind]
    members: dict[type[Refusal], dict[str, Any]] = {
        errors.InvalidRequest: {"errors": [{"field": "phone", "message": "Required."}]},
        errors.WrongCode: {"attempts_left": 2},
    }
    return {
        "type": f"urn:referral:problem:{kind.code}",
        "title": title,
        "status": status,
        "detail": kind.detail,
        "code": kind.code,
        **members.get(kind, {}),
    }
