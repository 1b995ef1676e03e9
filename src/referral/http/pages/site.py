"""What every page knows of the service it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from litestar.datastructures.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the operator set of the pages; app.py puts it at `app.state.site`."""

    app_name: str
    public_url: str
    """Where people reach the service, without a slash at its end."""
    https: bool
    """Whether by https alone, as in production."""
    terms_url: str | None
    privacy_url: str | None


def of(state: State) -> Site:
    site: Site = state.site
    return site
