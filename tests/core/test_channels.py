"""The order of the channels that a code is sent by."""

from __future__ import annotations

from referral.core.channels import Channel, ChannelRules

SMS, TELEGRAM, WHATSAPP, VOICE = Channel
ALL = frozenset(Channel)


def test_unlisted_channels_follow_the_listed_ones() -> None:
    rules = ChannelRules(available=ALL, order=(TELEGRAM, SMS))
    assert rules.in_order("DE") == (TELEGRAM, SMS, WHATSAPP, VOICE)
    assert rules.plan("DE") == (TELEGRAM, SMS, WHATSAPP)
    assert rules.others("DE", TELEGRAM) == (SMS, WHATSAPP, VOICE)


def test_sms_comes_first_by_default() -> None:
    assert ChannelRules(available=ALL).plan("DE") == (SMS, TELEGRAM, WHATSAPP)
    without_sms = ChannelRules(available=frozenset({VOICE, WHATSAPP}))
    assert without_sms.plan("DE") == (WHATSAPP,)


def test_a_country_has_an_order_of_its_own() -> None:
    rules = ChannelRules(available=ALL, order_of={"IN": (WHATSAPP,)})
    assert rules.plan("IN") == (WHATSAPP, SMS, TELEGRAM)
    assert rules.plan("DE")[0] == SMS


def test_a_wanted_channel_is_tried_first() -> None:
    rules = ChannelRules(available=ALL, order=(TELEGRAM,))
    assert rules.plan("DE", SMS) == (SMS, TELEGRAM, WHATSAPP)
    assert rules.plan("DE", VOICE) == (VOICE, TELEGRAM, SMS, WHATSAPP)
    assert rules.others("DE", VOICE) == (TELEGRAM, SMS, WHATSAPP)


def test_a_call_is_never_a_first_try_or_a_fallback() -> None:
    rules = ChannelRules(available=ALL)
    assert all(VOICE not in rules.plan("DE", each) for each in (None, SMS, TELEGRAM, WHATSAPP))
