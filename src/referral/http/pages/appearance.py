"""How pages look: the style sheet with the team's colours, and the policy that allows it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from litestar import Request
from markupsafe import Markup

from referral.core.colour import Colours, Palette
from referral.i18n import Language

LIGHT, DARK, EITHER = "light", "dark", "light dark"

_FILE = Path(__file__).parent / "pages.css"
_PREVIEW = "pages_preview"
# The style sheet's condition for dark mode, and what it becomes in a preview of one mode
_IN_DARK = "(prefers-color-scheme:dark)"
_CONDITIONS = {EITHER: _IN_DARK, LIGHT: "not all", DARK: "all"}


@dataclass(frozen=True, slots=True)
class Preview:
    """A page that an administrator sees in a frame of /admin/look. colors: LIGHT or DARK."""

    language: Language
    colors: str


def show_as_preview(request: Request[Any, Any, Any], preview: Preview) -> None:
    """Let this request's page be rendered as a preview: with nothing in it that does anything."""
    request.scope["state"][_PREVIEW] = preview


def preview_of(request: Request[Any, Any, Any]) -> Preview | None:
    found: Preview | None = request.scope["state"].get(_PREVIEW)
    return found


def colors_of(preview: Preview | None) -> str:
    """Return the mode of a preview; EITHER for a page that is none."""
    return preview.colors if preview else EITHER


def dark_condition(colors: str) -> str:
    """Return the media query for dark mode. colors: LIGHT, DARK or EITHER."""
    return _CONDITIONS[colors]


@cache
def css(palette: Palette, colors: str = EITHER) -> Markup:
    """Return the style sheet. It is inlined, so that browsers draw a page after one round trip."""
    text = f"{team_colours(palette)}\n{_FILE.read_text()}"
    if colors != EITHER:
        text = text.replace(f"color-scheme:{EITHER}", f"color-scheme:{colors}")
        text = text.replace(f"@media{_IN_DARK}", f"@media {dark_condition(colors)}")
    # Our own file, and colours that were parsed
    return Markup(text)  # noqa: S704


@cache
def team_colours(palette: Palette) -> Markup:
    """Return the part of the style sheet that defines the team's colours."""
    light, dark = _variables(palette.light), _variables(palette.dark)
    # Colours that were parsed
    return Markup(f":root{{{light}}}@media{_IN_DARK}{{:root{{{dark}}}}}")  # noqa: S704


def source(text: str) -> str:
    """Return the source expression of an inlined style sheet for a policy (CSP 3, 2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def headers(palette: Palette, *, preview: Preview | None, frames: bool) -> dict[str, str]:
    """Return the headers that isolate a page from other sites.

    preview: in a frame of our own, no script runs and no form is sent. frames: whether the page
    has frames with such previews.
    """
    style = source(css(palette, colors_of(preview)))
    policy = f"default-src 'none'; style-src {style}; img-src 'self'; base-uri 'none'; "
    if preview is not None:
        policy += "form-action 'none'; frame-ancestors 'self'"
    else:
        policy += (
            "script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'"
        )
    if frames:
        policy += "; frame-src 'self'"
    return {"Content-Security-Policy": policy, "Cross-Origin-Opener-Policy": "same-origin"}


def _variables(colours: Colours) -> str:
    return (
        f"--accent:{colours.accent};--on-accent:{colours.on_accent};"
        f"--tint:{colours.tint};--bars:{colours.bars}"
    )
