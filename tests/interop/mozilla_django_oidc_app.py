"""mozilla-django-oidc: PKCE and RS256 are switches, and people are found by email by default."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import django_app
from django.http import HttpRequest, HttpResponse
from django_app import APP, CLIENT_ID, CLIENT_SECRET, ISSUER

django_app.configure(
    "mozilla_django_oidc",
    AUTHENTICATION_BACKENDS=["__main__.Backend"],
    OIDC_OP_AUTHORIZATION_ENDPOINT=f"{ISSUER}/oauth/authorize",
    OIDC_OP_TOKEN_ENDPOINT=f"{ISSUER}/oauth/token",
    OIDC_OP_USER_ENDPOINT=f"{ISSUER}/oauth/userinfo",
    OIDC_OP_JWKS_ENDPOINT=f"{ISSUER}/.well-known/jwks.json",
    OIDC_RP_CLIENT_ID=CLIENT_ID,
    OIDC_RP_CLIENT_SECRET=CLIENT_SECRET,
    OIDC_RP_SIGN_ALGO="RS256",
    OIDC_RP_SCOPES="openid phone",
    OIDC_USE_PKCE=True,
    OIDC_STORE_ID_TOKEN=True,
    OIDC_OP_LOGOUT_URL_METHOD="__main__.logout_url",
)

from django.urls import include, path  # noqa: E402 - after the settings
from mozilla_django_oidc.auth import OIDCAuthenticationBackend  # noqa: E402


class Backend(OIDCAuthenticationBackend):
    def filter_users_by_claims(self, claims: dict[str, Any]) -> Any:
        return self.UserModel.objects.filter(username=claims["phone_number"])

    def get_username(self, claims: dict[str, Any]) -> str:
        phone: str = claims["phone_number"]
        return phone

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        return "phone_number" in claims


def logout_url(request: HttpRequest) -> str:
    query = {
        "id_token_hint": request.session["oidc_id_token"],
        "post_logout_redirect_uri": f"{APP}/",
    }
    return f"{ISSUER}/oauth/logout?{urlencode(query)}"


def home(request: HttpRequest) -> HttpResponse:
    return django_app.page(
        request,
        sign_in=django_app.link("/oidc/authenticate/", "sign-in"),
        sign_out=django_app.form(request, "/oidc/logout/", "sign-out"),
    )


urlpatterns = [path("", home), path("oidc/", include("mozilla_django_oidc.urls"))]

if __name__ == "__main__":
    django_app.run()
