"""Guesses at codes, in any order and at once, beside a model of what the budgets allow."""

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

from attacking import client
from guessing import UNKNOWN, guess, new_address, send, wrong
from processes import serving
from support import Clock, Inbox, Service, new_phone, ok

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
    """A guess. invite_code: whether an unknown one comes with it."""

    challenge: str
    is_right: bool
    address: str
    invite_code: bool = False


@dataclass
class Model:
    """What guesses are answered if they are judged one after another, at one moment."""

    phones: dict[str, str] = field(default_factory=dict)
    """Of challenges."""
    lengths: dict[str, int] = field(default_factory=dict)
    """Of challenges' codes."""
    spent: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    used: Counter[tuple[str, str]] = field(default_factory=Counter)
    lag: int = 0
    """Failures of an address that guesses under way have not seen yet: it is not locked."""

    def code_length(self, phone: str) -> int:
        return 4 + 2 * min(self.used["phone", phone] // PER_PHONE, 2)

    def judge(self, attempt: Attempt) -> tuple[str, int | None]:
        """The error, "none" for a right guess that passes, and the attempts left after a wrong
        one.
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
        """What a right guess that has passed is answered."""
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
        """The error of a guess that is not compared."""
        challenge, phone = attempt.challenge, self.phones[attempt.challenge]
        if challenge in self.spent:
            return "challenge_spent"
        is_too_short = self.lengths[challenge] < self.code_length(phone)
        if self.used["challenge", challenge] >= PER_CHALLENGE or is_too_short:
            return "too_many_attempts"
        if self.used["address", attempt.address] - self.lag >= PER_ADDRESS:
            return "too_many_requests"
        return None


Answers = Counter[tuple[str, int | None]]


@pytest.mark.parametrize("seed", range(2))
async def test_guesses_are_answered_as_the_budgets_allow(
    seed: int, database_url: str, tmp_path: Path
) -> None:
    """Guesses at once are answered as they would be in one of the orders they may have come in."""
    random = Random(seed)  # noqa: S311 - the same walk each time
    seen: Answers = Counter()
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
                answers = Counter(map(answer_of, tried))
                seen_by = (each for told, each in orders(model, attempts) if told == answers)
                after = next(seen_by, None)
                assert after is not None, (model, attempts, answers)
                model = after
                seen += answers
    assert {error for error, _ in seen} >= {
        *("none", "wrong_code", "challenge_spent", "too_many_attempts")
    }


def some_attempts(random: Random, challenges: list[str], addresses: list[str]) -> list[Attempt]:
    """Up to six guesses at one of the challenges, at most one of them right."""
    challenge, number = random.choice(challenges), random.choice([1, 1, 2, 4, 6])
    right = random.choice([*range(number), None])
    address, invite_code = random.choice(addresses), random.random() < 0.3
    return [Attempt(challenge, place == right, address, invite_code) for place in range(number)]


def orders(model: Model, attempts: list[Attempt]) -> Iterator[tuple[Answers, Model]]:
    """Yield the answers that are possible and the model after them, likely ones first.

    A right guess at the phone of a new user signs up in a second transaction: after it has passed,
    other guesses may be judged before its challenge is spent. The address's budget is read without
    a lock: a guess may miss the last charges to it (`lag`) that others, refused meanwhile (from
    `first` to `last`), have seen.
    """
    wrong_ones = [attempt for attempt in attempts if not attempt.is_right]
    right_ones = [attempt for attempt in attempts if attempt.is_right]
    places = range(len(wrong_ones) + 1)
    splits = list(combinations_with_replacement(places, 2))
    for (first, last), lag, (passes, ends) in product(splits, places, splits):
        after = deepcopy(model)
        lags = [0 if first <= place < last else lag for place in places]

        def judge(begin: int, end: int, after: Model = after, lags: list[int] = lags) -> Answers:
            answers = Answers()
            for place in range(begin, end):
                after.lag = lags[place]
                answers[after.judge(wrong_ones[place])] += 1
            after.lag = lags[end]
            return answers

        answers = judge(0, passes)
        judged = [(right, after.judge(right)) for right in right_ones]
        answers += judge(passes, ends)
        for right, answer in judged:
            answers[after.sign_in(right) if answer[0] == "none" else answer] += 1
        answers += judge(ends, len(wrong_ones))
        yield answers, replace(after, lag=0)


async def try_(
    service: Service, sent: dict[str, dict[str, Any]], attempt: Attempt
) -> httpx.Response:
    challenge = sent[attempt.challenge]
    code = challenge["code"] if attempt.is_right else wrong(challenge)
    more = {"invite_code": UNKNOWN} if attempt.invite_code else {}
    return await guess(service, challenge, code, attempt.address, **more)


def answer_of(response: httpx.Response) -> tuple[str, int | None]:
    if response.is_success:
        return "none", None
    body = response.json()
    return body["code"], body.get("attempts_left")
