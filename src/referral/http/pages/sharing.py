"""Links that open a messenger with the invitation written: no script, and no request of ours."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote


class ShareLink(NamedTuple):
    """A link to a way of sending. is_site: whether it opens a web page, rather than an app."""

    name: str
    url: str
    is_site: bool


def links(link: str, *, subject: str, text: str) -> list[ShareLink]:
    """Return the links. text: the invitation, before the invite link.

    Lines end with CRLF (RFC 6068, section 5).
    """
    message, address = _quote(f"{text}\r\n{link}"), _quote(link)
    return [
        ShareLink("WhatsApp", f"https://wa.me/?text={message}", is_site=True),
        ShareLink(
            "Telegram", f"https://t.me/share/url?url={address}&text={_quote(text)}", is_site=True
        ),
        # RFC 5724 begins the body with "?"; iOS before 18 read it only after "?&" or "&"
        ShareLink("SMS", f"sms:?&body={message}", is_site=False),
        ShareLink(
            "Email",
            f"mailto:?subject={_quote(subject)}&body={message}",
            is_site=False,
        ),
    ]


def _quote(text: str) -> str:
    """Encode everything but the unreserved characters of RFC 3986, section 2.3."""
    return quote(text, safe="")
