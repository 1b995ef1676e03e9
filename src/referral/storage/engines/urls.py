"""Parameters of a PostgreSQL URL that asyncpg or libpq does not know."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SESSION_ATTRS = "target_session_attrs"
"""Which role a server must have, in a URL with several hosts."""
STATEMENT_CACHE_SIZE = "statement_cache_size"
"""How many prepared statements a connection keeps. asyncpg has an argument of this name."""
_LISTS = "lists"
# The parameters that both asyncpg and libpq know
_KNOWN_TO_BOTH = frozenset(
    f"host port dbname user password passfile service krbsrvname gsslib {SESSION_ATTRS} sslmode "
    "sslcert sslkey sslrootcert sslcrl sslpassword sslnegotiation ssl_min_protocol_version "
    "ssl_max_protocol_version application_name".split()
)


def pop_parameter(url: str, name: str) -> tuple[str, str | None]:
    """Return the URL without one parameter, and the parameter's value.

    asyncpg passes parameters that it does not know on to the server, which refuses them.
    """
    parts = urlsplit(url)
    found = dict(_parameters(url))
    value = found.pop(name, None)
    if value is None:
        return url, None
    return parts._replace(query=urlencode(found)).geturl(), value


def host_urls(url: str) -> list[str]:
    """Return a URL for each host of a URL, in their order."""
    parts = urlsplit(url)
    user, sign, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{user}{sign}{host}").geturl() for host in hosts.split(",")]


def split_replica(url: str) -> tuple[str, str | None]:
    """Return the URL without `lists`, and if it has `lists=standby`, the URL to read lists from.

    Raises ValueError for another value of `lists`.
    """
    main, wanted = pop_parameter(url, _LISTS)
    if wanted is None:
        return url, None
    if wanted != "standby":
        raise ValueError("the only value of lists is standby")
    whole, _ = pop_parameter(main, SESSION_ATTRS)
    parts = urlsplit(whole)
    query = "&".join([*filter(None, [parts.query]), f"{SESSION_ATTRS}=prefer-standby"])
    return main, parts._replace(query=query).geturl()


def for_libpq(url: str) -> str:
    """Return the URL for libpq, the library of PostgreSQL's own tools.

    libpq refuses parameters that it does not know. This service's own are left out, and those that
    asyncpg would pass on to the server as settings go into `options`.
    """
    parts = urlsplit(url)
    found = {"dbname" if name == "database" else name: value for name, value in _parameters(url)}
    known = {name: value for name, value in found.items() if name in _KNOWN_TO_BOTH}
    if len(host_urls(url)) > 1:
        # As the service connects
        known.setdefault(SESSION_ATTRS, "primary")
    others = found.keys() - known.keys() - {_LISTS, STATEMENT_CACHE_SIZE}
    if others:
        known["options"] = " ".join(f"-c {name}={found[name]}" for name in sorted(others))
    return parts._replace(query=urlencode(known, quote_via=quote)).geturl()


def _parameters(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)
