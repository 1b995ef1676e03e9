"""The buttons for other channels, on the page of the code and, after a failure, of the phone."""

from __future__ import annotations

from collections.abc import Mapping

from referral.context import Context
from referral.core.channels import Channel
from referral.core.errors import InvalidRequest, Refusal, SmsUnavailable
from referral.http.pages.texts import N_
from referral.service.codes import DEFAULT_OPTIONS, SendOptions

FIELD, OTHERS = "channel", "others"

LABELS: Mapping[Channel, str] = {
    Channel.SMS: "SMS",
    Channel.TELEGRAM: "Telegram",
    Channel.WHATSAPP: "WhatsApp",
    Channel.VOICE: N_("Call me"),
}


def parse(fields: Mapping[str, str], ctx: Context, *, last: Channel | None = None) -> SendOptions:
    """Parse how to send a code: as one of these buttons says, otherwise by the last channel.

    last: by which the code before went. Raises InvalidRequest.
    """
    available, wanted = ctx.channels.rules.available, fields.get(FIELD)
    if wanted is None:
        # The settings may have changed meanwhile
        return SendOptions(channel=last) if last in available else DEFAULT_OPTIONS
    if wanted not in available:
        raise InvalidRequest.field(FIELD, "Choose one of the channels on the page.")
    return SendOptions(channel=Channel(wanted))


def after_failure(refusal: Refusal, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the field with the channels that the form for the phone offers, once one has failed.

    They stay on offer if the form is refused again. No calls: the phone has got no message.
    """
    if isinstance(refusal, SmsUnavailable):
        others = refusal.members.get("other_channels", ())
        return {OTHERS: ",".join(each for each in others if each != Channel.VOICE)}
    return {OTHERS: fields[OTHERS]} if OTHERS in fields else {}
