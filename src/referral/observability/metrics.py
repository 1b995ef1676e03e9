"""What is counted for those who watch the service. Prometheus's names: units and `_total` last."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("referral_events_total", "What happened, by event", ["event"])
REFUSALS = Counter("referral_refusals_total", "Requests that the rules refused", ["code"])
LIMITED = Counter(
    "referral_limited_total", "Limits that refused somebody, once an hour each", ["limit"]
)
FAILURES = Counter(
    "referral_failures_total", "Requests that broke, or found no database", ["error"]
)
GATEWAY = Histogram(
    "referral_gateway_seconds",
    "Time to hand a message over",
    ["outcome"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 20),
)
MESSAGES = Counter(
    "referral_gateway_messages_total",
    "Messages given to each gateway, by what it made of them",
    ["gateway", "outcome"],
)
OUTBOX = Gauge(
    "referral_outbox_events",
    "Events that are due and not acknowledged, up to 100,000",
    # Each process counts them all
    multiprocess_mode="livemostrecent",
)
STOPPED = Gauge(
    "referral_webhooks_stopped",
    "1 while nothing is sent, because the team's receiver answered 410",
    multiprocess_mode="livemostrecent",
)
DELIVERIES = Counter(
    "referral_deliveries_total", "Tries to tell the team's receiver an event", ["outcome"]
)
IN_PROGRESS = Gauge(
    "http_requests_in_progress",
    "Requests that are worked on, without those that wait for a gateway",
    multiprocess_mode="livesum",
)
POOL = Gauge(
    "referral_pool_connections",
    "Connections to PostgreSQL, open and in use",
    ["state"],
    multiprocess_mode="livesum",
)
DATABASE = Gauge(
    "referral_database_up",
    "Whether the database answered the last round of housekeeping, of every 2 seconds",
    # One process that does not reach it is enough to say so
    multiprocess_mode="livemin",
)

# There from the start: what begins with the first failure has no increase for Prometheus
for _error in ("storage_unavailable", "internal_error", "overloaded"):
    FAILURES.labels(_error)
for _event in ("code_sent", "signed_in"):
    EVENTS.labels(_event)
for _outcome in ("sent", "failed"):
    GATEWAY.labels(_outcome)
