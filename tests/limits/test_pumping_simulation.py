"""The simulation behind the tables in docs/cost-guard.md: what an attack costs, whom it hurts."""

from __future__ import annotations

from dataclasses import replace

import pytest

import pumping
from pumping import ATTACKS, CHANNEL_ATTACKS, RANGES, Attack

NO_ATTACK, NO_ATTACK_BY_CHANNELS = ATTACKS[0], CHANNEL_ATTACKS[0]


def attack(name: str, **more: object) -> Attack:
    found = next(each for each in ATTACKS if each.name == name)
    return replace(found, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("attack", [NO_ATTACK, NO_ATTACK_BY_CHANNELS])
@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_is_refused_without_an_attack(attack: Attack, seed: int) -> None:
    """People who are called on their second try included, and messages that are not delivered."""
    assert pumping.simulate(attack, seed=seed).refused.total() == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_attack_on_a_range_costs_little_and_hurts_few(seed: int) -> None:
    outcome = pumping.simulate(attack("2,000 addresses, the largest country", every=20), seed=seed)
    assert outcome.unguarded > 4000
    assert outcome.billed <= 130
    assert outcome.refused["RU"] <= outcome.begun["RU"] / 100
    assert outcome.refused.total() == outcome.refused["RU"]


def test_attack_on_a_country_refuses_only_its_people() -> None:
    """Fewer than half of them."""
    name = "2,000 addresses, the largest country"
    outcome = pumping.simulate(attack(name, every=20, ranges=RANGES))
    assert outcome.billed <= 600
    assert outcome.refused["RU"] <= outcome.begun["RU"] / 2
    assert outcome.refused.total() == outcome.refused["RU"]


def test_attack_on_many_countries_gets_few_messages() -> None:
    outcome = pumping.simulate(attack("40 new countries", every=20))
    assert outcome.billed <= 350
    assert outcome.refused.total() == 0


@pytest.mark.parametrize("attack", CHANNEL_ATTACKS[1:], ids=lambda attack: attack.name)
def test_attack_by_any_channel_costs_hardly_more_than_by_sms(attack: Attack) -> None:
    """It refuses fewer than half of the people of the country, and hardly anybody elsewhere."""
    outcome = pumping.simulate(replace(attack, every=20))
    by_sms = pumping.simulate(replace(attack, every=20, asks_for=(pumping.SMS,)))
    assert outcome.asked >= by_sms.asked
    assert outcome.billed <= 1.25 * by_sms.billed
    assert outcome.refused["RU"] <= outcome.begun["RU"] / 2
    assert outcome.refused.total() - outcome.refused["RU"] <= 1


def test_message_that_is_not_billed_pays_for_no_other() -> None:
    [undelivered, mixed] = (
        pumping.simulate(replace(each, every=20))
        for each in CHANNEL_ATTACKS
        if each.name in {"Telegram, none of it delivered", "the same, and an SMS each"}
    )
    assert (undelivered.billed, undelivered.unguarded) == (0, 0)
    assert 50 <= mixed.billed <= 150


@pytest.mark.long
def test_document_has_the_tables_of_the_simulation() -> None:
    document = pumping.DOCUMENT.read_text()
    assert [table for table in pumping.tables() if table not in document] == []
