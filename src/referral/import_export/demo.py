"""A database full of users who do not exist, to look at and to measure with.

Their phones can be nobody's. In the North American numbering plan no area code has a 9 in the
middle (those wait for the day when numbers get longer), and no exchange code begins with 0 or 1;
theirs are +1 290 000 0000 and the like, which have both. There are sixteen million of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from referral.core.errors import Forbidden
from referral.core.invite_code import ALPHABET, LENGTH
from referral.import_export import imports
from referral.import_export import store as stored
from referral.import_export.run import Import
from referral.import_export.user_file import Line

AREAS = ("290", "390", "490", "590", "690", "790", "890", "990")
PHONES_PER_AREA = 2_000_000
MOST = len(AREAS) * PHONES_PER_AREA

_AGE = timedelta(days=180)
_INVITED, _BY_THE_POPULAR = 0.7, 0.8
_NAMED, _WITH_EMAIL = 0.9, 0.4
_UNUSUAL = 20  # one of so many
_FIRST_NAMES = (  # noqa: SIM905 - a name a line would say no more
    "Aisha Alina Ana Anna Boris Carlos Chen Daniel Elena Emma Fatima Felix Grace Hana Hugo Ines "
    "Ivan Jonas Julia Kofi Lars Leila Lena Liam Lucas Maria Marta Mei Mila Noah Nora Olga Omar "
    "Pavel Priya Rosa Samuel Sara Sofia Tariq Theo Victor Yuki Zoe"
).split()
_LAST_NAMES = (  # noqa: SIM905 - likewise
    "Abe Ahmed Alvarez Andersen Berg Bianchi Brown Costa Diallo Diaz Dubois Fischer Garcia Haas "
    "Hansen Ivanova Jensen Kaya Khan Kim Kovacs Kumar Lee Lopez Mbeki Meyer Mori Nguyen Novak "
    "Okafor Park Petrov Popescu Rossi Sato Silva Singh Smith Sokolov Tan Varga Wang Weber Yilmaz"
).split()

# Names that break careless pages: from right to left, emoji of several characters, combining marks
# that no letter is composed with, and very long ones with and without a space
UNUSUAL_NAMES = (
    "\u0645\u062d\u0645\u062f \u0639\u0628\u062f \u0627\u0644\u0631\u062d\u0645\u0646",
    "\u05e0\u05d5\u05e2\u05d4 \u05db\u05d4\u05df",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 Zoe & co \U0001f389",
    "Q\u0303\u0301uy\u030bn\u0308h X\u0323\u0302\u0308",
    "Maximiliane Alexandra Friederike von Hohenlohe-Schillingsfürst zu Waldenburg und Pfedelbach",
    "Wolfeschlegelsteinhausenbergerdorffvoralternwarengewissenhaftschaferswessenschafewaren",
)


async def fill(count: int, *, seed: int, add: bool, production: bool, run: Import) -> None:
    """Add users by an import. add: to those who are there. Raises Forbidden."""
    if production:
        raise Forbidden("A demo is not for production: its users would be among the real ones.")
    if not add and await stored.count():
        raise Forbidden("There are users in this database already: add more with --add.")
    newest = await stored.newest_phone(phone(0), phone(MOST - 1))
    first = 0 if newest is None else _number(newest) + 1
    if first + count > MOST:
        raise Forbidden(f"There are {MOST:,} phones for demos, and {first:,} are used already.")
    await imports.import_users(lines(count, first=first, seed=seed, now=run.now), run)


def lines(count: int, *, first: int, seed: int, now: datetime) -> Iterator[Line]:
    """Rows of users, the oldest first: the same for the same arguments.

    first: the number of the first phone. More and more sign up towards `now`. Most are invited,
    mostly by those who have invited many already, so a few have very many invitees.
    """
    random = Random(seed)  # noqa: S311 - nobody has to be unable to guess them
    popular = array("i")
    for number in range(count):
        texts = {
            "phone": phone(first + number),
            "invite_code": _code(first + number, seed),
            "created_at": (now - _AGE * (1 - ((number + 1) / count) ** 0.5)).isoformat(),
        }
        if number and random.random() < _INVITED:
            inviter = random.randrange(number)
            if popular and random.random() < _BY_THE_POPULAR:
                inviter = random.choice(popular)
            popular.append(inviter)
            texts["inviter_code"] = _code(first + inviter, seed)
        if random.random() < _NAMED:
            names = random.choice(_FIRST_NAMES), random.choice(_LAST_NAMES)
            turn, rest = divmod(number + 1, _UNUSUAL)
            unusual = UNUSUAL_NAMES[turn % len(UNUSUAL_NAMES)]
            texts["name"] = " ".join(names) if rest else unusual
            if random.random() < _WITH_EMAIL:
                texts["email"] = f"{'.'.join(names).lower()}.{first + number}@example.com"
        yield Line(number + 1, texts)


def phone(number: int) -> str:
    """The phone of a number below MOST; a greater number has a greater phone."""
    area, subscriber = divmod(number, PHONES_PER_AREA)
    return f"+1{AREAS[area]}{subscriber:07}"


def _number(phone: str) -> int:
    return AREAS.index(phone[2:5]) * PHONES_PER_AREA + int(phone[5:])


def _code(number: int, seed: int) -> str:
    """Codes that look random, and are different for different numbers: each step can be undone."""
    bits = 5 * LENGTH
    mask = (1 << bits) - 1
    for _ in range(2):
        number = (number + seed) * 0x2545F491 & mask
        number ^= number >> 15
    return "".join(ALPHABET[number >> shift & 31] for shift in range(0, bits, 5))
