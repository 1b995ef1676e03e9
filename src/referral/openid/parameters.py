"""The parameters of an HTTP request, each given once (RFC 6749, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from referral.openid.errors import InvalidRequest

# Bytes of all names and values together, in UTF-8. An encrypted request is a part of a URL, and
# proxies accept URLs of 8 KB
MAX_TOTAL_LENGTH = 6 * 1024


class Parameters:
    """Names and values, in the order in which they came. An empty value counts as absent."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = [(name, value) for name, value in pairs if value]
        self._length = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in pairs)

    def get(self, name: str, *, max_length: int | None = None) -> str | None:
        """Return a parameter's value. Raises InvalidRequest if it was given twice or is too long.

        max_length: in characters.
        """
        values = [value for each, value in self._pairs if each == name]
        if len(values) > 1:
            raise InvalidRequest(f"Send the parameter {name} only once.")
        if max_length is not None and any(len(value) > max_length for value in values):
            raise InvalidRequest(
                f"Shorten the parameter {name} to at most {max_length} characters."
            )
        return values[0] if values else None

    def require(self, name: str) -> str:
        """Return a parameter's value. Raises InvalidRequest if it is missing or given twice."""
        value = self.get(name)
        if value is None:
            raise InvalidRequest(f"Send the parameter {name}: it is missing.")
        return value

    def check(self) -> None:
        """Raise InvalidRequest if one was given twice, or if all together are too long."""
        if self._length > MAX_TOTAL_LENGTH:
            raise InvalidRequest("Shorten the parameters to at most 6 KB in all.")
        for name, _ in self._pairs:
            self.get(name)
