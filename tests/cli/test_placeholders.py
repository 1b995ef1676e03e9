"""The placeholders for secrets in the documents are refused as settings."""

from __future__ import annotations

import re

import pytest

from processes import ROOT
from referral import settings
from referral.messaging.gateways import registry, urls
from referral.settings.reader import SettingsError
from support import SECRET, TODAY

DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(file for file in ROOT.glob("docs/**/*") if file.suffix not in {".png", ".svg"}),
    *ROOT.glob("postman/referral*.json"),
    *(ROOT / name for name in ("app.json", "Dockerfile", "Procfile")),
]
HOLD_SECRETS = (
    "DATABASE_URL",
    "REFERRAL_METRICS_TOKEN",
    "REFERRAL_SECRET",
    "REFERRAL_SMS_URL",
    "REFERRAL_WEBHOOK_SECRET",
)
SET = re.compile(rf"\b({'|'.join(HOLD_SECRETS)})=([^\s`]+)")
URL = re.compile(r"\b[a-z+]+://[^\s`|\"]+")


def documented() -> set[tuple[str, str]]:
    """Return the settings that hold a secret, with the values that the documents give them."""
    found = set()
    for document in DOCUMENTS:
        if document.is_file():
            text = document.read_text()
            found |= set(SET.findall(text))
            found |= {(setting_of(url), url) for url in URL.findall(text) if setting_of(url)}
    return {(name, value) for name, value in found if has_secret(name, value)}


def setting_of(url: str) -> str:
    scheme = urls.scheme(url)
    if registry.find(scheme):
        return "REFERRAL_SMS_URL"
    return "DATABASE_URL" if scheme.startswith("postgres") else ""


def has_secret(name: str, value: str) -> bool:
    if value.strip('"').startswith("$("):
        return False  # the output of a command
    return not name.endswith("_URL") or bool(re.search(r"//[^/]*:[^/]*@|secret=", value))


DOCUMENTED = sorted(documented())


def test_the_documents_have_a_placeholder_for_each_secret() -> None:
    assert {name for name, _ in DOCUMENTED} == set(HOLD_SECRETS)


@pytest.mark.parametrize(("name", "value"), DOCUMENTED)
def test_a_placeholder_stops_the_service(name: str, value: str) -> None:
    """In development too."""
    variables = {"REFERRAL_SECRET": SECRET, name: value}
    if name == "REFERRAL_WEBHOOK_SECRET":
        variables["REFERRAL_WEBHOOK_URL"] = "https://r.example/hook"
    with pytest.raises(SettingsError) as error:
        settings.parse(variables, today=TODAY)
    (line,) = error.value.problems
    assert line.startswith(f"{name}: ")
