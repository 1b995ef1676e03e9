"""What a PostgreSQL URL says beyond what asyncpg reads in it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

ATTRIBUTES = "target_session_attrs"
_LISTS = "lists"


def without(url: str, name: str) -> tuple[str, str | None]:
    """The URL without one parameter, and its value. asyncpg tells the server what it does not
    know itself, and that refuses it.
    """
    parts = urlsplit(url)
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    value = found.pop(name, None)
    if value is None:
        return url, None
    return parts._replace(query=urlencode(found)).geturl(), value


def each_host(url: str) -> list[str]:
    """A URL for each host that stands before the path, in their order."""
    parts = urlsplit(url)
    who, sign, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{who}{sign}{host}").geturl() for host in hosts.split(",")]


def split_lists(url: str) -> tuple[str, str | None]:
    """The URL for everything, and with `lists=standby` in it, the one for lists.

    Raises ValueError.
    """
    main, wanted = without(url, _LISTS)
    if wanted is None:
        return url, None
    if wanted != "standby":
        raise ValueError("lists=standby is all that it can say of lists")
    whole, _ = without(main, ATTRIBUTES)
    parts = urlsplit(whole)
    query = "&".join([*filter(None, [parts.query]), f"{ATTRIBUTES}=prefer-standby"])
    return main, parts._replace(query=query).geturl()
