"""Connections to the current primary among several PostgreSQL servers.

asyncpg has one time-out for all hosts of a URL together. A host that is gone does not even refuse
connections, so it would use up the time of the hosts after it. Here each host has a time-out of its
own, and one that did not respond is tried last for a while.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

import asyncpg

from referral.storage.engines import urls

_HOST_SECONDS = 2
_SILENT_SECONDS = 60
"""How long a host that did not respond is tried after the others."""

_TRY_NEXT = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)


class MultiHostConnector:
    """Connects to the first suitable host of a URL.

    Suitable is the primary, unless the URL's `target_session_attrs` says otherwise.
    """

    def __init__(self, url: str) -> None:
        url, wanted = urls.pop_parameter(url, urls.SESSION_ATTRS)
        roles = ("standby", "any") if wanted == "prefer-standby" else (wanted or "primary",)
        self._candidates = [(role, host) for role in roles for host in urls.host_urls(url)]
        self._silent_until: dict[str, float] = {}

    async def connect(self, _url: str, **kwargs: Any) -> Any:
        """Connect as `asyncpg.connect` does. The pool calls this in its place.

        Raises the last host's error if none is suitable.
        """
        error: Exception | None = None
        kwargs |= {"timeout": _HOST_SECONDS}
        for role, host in sorted(self._candidates, key=lambda each: self._is_silent(each[1])):
            try:
                return await asyncpg.connect(host, target_session_attrs=role, **kwargs)
            except TimeoutError as timeout:
                self._silent_until[host] = monotonic() + _SILENT_SECONDS
                error = timeout
            except _TRY_NEXT as refusal:
                error = refusal
        raise error or OSError("the URL has no host")

    def _is_silent(self, host: str) -> bool:
        return monotonic() < self._silent_until.get(host, 0)
