"""The channels besides SMS, the order in which channels are tried, and what messages cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from phonenumbers import SUPPORTED_REGIONS

from referral.core.channels import DEFAULT_WEIGHTS, Channel, ChannelRules
from referral.messaging.gateways import urls as sms_urls
from referral.messaging.gateways.providers import PROVIDERS, Provider
from referral.settings import values
from referral.settings.reader import Reader

_SMS = "REFERRAL_SMS_URL"
ORDER_OF_COUNTRY = "REFERRAL_CHANNELS_XX"
_ORDER, _WEIGHTS, _APP_HASHES = "REFERRAL_CHANNELS", "REFERRAL_COSTS", "REFERRAL_SMS_APP_HASHES"
_MAX_WEIGHT = 1000
# A name that is shown in an error. Without digits, so that it is no secret in the wrong place
_SHOWN = re.compile(r"[A-Za-z;| ]{0,20}")
_SETTINGS = {Channel.SMS: _SMS} | {each.channel: each.setting for each in PROVIDERS}
# https://developers.google.com/identity/sms-retriever/verify#computing_your_apps_hash_string
_APP_HASH = re.compile(r"[A-Za-z0-9+/]{11}")


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """The settings of channels. urls: of their providers, without SMS."""

    urls: Mapping[Channel, str] = field(repr=False)
    rules: ChannelRules
    app_hashes: frozenset[str]


def read(reader: Reader, sms: tuple[str, ...]) -> ChannelSettings:
    """Read the settings of channels. sms: the URLs of the SMS gateways."""
    urls: dict[Channel, str] = {}
    for provider in PROVIDERS:
        parse = values.no_placeholder_in_url(partial(_checked, provider))
        if url := reader.read(provider.setting, parse, ""):
            urls[provider.channel] = url
    available = frozenset([*urls, *([Channel.SMS] if sms else [])])
    # With those whose URL is wrong, which is reported already
    set_up = available | {each.channel for each in PROVIDERS if reader.is_set(each.setting)}
    _check_sms(reader, sms, available, set_up)
    parse_order = partial(_order, set_up)
    names = {region: f"{_ORDER}_{region}" for region in sorted(SUPPORTED_REGIONS)}
    reader.allowed.update(names.values())
    # The nearest name is often REFERRAL_CHANNELS, which would change the order of every country
    reader.advice[f"{_ORDER}_", f"{_ORDER.removesuffix('S')}_"] = (
        f"{ORDER_OF_COUNTRY} needs the country's two capital letters (ISO 3166-1), such as "
        f"{_ORDER}_GB"
    )
    none: tuple[Channel, ...] = ()
    orders_of = {
        region: reader.read(name, parse_order, none)
        for region, name in names.items()
        if reader.is_set(name)
    }
    return ChannelSettings(
        urls=urls,
        rules=ChannelRules(
            available=available,
            order=reader.read(_ORDER, parse_order, (Channel.SMS,)),
            order_of=orders_of,
            weights=reader.read(_WEIGHTS, _weights, DEFAULT_WEIGHTS),
        ),
        app_hashes=reader.read(_APP_HASHES, _app_hashes, frozenset()),
    )


def _check_sms(
    reader: Reader, sms: tuple[str, ...], available: frozenset[Channel], set_up: frozenset[Channel]
) -> None:
    """Add a problem if the SMS gateways do not go together with the other channels."""
    if any(problem.startswith(f"{_SMS}:") for problem in reader.problems):
        return
    others = [each.setting for each in PROVIDERS if each.channel in available]
    if others and not sms_urls.is_real(sms):
        *first, last = others
        subject = f"{', '.join(first)} and {last} are" if first else f"{last} is"
        reader.problems.append(
            f"{_SMS}: set it to a real gateway, such as twilio://..., or to none, since "
            f"{subject} set"
        )
    elif not set_up - {Channel.VOICE}:
        reader.problems.append(
            f"{_SMS}: none needs REFERRAL_TELEGRAM_URL or REFERRAL_WHATSAPP_URL, since a phone's "
            "first code cannot be a call"
        )


def _checked(provider: Provider, text: str) -> str:
    name = sms_urls.scheme(text)
    url = name + text[len(name) :]
    provider.parse(url)
    return url


def _order(set_up: frozenset[Channel], text: str) -> tuple[Channel, ...]:
    channels = tuple(_channel(item.strip(), "telegram,sms") for item in text.split(","))
    if Channel.VOICE in channels:
        raise ValueError("must not name voice: a call is made only on request")
    if missing := [each for each in channels if each not in set_up]:
        name = missing[0]
        raise ValueError(
            f"names {name}, which is not set up: set {_SETTINGS[name]}, or take {name} out; "
            "see docs/channels.md"
        )
    if twice := [each for each in channels if channels.count(each) > 1]:
        raise ValueError(f"names {twice[0]} twice")
    return channels


def _weights(text: str) -> Mapping[Channel, int]:
    """Parse weights, such as `sms=1,voice=5`. Channels that are not named keep their default."""
    weights = dict(DEFAULT_WEIGHTS)
    named: set[Channel] = set()
    example = "sms=1,voice=5"
    for item in text.split(","):
        name, equals, number = item.partition("=")
        if not equals:
            raise ValueError(f"write NAME=NUMBER, such as {example}")
        channel = _channel(name.strip(), example)
        if channel in named:
            raise ValueError(f"names {channel} twice")
        named.add(channel)
        try:
            weights[channel] = values.integer(1, _MAX_WEIGHT)(number.strip())
        except ValueError as error:
            raise ValueError(f"{channel}: {error}") from None
    return weights


def _channel(text: str, example: str) -> Channel:
    """Parse the name of a channel. example: of the whole setting."""
    if text not in set(Channel):
        shown = f'"{text}"' if _SHOWN.fullmatch(text) else "one of these names"
        raise ValueError(
            f"does not know {shown}: write {', '.join(Channel)} between commas, such as {example}"
        )
    return Channel(text)


def _app_hashes(text: str) -> frozenset[str]:
    hashes = frozenset(item.strip() for item in text.split(",") if item.strip())
    if not hashes or not all(_APP_HASH.fullmatch(each) for each in hashes):
        raise ValueError("must be hashes of 11 characters, such as FA+9qCX9VSu, between commas")
    return hashes
