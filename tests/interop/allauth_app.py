"""django-allauth with its OpenID Connect provider: PKCE is a switch."""

from __future__ import annotations

from typing import Any

import django_app
from django.http import HttpRequest, HttpResponse
from django_app import APP, CLIENT_ID, CLIENT_SECRET, ISSUER

django_app.configure(
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    middleware=("allauth.account.middleware.AccountMiddleware",),
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    ACCOUNT_EMAIL_VERIFICATION="none",
    ACCOUNT_SIGNUP_FIELDS=["username*"],
    SOCIALACCOUNT_LOGIN_ON_GET=True,
    SOCIALACCOUNT_AUTO_SIGNUP=True,
    SOCIALACCOUNT_ADAPTER="__main__.Adapter",
    SOCIALACCOUNT_PROVIDERS={
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "SCOPE": ["openid", "phone"],
            "APPS": [
                {
                    "provider_id": "referral",
                    "name": "Referral",
                    "client_id": CLIENT_ID,
                    "secret": CLIENT_SECRET,
                    "settings": {"server_url": ISSUER},
                }
            ],
        }
    },
)

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter  # noqa: E402
from django.contrib.auth import logout  # noqa: E402
from django.shortcuts import redirect  # noqa: E402
from django.urls import include, path  # noqa: E402 - after the settings


class Adapter(DefaultSocialAccountAdapter):
    def populate_user(self, request: HttpRequest, sociallogin: Any, data: Any) -> Any:
        user = super().populate_user(request, sociallogin, data)
        user.username = sociallogin.account.extra_data["userinfo"]["phone_number"]
        return user


def home(request: HttpRequest) -> HttpResponse:
    return django_app.page(
        request,
        sign_in=django_app.link("/accounts/oidc/referral/login/", "sign-in"),
        sign_out=django_app.link("/sign-out", "sign-out"),
    )


def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out here, then there: the library keeps no ID token, so the provider's page asks."""
    logout(request)
    return redirect(f"{ISSUER}/oauth/logout?client_id={CLIENT_ID}&post_logout_redirect_uri={APP}/")


urlpatterns = [
    path("", home),
    path("sign-out", sign_out),
    path("accounts/", include("allauth.urls")),
]

if __name__ == "__main__":
    django_app.run()
