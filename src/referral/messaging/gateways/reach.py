"""Check that a host can be reached: connect to it, with TLS for https, and send nothing."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

_SECONDS = 5
_PORTS = {"https": 443, "http": 80}


async def failure(url: str) -> str | None:
    """Return why the host of a URL cannot be reached, or None if it can. The text has no URL.

    If messages go there through a proxy, check the proxy instead.
    """
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(host):
        parts, tls = urlsplit(proxy if "://" in proxy else f"http://{proxy}"), False
    try:
        port = parts.port or _PORTS.get(parts.scheme, 80)
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, port, ssl=httpx.create_ssl_context() if tls else None
            )
    except TimeoutError:
        return f"no response in {_SECONDS} s"
    except ssl.SSLCertVerificationError as error:
        return f"certificate error: {error.verify_message}"
    except (OSError, ValueError) as error:  # ValueError: a port or name that cannot be
        return type(error).__name__
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return None
