"""The WhatsApp Cloud API: codes in the team's own authentication template.

https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/authentication-templates
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from referral.messaging.gateways import Failure, GatewayError, Message, provider_url
from referral.messaging.gateways.post import Poster

SCHEME = "whatsapp+cloud"

_API = "https://graph.facebook.com"
# Of 29 July 2026. A version is served for two years, and its requests by a later one after that:
# https://developers.facebook.com/docs/graph-api/changelog/versions/
_VERSION = "v26.0"
_CREDENTIALS = re.compile(r"([^:/@#]+):([^:/@#]+)@([^:/@#]+)/([^:/@#]+)")
_PHONE_NUMBER_ID = re.compile(r"[0-9]{5,20}")
_TEMPLATE = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
# An app gets the reports of all messages of its number; this tells ours from others
MARK = "referral"
_MAX_SHOWN_CODE = 999_999

# https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
_ABOUT_PHONE = (
    130472,  # the phone takes part in an experiment
    131021,  # the phone is the sender's own
    131026,  # the phone cannot get it: no WhatsApp, an old version
    131030,  # the phone is not on the list of a test number
    131047,  # the phone's person did not write within 24 hours
    131049,  # Meta chose not to deliver it to this phone
    131050,  # the phone's person stopped messages
    131056,  # too many messages from this sender to this phone
)
_NOT_TAKEN = (
    # Authorization
    *(0, 3, 10, 190, *range(200, 300), 131005),
    # Rates and limits of the account
    *(4, 80007, 130429, 131048, 131064, 133016),
    # Restrictions of the account, the last one for a whole country
    *(368, 131031, 130497),
    # Its billing, its phone number, maintenance
    *(131042, 131037, 131045, 131057, 33),
    *(133000, 133005, 133006, 133008, 133009, 133010, 133015),
    # The request, which differs between phones only in the phone, already checked
    *(100, 131008, 131009, 131051, 131052, 131053, 135000),
    # The template
    *(131063, 132000, 132001, 132005, 132007, 132012, 132015, 132016, 132018, 132068, 132069),
)
# A failure of the service, after which a message may still arrive
_UNKNOWN = (1, 2, 131000, 131016, 133004)
_FAILURES = {
    **dict.fromkeys(_ABOUT_PHONE, Failure.PHONE),
    **dict.fromkeys(_NOT_TAKEN, Failure.NOT_TAKEN),
    **dict.fromkeys(_UNKNOWN, Failure.UNKNOWN),
}
# Of an accepted message; one whose template is paced may be dropped later, and is then reported as
# failed
_MAY_BE_DROPPED = ("held_for_quality_assessment", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The team's app, number and template, and the origin of the API.

    languages: in which the template is approved, as Meta writes them. The first is used for others.
    """

    token: str = field(repr=False)
    app_secret: str = field(repr=False)
    phone_number_id: str
    template: str
    languages: tuple[str, ...]
    api: str


def parse(url: str) -> Credentials:
    """Parse `whatsapp+cloud://TOKEN:APP_SECRET@PHONE_NUMBER_ID/TEMPLATE?languages=en,ru`.

    Raises ValueError, whose text shows nothing of the URL.
    """
    text, parameters, api = provider_url.split(
        url, scheme=SCHEME, api=_API, parameters=("languages",)
    )
    match = _CREDENTIALS.fullmatch(text)
    token, app_secret = (provider_url.secret(match[n]) for n in (1, 2)) if match else (None, None)
    if not match or not token or not app_secret:
        raise ValueError(
            "whatsapp+cloud:// needs the token and the secret of the app, the ID of the phone "
            "number and the name of an authentication template: "
            "whatsapp+cloud://TOKEN:APP_SECRET@PHONE_NUMBER_ID/TEMPLATE?languages=en,ru; "
            f"{provider_url.SECRETS}"
        )
    if not _PHONE_NUMBER_ID.fullmatch(match[3]):
        raise ValueError(
            "whatsapp+cloud:// needs the ID of the phone number after @, 5 to 20 digits: copy it "
            "at Meta, where it stands beside the number; it is not the number itself"
        )
    if not _TEMPLATE.fullmatch(match[4]):
        raise ValueError(
            "whatsapp+cloud:// needs the name of the template after /: small letters, digits and _"
        )
    languages = parameters.get("languages", "").replace("-", "_").split(",")
    if not all(_LANGUAGE.fullmatch(language) for language in languages):
        raise ValueError(
            "whatsapp+cloud:// needs the languages in which the template is approved, as Meta "
            "writes them, without spaces, such as ?languages=en,pt_BR; the first is used for all "
            "others"
        )
    return Credentials(
        token=token,
        app_secret=app_secret,
        phone_number_id=match[3],
        template=match[4],
        languages=tuple(languages),
        api=api,
    )


class _SentMessage(msgspec.Struct):
    id: str
    message_status: str = ""


class _Accepted(msgspec.Struct):
    messages: list[_SentMessage]


class _Error(msgspec.Struct):
    code: int


class _Refused(msgspec.Struct):
    error: _Error


class WhatsAppCloud:
    """Sends codes in an authentication template, as POST /PHONE_NUMBER_ID/messages."""

    name = SCHEME
    echoes_code = False

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._url = f"{credentials.api}/{_VERSION}/{credentials.phone_number_id}/messages"
        self._poster = Poster()

    async def send(self, message: Message) -> None:
        """Send a code. WhatsApp writes the text, in the template's language."""
        if message.code is None:
            raise GatewayError("sends only codes", Failure.NOT_TAKEN)
        parameters = [{"type": "text", "text": message.code}]
        fields = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.phone,
            "type": "template",
            "template": {
                "name": self._credentials.template,
                "language": {
                    "code": _template_language(message.language, self._credentials.languages)
                },
                "components": [
                    {"type": "body", "parameters": parameters},
                    # The button that copies the code is a URL button for the API
                    {"type": "button", "sub_type": "url", "index": "0", "parameters": parameters},
                ],
            },
            "biz_opaque_callback_data": f"{MARK}:{message.receipt}",
        }
        response = await self._poster.post_json(self._url, fields, token=self._credentials.token)
        if not response.is_success:
            refused = response.parse(_Refused)
            code = refused.error.code if refused else None
            raise response.error(code, _FAILURES, max_code=_MAX_SHOWN_CODE)
        accepted = response.parse(_Accepted)
        if accepted is None or not accepted.messages:
            raise response.unreadable()
        status = accepted.messages[0].message_status
        if status in _MAY_BE_DROPPED:
            raise GatewayError(f"message status {status}", Failure.UNKNOWN)


def _template_language(language: str, approved: tuple[str, ...]) -> str:
    """Return the approved language for a message: the same, another of its kind, or the first."""
    wanted = language.replace("-", "_")
    if wanted in approved:
        return wanted
    primary = wanted.partition("_")[0]
    return next((each for each in approved if each.partition("_")[0] == primary), approved[0])
