"""Pages for administrators.

They do what the API does under `/users`, `/stats` and `/audit`, and what some commands do.
"""

from litestar import Router

from referral.http.pages import browser_session
from referral.http.pages.admin import (
    audit,
    clients,
    delivery,
    keys,
    look,
    reward_figures,
    rewards,
    rules,
    statistics,
    user_lists,
    users,
    webhooks,
)
from referral.http.requests import AdminRequest

__all__ = ["router"]

router = Router(
    "/admin",
    route_handlers=[
        statistics.show,
        *user_lists.HANDLERS,
        *users.HANDLERS,
        *keys.HANDLERS,
        *clients.HANDLERS,
        *rewards.HANDLERS,
        *reward_figures.HANDLERS,
        *rules.HANDLERS,
        *look.HANDLERS,
        *webhooks.HANDLERS,
        delivery.show,
        audit.trail,
    ],
    guards=[browser_session.administrator],
    request_class=AdminRequest,
)
