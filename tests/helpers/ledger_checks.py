"""Invariants of the tables of rewards, as SQL that finds the rows that break them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from locks import other_connection

# The entries that count in balances, and those that count for caps
_CONDITIONS = {
    "counted": """
        reversed_at IS NULL
        AND (kind = 'redemption' OR kind = 'earned' AND (review IS NULL OR review = 'approved'))
    """,
    "live": "kind = 'earned' AND reversed_at IS NULL AND (review IS NULL OR review <> 'rejected')",
}
_TAKEN_BACK = "kind = 'earned' AND (reversed_at IS NOT NULL OR review = 'rejected')"

_ONCE_IN_OUTBOX = """
    SELECT id, sum(number) AS missing FROM (
        SELECT CAST(id AS TEXT) AS id, 1 AS number FROM reward_entries WHERE {entries}
        UNION ALL SELECT {{data_id}}, -1 FROM outbox WHERE type = '{type}'
    ) AS both_ GROUP BY id HAVING sum(number) <> 0
"""
_CHECKS = {
    "a balance is the sum of the entries that count in it": """
        SELECT user_id, unit, sum(amount) AS missing FROM (
            SELECT user_id, unit, amount FROM reward_entries WHERE {counted}
            UNION ALL SELECT user_id, unit, -amount FROM reward_balances
        ) AS both_ GROUP BY user_id, unit HAVING sum(amount) <> 0
    """,
    "a total is the sum of the live entries of a rule": """
        SELECT user_id, rule, period, sum(amount) AS missing FROM (
            SELECT user_id, rule, '' AS period, amount FROM reward_entries WHERE {live}
            UNION ALL SELECT user_id, rule, {month}, amount FROM reward_entries WHERE {live}
            UNION ALL SELECT user_id, rule, period, -amount FROM reward_totals
        ) AS both_ GROUP BY user_id, rule, period HAVING sum(amount) <> 0
    """,
    "a total counts the invitees who qualify": """
        SELECT user_id, rule, sum(number) AS missing FROM (
            SELECT user_id, rule, 1 AS number FROM qualifiers
            UNION ALL SELECT user_id, rule, -qualifiers FROM reward_totals
        ) AS both_ GROUP BY user_id, rule HAVING sum(number) <> 0
    """,
    "an invitee qualifies for a milestone while an event stands": """
        SELECT activation_id, rule, sum(number) AS missing FROM (
            SELECT DISTINCT activation_id, rule, 1 AS number
            FROM counted_events JOIN reward_rules ON name = rule AND occurs IN ('at', 'each')
            WHERE stands
            UNION ALL SELECT activation_id, rule, -1 FROM qualifiers
        ) AS both_ GROUP BY activation_id, rule HAVING sum(number) <> 0
    """,
    "an event that stands is neither reversed nor voided": """
        SELECT event_id, rule FROM counted_events
        LEFT JOIN reward_events ON reward_events.id = event_id
        JOIN activations ON activations.id = counted_events.activation_id
        WHERE stands AND (reward_events.id IS NULL OR reversed_at IS NOT NULL
            OR voided_at IS NOT NULL)
    """,
    "a rule gives one live entry for a subject": """
        SELECT user_id, rule, subject FROM reward_entries
        WHERE kind IN ('earned', 'capped') AND reversed_at IS NULL
        GROUP BY user_id, rule, subject HAVING count(*) > 1
    """,
    "a live entry of a milestone has enough invitees": """
        SELECT id, milestone FROM reward_entries WHERE milestone IS NOT NULL AND {live}
        AND milestone > COALESCE((
            SELECT qualifiers FROM reward_totals AS totals WHERE period = ''
            AND totals.user_id = reward_entries.user_id AND totals.rule = reward_entries.rule
        ), 0)
    """,
    "a live entry about an invitee has an event that stands": """
        SELECT id, rule FROM reward_entries
        WHERE {live} AND rule IN (SELECT name FROM reward_rules WHERE occurs = 'first')
        AND NOT EXISTS (
            SELECT 1 FROM counted_events AS events WHERE stands
            AND events.activation_id = reward_entries.activation_id
            AND events.rule = reward_entries.rule
        )
    """,
    "a live entry for an event has one that is not reversed": """
        SELECT id, rule FROM reward_entries
        WHERE {live} AND subject = 'event/' || event_id AND NOT EXISTS (
            SELECT 1 FROM reward_events AS events
            WHERE events.id = reward_entries.event_id AND events.reversed_at IS NULL
        )
    """,
    "an entry that reverses another is its opposite": """
        SELECT later.id FROM reward_entries AS later
        LEFT JOIN reward_entries AS earlier ON earlier.id = later.reverses_id
        WHERE later.kind IN ('reversal', 'return') AND (
            earlier.id IS NULL OR earlier.reversed_at IS NULL
            OR earlier.amount <> -later.amount OR earlier.amount = 0
            OR earlier.user_id <> later.user_id OR earlier.unit <> later.unit
            OR earlier.kind <> CASE later.kind WHEN 'return' THEN 'redemption' ELSE 'earned' END
        )
        UNION ALL SELECT id FROM reward_entries
        WHERE reverses_id IS NOT NULL AND kind NOT IN ('reversal', 'return')
    """,
    "a reversed entry has one that reverses it": """
        SELECT id FROM reward_entries AS earlier WHERE reversed_at IS NOT NULL AND (
            SELECT count(*) FROM reward_entries AS later WHERE later.reverses_id = earlier.id
        ) <> 1
    """,
    "a redemption has one entry": """
        SELECT cause, sum(number) AS missing FROM (
            SELECT cause, 1 AS number FROM reward_entries
            WHERE kind = 'redemption' AND reversed_at IS NULL
            UNION ALL SELECT id, -1 FROM redemptions WHERE reversed_at IS NULL
        ) AS both_ GROUP BY cause HAVING sum(number) <> 0
    """,
    "an earned entry is announced once": _ONCE_IN_OUTBOX.format(
        entries="kind = 'earned'", type="reward.earned"
    ),
    "an entry that is taken back is announced once": _ONCE_IN_OUTBOX.format(
        entries=_TAKEN_BACK, type="reward.reversed"
    ),
    "an entry's availability is announced once": """
        SELECT id, sum(number) AS missing FROM (
            SELECT CAST(announcement_id AS TEXT) AS id, 1 AS number FROM reward_entries
            WHERE announcement_id IS NOT NULL AND kind = 'earned'
            UNION ALL SELECT CAST(outbox.id AS TEXT), -1 FROM outbox
            JOIN reward_entries ON announcement_id = outbox.id
            WHERE type = 'reward.available'
        ) AS both_ GROUP BY id HAVING sum(number) <> 0
    """,
}
_MONTH = {
    "sqlite": "substr(created_at, 1, 7)",
    "postgres": "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM')",
}
_DATA_ID = {
    "sqlite": "json_extract(data, '$.id')",
    "postgres": "CAST(data AS JSONB) ->> 'id'",
}


async def assert_ledger_consistent(database_url: str) -> None:
    """Check everything that always holds. The database must have a webhook endpoint's events."""
    broken = {}
    for name, sql in _CHECKS.items():
        if found := await fetch(database_url, sql):
            broken[name] = found[:5]
    assert not broken, broken


async def fetch(database_url: str, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query, by another connection than the service's.

    `{month}` stands for that of `created_at`, and `{data_id}` for the `id` in an event's data;
    see _CONDITIONS for the others.
    """
    kind = "sqlite" if database_url.startswith("sqlite") else "postgres"
    sql = sql.format(**_CONDITIONS, month=_MONTH[kind], data_id=_DATA_ID[kind])
    if kind == "postgres":
        async with other_connection(database_url) as connection:
            return [dict(row) for row in await connection.fetch(sql)]
    with closing(sqlite3.connect(database_url.removeprefix("sqlite://"), timeout=10)) as file:
        file.row_factory = sqlite3.Row
        return [dict(row) for row in file.execute(sql)]
