"""Settings that every page shows or depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from litestar.datastructures.state import State

from referral.core.colour import Palette
from referral.core.image import Image
from referral.i18n import Languages


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The operator's settings for the pages. app.py stores it as `app.state.site`."""

    app_name: str
    languages: Languages
    """Those that the pages offer, with the team's own texts."""
    public_url: str
    """The origin under which people reach the service, without a slash at the end."""
    https: bool
    """Whether the service is reached over https only, as in production."""
    terms_url: str | None
    privacy_url: str | None
    support_url: str | None
    """Shown on pages where only support can help."""
    app_url: str | None
    """The address of the app itself, to which people go on."""
    logo: Image | None
    logo_dark: Image | None
    """For dark mode; without it, the logo is shown on a light plate there."""
    favicon: Image
    palette: Palette
    offers: Mapping[str, str]
    """The offer to an invited person, by language; with the key "" for the other languages."""
    masks_invitees: bool
    """Whether inviters see only a part of their invitees' phones."""
    preview_image: Image
    """The picture that messengers show beside an invite link: the team's, or ours."""

    def offer(self, language: str) -> str:
        """Return what an invited person gets; empty if the team has no offer."""
        return self.offers.get(language) or self.offers.get("", "")


def of(state: State) -> Site:
    site: Site = state.site
    return site
