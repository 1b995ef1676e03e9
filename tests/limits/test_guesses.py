"""Guesses at codes in parallel, compared with a model of what the budgets allow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement, product
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from guessing import UNKNOWN, guess, send
from parallel_requests import client
from processes import serving
from support import Clock, Inbox, Service, new_address, new_phone, ok, wrong_code

PER_CHALLENGE, PER_PHONE, PER_ADDRESS, INVITE_TRIES = 3, 4, 5, 2
SETTINGS = {
    "REFERRAL_GUESSES_PER_CHALLENGE": str(PER_CHALLENGE),
    "REFERRAL_FAILURES_PER_PHONE_DAY": str(PER_PHONE),
    "REFERRAL_FAILURES_PER_ADDRESS_HOUR": str(PER_ADDRESS),
    "REFERRAL_FAILURES_PER_HOUR": "1000000",
    "REFERRAL_INVITE_FAILURES_PER_USER_HOUR": str(INVITE_TRIES),
    "REFERRAL_SENDS_PER_ADDRESS_HOUR": "1000",
    "REFERRAL_RESEND_WAITS": "0",
    "REFERRAL_TRUSTED_PROXIES": "1",
}
STEPS = 120


@dataclass(frozen=True)
class Attempt:
    """A guess. invite_code: whether it comes with an unknown invite code."""

    challenge: str
    is_right: bool
    address: str
    invite_code: bool = False


@dataclass
class Model:
    """The responses to guesses that are judged one after another, all at the same time."""

    phones: dict[str, str] = field(default_factory=dict)
    """By challenge."""
    lengths: dict[str, int] = field(default_factory=dict)
    """Of codes, by challenge."""
    spent: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    used: Counter[tuple[str, str]] = field(default_factory=Counter)
    lag: int = 0
    """Failures of an address that a guess in flight has not seen: its counter is not locked."""

    def code_length(self, phone: str) -> int:
        return 4 + 2 * min(self.used["phone", phone] // PER_PHONE, 2)

    def judge(self, attempt: Attempt) -> tuple[str, int | None]:
        """Return the error, "none" for a right guess that passes, and the attempts left after a
        wrong one.
        """
        challenge, phone = attempt.challenge, self.phones[attempt.challenge]
        if (refusal := self.refusal(attempt)) is not None:
            return refusal, None
        if attempt.is_right:
            return "none", None
        self.used["challenge", challenge] += 1
        self.used["phone", phone] += 1
        self.used["address", attempt.address] += 1
        return "wrong_code", PER_CHALLENGE - self.used["challenge", challenge]

    def sign_in(self, attempt: Attempt) -> tuple[str, int | None]:
        """Return the response to a right guess that has passed."""
        phone = self.phones[attempt.challenge]
        if attempt.invite_code:
            tries = ("tries of a user" if phone in self.users else "tries of a phone", phone)
            if self.used[tries] >= INVITE_TRIES:
                return "too_many_requests", None
            self.used[tries] += 1
            return "unknown_invite_code", None
        self.spent.add(attempt.challenge)
        self.users.add(phone)
        return "none", None

    def refusal(self, attempt: Attempt) -> str | None:
        """Return the error if the guess is refused."""
        challenge, phone = attempt.challenge, self.phones[attempt.challenge]
        if challenge in self.spent:
            return "challenge_spent"
        is_too_short = self.lengths[challenge] < self.code_length(phone)
        if self.used["challenge", challenge] >= PER_CHALLENGE or is_too_short:
            return "too_many_attempts"
        if self.used["address", attempt.address] - self.lag >= PER_ADDRESS:
            return "too_many_requests"
        return None


Responses = Counter[tuple[str, int | None]]


@pytest.mark.parametrize("seed", range(2))
async def test_parallel_guesses_match_the_model(
    seed: int, database_url: str, tmp_path: Path
) -> None:
    """The responses are those of one of the orders in which the guesses may have been judged."""
    random = Random(seed)  # noqa: S311 - reproducible
    seen: Responses = Counter()
    with serving(tmp_path, DATABASE_URL=database_url, WEB_CONCURRENCY="2", **SETTINGS) as server:
        async with client(server) as http:
            service = Service(http, Clock(), Inbox())
            model, sent = Model(), dict[str, dict[str, Any]]()
            phones, addresses = list[str](), list[str]()
            for step in range(STEPS):
                if step % 3 == 0:
                    if step % 15 == 0:
                        phones.append(new_phone())
                        addresses.append(new_address())
                    phone = random.choice(phones[-3:])
                    challenge = ok(await send(service, phone))
                    assert challenge["code_length"] == model.code_length(phone)
                    sent[challenge["token"]] = challenge
                    model.phones[challenge["token"]] = phone
                    model.lengths[challenge["token"]] = challenge["code_length"]
                attempts = some_attempts(random, list(sent)[-4:], addresses[-2:])
                tried = await asyncio.gather(*(try_(service, sent, each) for each in attempts))
                responses = Counter(map(outcome_of, tried))
                matching = (each for found, each in orders(model, attempts) if found == responses)
                after = next(matching, None)
                assert after is not None, (model, attempts, responses)
                model = after
                seen += responses
    assert {error for error, _ in seen} >= {
        *("none", "wrong_code", "challenge_spent", "too_many_attempts")
    }


def some_attempts(random: Random, challenges: list[str], addresses: list[str]) -> list[Attempt]:
    """Make up to six guesses at one of the challenges, at most one of them right."""
    challenge, count = random.choice(challenges), random.choice([1, 1, 2, 4, 6])
    right = random.choice([*range(count), None])
    address, invite_code = random.choice(addresses), random.random() < 0.3
    return [Attempt(challenge, number == right, address, invite_code) for number in range(count)]


def orders(model: Model, attempts: list[Attempt]) -> Iterator[tuple[Responses, Model]]:
    """Yield possible responses and the model after them, likely ones first.

    A right guess for the phone of a new user signs up in a second transaction. After it has passed
    (`passes`), other guesses may be judged before its challenge is spent (`ends`). The address's
    counter is read without a lock, so a guess may miss the last charges to it (`lag`), which others
    (from `first` to before `last`) see.
    """
    wrong_ones = [attempt for attempt in attempts if not attempt.is_right]
    right_ones = [attempt for attempt in attempts if attempt.is_right]
    positions = range(len(wrong_ones) + 1)
    splits = list(combinations_with_replacement(positions, 2))
    for (first, last), lag, (passes, ends) in product(splits, positions, splits):
        after = deepcopy(model)
        lags = [0 if first <= position < last else lag for position in positions]

        def judge(begin: int, end: int, after: Model = after, lags: list[int] = lags) -> Responses:
            responses = Responses()
            for number in range(begin, end):
                after.lag = lags[number]
                responses[after.judge(wrong_ones[number])] += 1
            after.lag = lags[end]
            return responses

        responses = judge(0, passes)
        judged = [(right, after.judge(right)) for right in right_ones]
        responses += judge(passes, ends)
        for right, outcome in judged:
            responses[after.sign_in(right) if outcome[0] == "none" else outcome] += 1
        responses += judge(ends, len(wrong_ones))
        yield responses, replace(after, lag=0)


async def try_(
    service: Service, sent: dict[str, dict[str, Any]], attempt: Attempt
) -> httpx.Response:
    challenge = sent[attempt.challenge]
    code = challenge["code"] if attempt.is_right else wrong_code(challenge["code"])
    more = {"invite_code": UNKNOWN} if attempt.invite_code else {}
    return await guess(service, challenge, code, attempt.address, **more)


def outcome_of(response: httpx.Response) -> tuple[str, int | None]:
    if response.is_success:
        return "none", None
    body = response.json()
    return body["code"], body.get("attempts_left")
