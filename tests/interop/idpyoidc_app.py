"""idpyoidc, the library of several federations."""

from __future__ import annotations

import os

from flask import Flask, redirect, request
from idpyoidc.client.rp_handler import RPHandler
from werkzeug.wrappers import Response

ISSUER, APP = os.environ["ISSUER"], os.environ["APP_URL"]

handler = RPHandler(
    base_url=APP,
    client_configs={
        "referral": {
            "client_type": "oidc",
            "issuer": ISSUER,
            "client_id": os.environ["CLIENT_ID"],
            "client_secret": os.environ["CLIENT_SECRET"],
            "redirect_uris": [f"{APP}/callback"],
            "post_logout_redirect_uris": [f"{APP}/"],
            "scopes_supported": ["openid", "phone", "offline_access"],
            "client_authn_methods": ["client_secret_basic", "bearer_header"],
            "services": {
                "discovery": {
                    "class": "idpyoidc.client.oidc.provider_info_discovery.ProviderInfoDiscovery"
                },
                "authorization": {"class": "idpyoidc.client.oidc.authorization.Authorization"},
                "access_token": {"class": "idpyoidc.client.oidc.access_token.AccessToken"},
                "refresh": {
                    "class": "idpyoidc.client.oidc.refresh_access_token.RefreshAccessToken"
                },
                "userinfo": {"class": "idpyoidc.client.oidc.userinfo.UserInfo"},
                "end_session": {"class": "idpyoidc.client.oidc.end_session.EndSession"},
            },
            "add_ons": {
                "pkce": {
                    "function": "idpyoidc.client.oauth2.add_on.pkce.add_support",
                    "kwargs": {"code_challenge_length": 64, "code_challenge_method": "S256"},
                }
            },
        }
    },
)
app = Flask(__name__)
person: dict[str, str] = {}  # one is enough here


@app.get("/")
def home() -> str:
    if not person:
        return '<!doctype html><a id="sign-in" href="/sign-in">Sign in</a>'
    return (
        f'<!doctype html><p id="who">{person["phone"]}</p><a id="refresh" href="/refresh">Refresh'
        '</a><a id="sign-out" href="/sign-out">Sign out</a>'
    )


@app.get("/sign-in")
def sign_in() -> Response:
    return redirect(handler.begin("referral", req_args={"scope": "openid phone offline_access"}))


@app.get("/callback")
def callback() -> Response:
    found = handler.finalize(ISSUER, request.args.to_dict())
    person.update(phone=found["userinfo"]["phone_number"], state=found["state"])
    return redirect("/")


@app.get("/refresh")
def refresh() -> Response:
    handler.refresh_access_token(person["state"])
    return redirect("/")


@app.get("/sign-out")
def sign_out() -> Response:
    found = handler.logout(person["state"], post_logout_redirect_uri=f"{APP}/")
    person.clear()
    return redirect(found["url"])


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]))
