"""Well-known paths for other programs: the public keys and the health checks."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response, get
from litestar.datastructures import CacheControlHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from msgspec import UNSET, Meta, Struct, UnsetType, convert

from referral.core import tokens
from referral.http.requests import StrictRequest, context
from referral.http.responses import JsonResponse

# Seconds. Well below the 15 minutes between the steps of rotating the secret, so that no verifier
# has a cached list without the current key
_KEYS_MAX_AGE = 300


class PublicKey(Struct, omit_defaults=True):
    """A public JSON Web Key (RFC 7517): on the curve P-256 for access tokens (`ES256`), RSA for ID
    tokens (`RS256`).
    """

    kty: Annotated[str, Meta(examples=["EC"])]
    kid: str
    alg: Annotated[str, Meta(examples=["ES256"])]
    use: Annotated[str, Meta(examples=["sig"])]
    crv: Annotated[str | UnsetType, Meta(description="With ES256.", examples=["P-256"])] = UNSET
    x: Annotated[str | UnsetType, Meta(description="With ES256.")] = UNSET
    y: Annotated[str | UnsetType, Meta(description="With ES256.")] = UNSET
    n: Annotated[str | UnsetType, Meta(description="With RS256.")] = UNSET
    e: Annotated[str | UnsetType, Meta(description="With RS256.", examples=["AQAB"])] = UNSET


class PublicKeys(Struct):
    keys: list[PublicKey]


class Health(Struct):
    status: Annotated[Literal["ok", "unavailable"], Meta(examples=["ok"])]


@get(
    "/.well-known/jwks.json",
    operation_id="getKeys",
    response_description="A JWK set.",
    summary="Get the public keys of access tokens and ID tokens",
    description=(
        "A JWK set (RFC 7517), with which any service can verify an access token (`ES256`) by "
        "itself, and an app an ID token (`RS256`). There are several keys of a kind while they "
        "rotate: choose by `kid`."
    ),
    tags=("Operation",),
    cache_control=CacheControlHeader(public=True, max_age=_KEYS_MAX_AGE),
)
async def keys(request: StrictRequest) -> PublicKeys:
    ctx = context(request)
    of_id_tokens = [key.public for key in await ctx.signing_keys.published(ctx)]
    return convert({"keys": [*tokens.public_keys(ctx.keys), *of_id_tokens]}, PublicKeys)


@get(
    "/health/live",
    operation_id="isLive",
    response_description="The process responds.",
    summary="Check that the process responds",
    description="A liveness check: restart the process if it fails.",
    tags=("Operation",),
    sync_to_thread=False,
)
def live() -> Health:
    return Health("ok")


@get(
    "/health/ready",
    operation_id="isReady",
    response_description="The database is reachable and migrated.",
    summary="Check that the database is reachable and migrated",
    description=(
        "A readiness check: send no traffic to the process while it fails. The database is "
        "queried at most once a second, however often this is called."
    ),
    responses={
        HTTP_503_SERVICE_UNAVAILABLE: ResponseSpec(
            Health,
            generate_examples=False,
            description=(
                "The database is unreachable or lacks a migration. "
                "Check again after the time in `Retry-After`."
            ),
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
