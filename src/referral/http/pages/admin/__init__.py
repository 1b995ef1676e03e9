"""Pages for administrators: what the API offers under `/users`, `/stats` and `/audit`, and some
operations that are otherwise commands.
"""

from litestar import Router

from referral.http.pages import browser_session
from referral.http.pages.admin import audit, clients, keys, statistics, users, webhooks
from referral.http.requests import AdminRequest

__all__ = ["router"]

router = Router(
    "/admin",
    route_handlers=[
        statistics.show,
        *users.HANDLERS,
        *keys.HANDLERS,
        *clients.HANDLERS,
        webhooks.status,
        audit.trail,
    ],
    guards=[browser_session.administrator],
    request_class=AdminRequest,
)
