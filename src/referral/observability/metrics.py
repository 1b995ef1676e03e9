"""The metrics that `/metrics` exposes, named as Prometheus asks: the unit and `_total` last.

https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("referral_events_total", "Events, by name", ["event"])
REFUSALS = Counter(
    "referral_refusals_total", "Requests refused by the rules, by error code", ["code"]
)
LIMIT_REFUSALS = Counter(
    "referral_limited_total",
    "Requests refused by a limit, counted at most once an hour for each counter of the limit",
    ["limit"],
)
FAILURES = Counter(
    "referral_failures_total",
    "Requests that failed: an internal error, no database, or overload",
    ["error"],
)
GATEWAY_SECONDS = Histogram(
    "referral_gateway_seconds",
    "Time to hand a message over to a gateway, fallbacks included",
    ["outcome"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 20),
)
GATEWAY_MESSAGES = Counter(
    "referral_gateway_messages_total",
    "Attempts to send a message through a gateway, by outcome",
    ["gateway", "outcome"],
)
CODE_MESSAGES = Counter(
    "referral_code_messages_total",
    "Messages with a code, by channel, country and state: sent, delivered (by reports), used",
    ["channel", "country", "state"],
)
CODE_SECONDS = Histogram(
    "referral_code_seconds",
    "Time from the send of a code until it was used",
    ["channel"],
    buckets=(5, 10, 15, 20, 30, 45, 60, 120, 300, 600),
)
OUTBOX_EVENTS = Gauge(
    "referral_outbox_events",
    "Webhook events that are due and not yet acknowledged, counted up to 100,000",
    # The sum would be too high: each process counts the whole table
    multiprocess_mode="livemostrecent",
)
WEBHOOKS_STOPPED = Gauge(
    "referral_webhooks_stopped",
    "1 while deliveries are stopped because the webhook endpoint responded with 410",
    multiprocess_mode="livemostrecent",
)
DELIVERIES = Counter(
    "referral_deliveries_total", "Webhook delivery attempts, by outcome", ["outcome"]
)
IN_PROGRESS = Gauge(
    "http_requests_in_progress",
    "Requests in progress, without those that wait for a gateway or a slow client",
    multiprocess_mode="livesum",
)
POOL_CONNECTIONS = Gauge(
    "referral_pool_connections",
    "Connections in the PostgreSQL pool, by state",
    ["state"],
    multiprocess_mode="livesum",
)
DATABASE_UP = Gauge(
    "referral_database_up",
    "Whether the database responded to the last housekeeping round (every 2 seconds)",
    # 0 as soon as any process cannot reach it
    multiprocess_mode="livemin",
)

# Created with 0: Prometheus sees no increase in a series that first appears with a value of 1
for _error in ("storage_unavailable", "internal_error", "overloaded"):
    FAILURES.labels(_error)
for _event in ("code_sent", "signed_in"):
    EVENTS.labels(_event)
for _outcome in ("sent", "failed"):
    GATEWAY_SECONDS.labels(_outcome)
