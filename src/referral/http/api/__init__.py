"""The JSON API under /api/v1: one module for each noun, with the schemas of its bodies."""

from litestar import Router

from referral.http.api.audit import AuditController
from referral.http.api.invitations import InvitationController, OwnInvitationController
from referral.http.api.profile import ProfileController, ReadProfileController
from referral.http.api.reward_events import RewardEventController
from referral.http.api.rewards import (
    OwnRewardController,
    RewardController,
    RewardRuleController,
)
from referral.http.api.sessions import SessionController
from referral.http.api.sign_in import SignInController
from referral.http.api.stats import StatsController
from referral.http.api.users import UserController

PREFIX = "/api/v1"

router = Router(
    PREFIX,
    route_handlers=[
        SignInController,
        SessionController,
        ReadProfileController,
        ProfileController,
        OwnInvitationController,
        InvitationController,
        UserController,
        OwnRewardController,
        RewardEventController,
        RewardRuleController,
        RewardController,
        StatsController,
        AuditController,
    ],
)
