"""Delivery reports, which providers send to us."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from litestar import MediaType, Response, get, post
from litestar.params import PathParameter
from litestar.status_codes import HTTP_200_OK

from referral.core import errors
from referral.core.errors import Forbidden, InvalidRequest
from referral.http.api.refusals import ANY, responses
from referral.http.problems import BodyTooLarge
from referral.http.requests import StrictRequest, context
from referral.messaging import delivery_reports
from referral.messaging.gateways.providers import REPORTS_PATH
from referral.messaging.gateways.reports import MalformedReportError, ReportError, ReportRequest

# Meta's are the largest
_MAX_BODY_BYTES = 3 * 1024 * 1024
_MAX_PARAMETERS = 100

ProviderName = Annotated[
    str,
    PathParameter(description="`telegram`, `whatsapp` or `twilio`.", examples=[]),
]


@post(
    f"{REPORTS_PATH}/{{provider:str}}",
    operation_id="receiveDeliveryReport",
    status_code=HTTP_200_OK,
    summary="Receive delivery reports",
    description=(
        "For the providers of channels: Telegram and WhatsApp send JSON, Twilio a form, of up to "
        "3 MiB. A report adds to the figures of the administration, and refunds a message that the "
        "provider does not bill; a repeated one changes nothing. Unknown fields are ignored. Each "
        "report must be signed, otherwise it gets 403. Telegram's `X-Request-Signature` is the "
        "HMAC-SHA256 in hex, under the SHA-256 of the API token, of `X-Request-Timestamp`, a line "
        "feed and the body; the timestamp may be 5 minutes off. WhatsApp's `X-Hub-Signature-256` "
        "is `sha256=` and the HMAC-SHA256 in hex, under the app secret, of the body. Twilio's "
        "`X-Twilio-Signature` is the HMAC-SHA1 in Base64, under the auth token, of this address "
        "under the public URL and the name and value of each field, sorted."
    ),
    response_description="Received.",
    tags=["Delivery reports"],
    media_type=MediaType.TEXT,
    request_max_body_size=_MAX_BODY_BYTES,
    responses=responses(InvalidRequest, Forbidden, errors.NotFound, BodyTooLarge, *ANY),
)
async def receive(provider: ProviderName, request: StrictRequest) -> Response[str]:
    ctx = context(request)
    # Before the body is read
    delivery_reports.require_provider(ctx, provider)
    body = await request.body()
    received = ReportRequest(
        headers={
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.scope["headers"]
        },
        body=body,
        url=ctx.issuer.url + request.scope["path"],
        now=ctx.clock(),
    )
    try:
        await delivery_reports.receive(ctx, provider, received)
    except MalformedReportError:
        raise InvalidRequest.field("", "The body is no delivery report of this provider.") from None
    except ReportError as error:
        raise Forbidden(
            "The signature of the provider is missing, wrong or too old.", reason=str(error)
        ) from None
    return Response("", media_type=MediaType.TEXT)


@get(
    f"{REPORTS_PATH}/{{provider:str}}",
    operation_id="confirmWebhook",
    summary="Confirm the webhook to Meta",
    description=(
        "Meta's handshake, for `whatsapp` only: returns `hub.challenge` if `hub.verify_token` is "
        "the one that `referral doctor` prints and `hub.mode` is `subscribe`."
    ),
    response_description="The text of `hub.challenge`.",
    tags=["Delivery reports"],
    media_type=MediaType.TEXT,
    responses=responses(InvalidRequest, Forbidden, errors.NotFound, *ANY),
)
async def confirm(provider: ProviderName, request: StrictRequest) -> Response[str]:
    try:
        query = dict(
            parse_qsl(request.scope["query_string"].decode("ascii"), max_num_fields=_MAX_PARAMETERS)
        )
    except ValueError:
        query = {}
    text = delivery_reports.confirm(context(request), provider, query)
    if text is None:
        raise Forbidden("The verify token is wrong. Enter the one that `referral doctor` prints.")
    return Response(text, media_type=MediaType.TEXT)


HANDLERS = [receive, confirm]
