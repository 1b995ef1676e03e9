"""Settings that every page shows or depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from litestar.datastructures.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The operator's settings for the pages. app.py stores it as `app.state.site`."""

    app_name: str
    public_url: str
    """The origin under which people reach the service, without a slash at the end."""
    https: bool
    """Whether the service is reached over https only, as in production."""
    terms_url: str | None
    privacy_url: str | None
    offers: Mapping[str, str]
    """The offer to an invited person, by language; with the key "" for the other languages."""

    def offer(self, language: str) -> str:
        """Return what an invited person gets; empty if the team has no offer."""
        return self.offers.get(language) or self.offers.get("", "")


def of(state: State) -> Site:
    site: Site = state.site
    return site
