"""What the Django apps here share: settings, and the page of every app in Python."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token

ISSUER = os.environ["ISSUER"]
APP = os.environ["APP_URL"]
CLIENT_ID = os.environ["CLIENT_ID"]
CLIENT_SECRET = os.environ["CLIENT_SECRET"]


def configure(*apps: str, middleware: tuple[str, ...] = (), **more: Any) -> None:
    settings.configure(
        DEBUG=True,
        SECRET_KEY="a secret of the session",
        ALLOWED_HOSTS=["localhost", "127.0.0.1"],
        ROOT_URLCONF="__main__",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "app.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "django.contrib.messages",
            *apps,
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            *middleware,
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        USE_TZ=True,
        LOGIN_REDIRECT_URL="/",
        LOGOUT_REDIRECT_URL="/",
        **more,
    )
    django.setup()


def page(request: HttpRequest, *, sign_in: str, sign_out: str) -> HttpResponse:
    """Return the page. Both are the HTML of a link or a form."""
    if not request.user.is_authenticated:
        return HttpResponse(f"<!doctype html>{sign_in}")
    return HttpResponse(f'<!doctype html><p id="who">{request.user.username}</p>{sign_out}')


def link(path: str, name: str) -> str:
    return f'<a id="{name}" href="{path}">{name}</a>'


def form(request: HttpRequest, path: str, name: str) -> str:
    """Return a form of one button, for addresses that take a POST only."""
    return (
        f'<form method="post" action="{path}"><input type="hidden" name="csrfmiddlewaretoken" '
        f'value="{get_token(request)}"><button id="{name}">{name}</button></form>'
    )


def run() -> None:
    call_command("migrate", verbosity=0)
    call_command("runserver", os.environ["PORT"], use_reloader=False, skip_checks=True)
