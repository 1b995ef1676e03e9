"""Several PostgreSQL servers of which one is the primary: whichever it is by now is connected to.

asyncpg itself gives all hosts one time-out together, which the first would use up that is silent:
a machine that is gone refuses nothing.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

import asyncpg

from referral.storage.engines import urls

_HOST_SECONDS = 2
# How long a silent host is asked after the others
_SILENT_SECONDS = 60

_GO_ON = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)


class MultiHostConnector:
    """The hosts of a URL. It asks for a primary unless it says otherwise."""

    def __init__(self, url: str) -> None:
        url, wanted = urls.pop_parameter(url, urls.SESSION_ATTRS)
        kinds = ("standby", "any") if wanted == "prefer-standby" else (wanted or "primary",)
        self._tries = [(kind, host) for kind in kinds for host in urls.host_urls(url)]
        self._silent_until: dict[str, float] = {}

    async def connect(self, _url: str, **kwargs: Any) -> Any:
        """As `asyncpg.connect`, for its pool: from the first host that is of the kind."""
        error: Exception | None = None
        kwargs |= {"timeout": _HOST_SECONDS}
        for kind, host in sorted(self._tries, key=lambda each: self._is_silent(each[1])):
            try:
                return await asyncpg.connect(host, target_session_attrs=kind, **kwargs)
            except TimeoutError as silence:
                self._silent_until[host] = monotonic() + _SILENT_SECONDS
                error = silence
            except _GO_ON as refusal:
                error = refusal
        raise error or OSError("there is no host in the URL")

    def _is_silent(self, host: str) -> bool:
        return monotonic() < self._silent_until.get(host, 0)
