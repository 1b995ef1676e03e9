"""What a PostgreSQL URL says beyond what asyncpg reads in it."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SESSION_ATTRS = "target_session_attrs"
STATEMENT_CACHE_SIZE = "statement_cache_size"
"""How many prepared statements a connection keeps: asyncpg's own name."""
_LISTS = "lists"
# What both asyncpg and libpq read in a URL
_READ_BY_BOTH = frozenset(
    f"host port dbname user password passfile service krbsrvname gsslib {SESSION_ATTRS} sslmode "
    "sslcert sslkey sslrootcert sslcrl sslpassword sslnegotiation ssl_min_protocol_version "
    "ssl_max_protocol_version application_name".split()
)


def pop_parameter(url: str, name: str) -> tuple[str, str | None]:
    """The URL without one parameter, and its value. asyncpg tells the server what it does not
    know itself, and that refuses it.
    """
    parts = urlsplit(url)
    found = dict(_parameters(url))
    value = found.pop(name, None)
    if value is None:
        return url, None
    return parts._replace(query=urlencode(found)).geturl(), value


def host_urls(url: str) -> list[str]:
    """A URL for each host that stands before the path, in their order."""
    parts = urlsplit(url)
    who, sign, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{who}{sign}{host}").geturl() for host in hosts.split(",")]


def split_replica(url: str) -> tuple[str, str | None]:
    """The URL for everything, and with `lists=standby` in it, the one for lists.

    Raises ValueError.
    """
    main, wanted = pop_parameter(url, _LISTS)
    if wanted is None:
        return url, None
    if wanted != "standby":
        raise ValueError("lists=standby is all that it can say of lists")
    whole, _ = pop_parameter(main, SESSION_ATTRS)
    parts = urlsplit(whole)
    query = "&".join([*filter(None, [parts.query]), f"{SESSION_ATTRS}=prefer-standby"])
    return main, parts._replace(query=query).geturl()


def for_libpq(url: str) -> str:
    """The URL as PostgreSQL's own tools read it, which refuse parameters that they do not know.

    Ours are left out; what asyncpg would tell the server as a setting becomes one of `options`.
    """
    parts = urlsplit(url)
    found = {"dbname" if name == "database" else name: value for name, value in _parameters(url)}
    known = {name: value for name, value in found.items() if name in _READ_BY_BOTH}
    if len(host_urls(url)) > 1:
        # As the service does
        known.setdefault(SESSION_ATTRS, "primary")
    others = found.keys() - known.keys() - {_LISTS, STATEMENT_CACHE_SIZE}
    if others:
        known["options"] = " ".join(f"-c {name}={found[name]}" for name in sorted(others))
    return parts._replace(query=urlencode(known, quote_via=quote)).geturl()


def _parameters(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)
