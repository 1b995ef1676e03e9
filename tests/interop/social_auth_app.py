"""social-auth-core, in its app for Django."""

from __future__ import annotations

from urllib.parse import urlencode

import django_app
from django.http import HttpRequest, HttpResponse
from django_app import APP, CLIENT_ID, CLIENT_SECRET, ISSUER

django_app.configure(
    "social_django",
    AUTHENTICATION_BACKENDS=["social_core.backends.open_id_connect.OpenIdConnectAuth"],
    SOCIAL_AUTH_OIDC_OIDC_ENDPOINT=ISSUER,
    SOCIAL_AUTH_OIDC_KEY=CLIENT_ID,
    SOCIAL_AUTH_OIDC_SECRET=CLIENT_SECRET,
    SOCIAL_AUTH_OIDC_IGNORE_DEFAULT_SCOPE=True,
    SOCIAL_AUTH_OIDC_SCOPE=["openid", "phone", "offline_access"],
    SOCIAL_AUTH_OIDC_USERNAME_KEY="phone_number",
    SOCIAL_AUTH_OIDC_USE_PKCE=True,
    SOCIAL_AUTH_CLEAN_USERNAMES=False,
)

from django.contrib.auth import logout  # noqa: E402
from django.shortcuts import redirect  # noqa: E402
from django.urls import include, path  # noqa: E402 - after the settings
from social_django.utils import load_strategy  # noqa: E402


def home(request: HttpRequest) -> HttpResponse:
    return django_app.page(
        request,
        sign_in=django_app.form(request, "/login/oidc/", "sign-in"),
        sign_out=django_app.link("/refresh", "refresh") + django_app.link("/sign-out", "sign-out"),
    )


def refresh(request: HttpRequest) -> HttpResponse:
    request.user.social_auth.get().refresh_token(load_strategy(request))
    return redirect("/")


def sign_out(request: HttpRequest) -> HttpResponse:
    social = request.user.social_auth.get()
    query = {
        "id_token_hint": social.extra_data["id_token"],
        "post_logout_redirect_uri": f"{APP}/",
    }
    logout(request)
    return redirect(f"{ISSUER}/oauth/logout?{urlencode(query)}")


urlpatterns = [
    path("", home),
    path("refresh", refresh),
    path("sign-out", sign_out),
    path("", include("social_django.urls", namespace="social")),
]

if __name__ == "__main__":
    django_app.run()
