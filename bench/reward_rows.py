"""The rewards that exist before a measurement: of inviters with ten invitees and with a million.

Each invitee of `rows.py` has made one purchase, counts for the milestones of both kinds, and has
earned 100 points for the inviter.
"""

from __future__ import annotations

import postgres
import rows

PURCHASE, FOR_INVITER, FOR_INVITEE = "purchase", "purchase-inviter", "purchase-invitee"
PURCHASE_TENS, JOINED, JOINED_TENS = "purchase-tens", "joined", "joined-tens"
NEWCOMERS = 60_000

_RULES = (
    (FOR_INVITER, PURCHASE, "inviter", "every", None),
    (FOR_INVITEE, PURCHASE, "invitee", "every", None),
    (PURCHASE_TENS, PURCHASE, "inviter", "each", 10),
    (JOINED, "activated", "inviter", "every", None),
    (JOINED_TENS, "activated", "inviter", "each", 10),
)
_RULE = """
    INSERT INTO reward_rules (name, trigger, beneficiary, unit, occurs, invitees, version,
                              created_at)
    VALUES ($1, $2, $3, 'points', $4, $5, 1, '2026-01-01')
"""
_VERSION = """
    INSERT INTO reward_rule_versions (rule, version, amount, hold_days, review, starts_at,
                                      created_at)
    VALUES ($1, 1, 100, 0, 'none', '2026-01-01', '2026-01-01')
"""
_ROWS = {
    "activations": """
        INSERT INTO activations (user_id, inviter_id, made_at, is_repeat, flags)
        SELECT id, inviter_id, activated_at, false, '' FROM users WHERE inviter_id IS NOT NULL
    """,
    "reward_events": """
        INSERT INTO reward_events (id, digest, type, user_id, activation_id, occurred_at,
                                   created_at)
        SELECT 'filled-' || id, 'filled', '{purchase}', user_id, id, made_at, made_at
        FROM activations
    """,
    "counted_events": """
        INSERT INTO counted_events (event_id, rule, version, activation_id, occurred_at, stands)
        SELECT 'filled-' || id, '{purchase_tens}', 1, id, made_at, true FROM activations
    """,
    "qualifiers": """
        INSERT INTO qualifiers (rule, user_id, activation_id)
        SELECT rule, inviter_id, activations.id
        FROM activations, (VALUES ('{purchase_tens}'), ('{joined_tens}')) AS rules (rule)
    """,
    "reward_entries": """
        INSERT INTO reward_entries (id, kind, user_id, unit, amount, cause, created_at,
                                    available_at, rule, version, subject, attempt, event_id,
                                    made_by, about_user_id, activation_id)
        SELECT gen_random_uuid(), 'earned', inviter_id, 'points', 100, 'filled-' || id, made_at,
               made_at, '{for_inviter}', 1, 'filled-' || id, 0, 'filled-' || id,
               'post/filled-' || id, user_id, id
        FROM activations
    """,
    "reward_totals": """
        INSERT INTO reward_totals (user_id, rule, period, amount, qualifiers)
        SELECT inviter_id, rule, '', CASE rule WHEN '{for_inviter}' THEN 100 * count(*) ELSE 0 END,
               CASE rule WHEN '{for_inviter}' THEN 0 ELSE count(*) END
        FROM activations, (VALUES ('{for_inviter}'), ('{purchase_tens}'), ('{joined_tens}'))
            AS rules (rule)
        GROUP BY inviter_id, rule
    """,
    "reward_balances": """
        INSERT INTO reward_balances (user_id, unit, amount)
        SELECT user_id, 'points', sum(amount) FROM reward_entries GROUP BY user_id
    """,
}
_NAMES = {
    "purchase": PURCHASE,
    "for_inviter": FOR_INVITER,
    "purchase_tens": PURCHASE_TENS,
    "joined_tens": JOINED_TENS,
}
# In blocks of numbers of their own, as people who do not know each other
_SCATTERED = """
    UPDATE users
    SET phone = '+' || 79100000000 + (CAST(right(phone, 10) AS BIGINT) - {first}) % 89000 * 10007
    WHERE CAST(right(phone, 10) AS BIGINT) BETWEEN {first} AND {first} + {number} - 1
"""


async def fill(url: str) -> None:
    """Add rules, and what the invitees have earned so far. Call it once the users are there."""
    async with postgres.connected(url) as connection:
        for name, *columns in _RULES:
            await connection.execute(_RULE, name, *columns)
            await connection.execute(_VERSION, name)
    for table, sql in _ROWS.items():
        async with postgres.without_indexes(url, table):
            await postgres.execute(url, "SET synchronous_commit = off", sql.format(**_NAMES))
    first = 9_000_000_000 + rows.LEAST_OF_MANY
    await postgres.execute(url, _SCATTERED.format(first=first, number=NEWCOMERS))


def invitees_of(user: int) -> list[int]:
    """Return the numbers of a user's invitees: of one of those with ten, or of the one with a
    million, of whom 1,000 are returned.
    """
    if user == rows.OF_A_MILLION:
        step = rows.MILLION // 1000
        return list(range(rows.LEAST_OF_MANY - rows.MILLION, rows.LEAST_OF_MANY, step))
    return [rows.ROOTS + user + rows.PROFILES * each for each in range(rows.INVITEES_OF_EACH)]
