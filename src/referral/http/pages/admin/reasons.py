"""The reason that an administrator may give in a confirmation."""

from __future__ import annotations

from dataclasses import replace

from referral.context import Actor
from referral.core import reason
from referral.http.pages import forms
from referral.http.requests import AdminRequest

FIELD = "reason"


def actor(request: AdminRequest) -> Actor:
    """Return the administrator with the reason that they gave, for the audit trail."""
    return replace(request.user, reason=reason.clean(forms.submitted(request).get(FIELD, "")))
