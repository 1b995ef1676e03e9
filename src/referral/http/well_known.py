"""What other programs look for at a fixed place: keys and health."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response, get
from litestar.datastructures import CacheControlHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from msgspec import Meta, Struct, convert

from referral.core import tokens
from referral.http.requests import StrictRequest, context
from referral.http.responses import JsonResponse

# Short against the 15 minutes between a rotation's steps: nobody checks by a list too old
_KEYS_MAX_AGE = 300


class PublicKey(Struct):
    """A JSON Web Key (RFC 7517) on P-256."""

    kty: Annotated[str, Meta(examples=["EC"])]
    crv: Annotated[str, Meta(examples=["P-256"])]
    x: str
    y: str
    kid: str
    alg: Annotated[str, Meta(examples=["ES256"])]
    use: Annotated[str, Meta(examples=["sig"])]


class PublicKeys(Struct):
    keys: list[PublicKey]


class Health(Struct):
    status: Annotated[Literal["ok", "unavailable"], Meta(examples=["ok"])]


@get(
    "/.well-known/jwks.json",
    operation_id="getKeys",
    response_description="The keys of every listed secret.",
    summary="The public keys that access tokens are signed with",
    description="A JWK set: any service can check an access token by itself with it.",
    tags=("Operation",),
    cache_control=CacheControlHeader(public=True, max_age=_KEYS_MAX_AGE),
    sync_to_thread=False,
)
def keys(request: StrictRequest) -> PublicKeys:
    return convert(tokens.public_keys(context(request).keys), PublicKeys)


@get(
    "/health/live",
    operation_id="isLive",
    response_description="It does.",
    summary="Whether the process answers",
    tags=("Operation",),
    sync_to_thread=False,
)
def live() -> Health:
    return Health("ok")


@get(
    "/health/ready",
    operation_id="isReady",
    response_description="The database is reachable and migrated.",
    summary="Whether the database answers and has every migration",
    description="It looks at the database at most once a second, however often it is asked.",
    responses={
        HTTP_503_SERVICE_UNAVAILABLE: ResponseSpec(
            Health, generate_examples=False, description="Not now."
        )
    },
    tags=("Operation",),
)
async def ready(request: StrictRequest) -> Response[Health]:
    if await context(request).readiness.is_ready():
        return JsonResponse(Health("ok"), status_code=HTTP_200_OK)
    return JsonResponse(
        Health("unavailable"),
        status_code=HTTP_503_SERVICE_UNAVAILABLE,
        headers={"Retry-After": "1"},
    )


HANDLERS = [keys, live, ready]
