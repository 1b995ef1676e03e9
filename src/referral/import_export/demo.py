"""Fictitious users for demonstrations and measurements.

Their phones, from +1 290 000 0000 on, cannot belong to anybody. In the North American Numbering
Plan no area code has a 9 in the middle (these are reserved for longer numbers), and no exchange
code begins with 0 or 1. Each phone here breaks both rules. There are sixteen million of them.
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
from referral.import_export.run import ImportRun
from referral.import_export.user_file import Line

AREAS = ("290", "390", "490", "590", "690", "790", "890", "990")
PHONES_PER_AREA = 2_000_000
MAX_USERS = len(AREAS) * PHONES_PER_AREA

_MAX_AGE = timedelta(days=180)
# The share of users who are invited and, of these, the share whose inviter has invitees already
_INVITED, _INVITED_BY_POPULAR = 0.7, 0.8
# The share of users with a name and, of these, the share with an email
_NAMED, _WITH_EMAIL = 0.9, 0.4
# One user in 20 has an unusual name
_UNUSUAL_EVERY = 20
_FIRST_NAMES = (  # noqa: SIM905 - a list would take a line for each name
    "Aisha Alina Ana Anna Boris Carlos Chen Daniel Elena Emma Fatima Felix Grace Hana Hugo Ines "
    "Ivan Jonas Julia Kofi Lars Leila Lena Liam Lucas Maria Marta Mei Mila Noah Nora Olga Omar "
    "Pavel Priya Rosa Samuel Sara Sofia Tariq Theo Victor Yuki Zoe"
).split()
_LAST_NAMES = (  # noqa: SIM905 - likewise
    "Abe Ahmed Alvarez Andersen Berg Bianchi Brown Costa Diallo Diaz Dubois Fischer Garcia Haas "
    "Hansen Ivanova Jensen Kaya Khan Kim Kovacs Kumar Lee Lopez Mbeki Meyer Mori Nguyen Novak "
    "Okafor Park Petrov Popescu Rossi Sato Silva Singh Smith Sokolov Tan Varga Wang Weber Yilmaz"
).split()

# Names that careless pages display wrongly: from right to left, emoji of several code points,
# combining marks without a composed letter, and very long ones with and without a space
UNUSUAL_NAMES = (
    "\u0645\u062d\u0645\u062f \u0639\u0628\u062f \u0627\u0644\u0631\u062d\u0645\u0646",
    "\u05e0\u05d5\u05e2\u05d4 \u05db\u05d4\u05df",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 Zoe & co \U0001f389",
    "Q\u0303\u0301uy\u030bn\u0308h X\u0323\u0302\u0308",
    "Maximiliane Alexandra Friederike von Hohenlohe-Schillingsfürst zu Waldenburg und Pfedelbach",
    "Wolfeschlegelsteinhausenbergerdorffvoralternwarengewissenhaftschaferswessenschafewaren",
)


async def fill(count: int, *, seed: int, add: bool, production: bool, run: ImportRun) -> None:
    """Import fictitious users.

    add: do so even if there are users already. production: refuse. Raises Forbidden.
    """
    if production:
        raise Forbidden(
            "The demo is refused in production, where its users would mix with real ones: use "
            "another database and REFERRAL_ENV=development."
        )
    if not add and await stored.count():
        raise Forbidden("This database has users already: add more with --add.")
    greatest = await stored.greatest_phone(phone(0), phone(MAX_USERS - 1))
    first = 0 if greatest is None else _number(greatest) + 1
    if first + count > MAX_USERS:
        raise Forbidden(
            f"There are {MAX_USERS:,} phones for demos, of which {first:,} are in use: choose "
            "fewer --users."
        )
    await imports.import_users(lines(count, first=first, seed=seed, now=run.now), run)


def lines(count: int, *, first: int, seed: int, now: datetime) -> Iterator[Line]:
    """Generate rows of users, oldest first. The same arguments give the same rows.

    first: the number of the first phone. Sign-ups become more frequent towards `now`. Most users
    are invited, mostly by users who have invited many already, so a few have very many invitees.
    """
    random = Random(seed)  # noqa: S311 - not a secret
    # A user is in it once for each invitee
    popular = array("i")
    for number in range(count):
        texts = {
            "phone": phone(first + number),
            "invite_code": _code(first + number, seed),
            "created_at": (now - _MAX_AGE * (1 - ((number + 1) / count) ** 0.5)).isoformat(),
        }
        if number and random.random() < _INVITED:
            inviter = random.randrange(number)
            if popular and random.random() < _INVITED_BY_POPULAR:
                inviter = random.choice(popular)
            popular.append(inviter)
            texts["inviter_code"] = _code(first + inviter, seed)
        if random.random() < _NAMED:
            names = random.choice(_FIRST_NAMES), random.choice(_LAST_NAMES)
            index, rest = divmod(number + 1, _UNUSUAL_EVERY)
            unusual = UNUSUAL_NAMES[index % len(UNUSUAL_NAMES)]
            texts["name"] = " ".join(names) if rest else unusual
            if random.random() < _WITH_EMAIL:
                texts["email"] = f"{'.'.join(names).lower()}.{first + number}@example.com"
        yield Line(number + 1, texts)


def phone(number: int) -> str:
    """Return the phone with a number below MAX_USERS. Phones are sorted as their numbers are."""
    area, subscriber = divmod(number, PHONES_PER_AREA)
    return f"+1{AREAS[area]}{subscriber:07}"


def _number(phone: str) -> int:
    return AREAS.index(phone[2:5]) * PHONES_PER_AREA + int(phone[5:])


def _code(number: int, seed: int) -> str:
    """Return a code that looks random. Each step is invertible, so no two numbers get the same."""
    bits = 5 * LENGTH
    mask = (1 << bits) - 1
    for _ in range(2):
        number = (number + seed) * 0x2545F491 & mask
        number ^= number >> 15
    return "".join(ALPHABET[number >> shift & 31] for shift in range(0, bits, 5))
