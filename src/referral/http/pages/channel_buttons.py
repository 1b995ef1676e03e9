"""The buttons of the code page: one for each other channel that a code can come by."""

from __future__ import annotations

from collections.abc import Mapping

from referral.context import Context
from referral.core.channels import Channel
from referral.core.errors import InvalidRequest
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.pages.texts import N_
from referral.service.codes import DEFAULT_OPTIONS, SendOptions

FIELD = "channel"

LABELS: Mapping[Channel, str] = {
    Channel.SMS: "SMS",
    Channel.TELEGRAM: "Telegram",
    Channel.WHATSAPP: "WhatsApp",
    Channel.VOICE: N_("Call me"),
}


def parse(fields: Mapping[str, str], pending: PendingSignIn, ctx: Context) -> SendOptions:
    """Parse how to send the next code: as one of these buttons says, otherwise as the last one.

    Raises InvalidRequest.
    """
    available, wanted = ctx.channels.rules.available, fields.get(FIELD)
    if wanted is None:
        # The settings may have changed meanwhile
        return (
            SendOptions(channel=pending.channel)
            if pending.channel in available
            else DEFAULT_OPTIONS
        )
    if wanted not in available:
        raise InvalidRequest.field(FIELD, "Choose one of the channels on the page.")
    return SendOptions(channel=Channel(wanted))
