"""Where variables come from, and a reader that tells everything that is wrong with them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from dotenv import dotenv_values

T = TypeVar("T")

PREFIX = "REFERRAL_"
# Kubernetes sets such names for a Service that is called `referral`
_NOT_OURS = ("REFERRAL_SERVICE_", "REFERRAL_PORT")

# Variables in which platforms name the address or the host under which they publish an app
_PLATFORM_URL = "RENDER_EXTERNAL_URL"
_PLATFORM_HOSTS = (
    "RAILWAY_PUBLIC_DOMAIN",
    "KOYEB_PUBLIC_DOMAIN",
    "HEROKU_APP_DEFAULT_DOMAIN_NAME",
)


class SettingsError(Exception):
    """The settings cannot be right. problems: a line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Reader:
    """Reads variables one by one and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.known: set[str] = set()
        self.problems: list[str] = []

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """The parsed value; the default where the variable is not set or wrong."""
        self.known.add(name)
        if name not in self._environ:
            return default
        try:
            return parse(self._environ[name])
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return default

    def is_given(self, name: str) -> bool:
        return name in self._environ

    def finish(self, names: Iterable[str]) -> None:
        """Raises SettingsError with everything that was wrong, unknown names too."""
        unknown = sorted(
            name
            for name in names
            if name.startswith(PREFIX) and not name.startswith(_NOT_OURS) and name not in self.known
        )
        for name in unknown:
            ends = {known.removeprefix(PREFIX): known for known in self.known}
            near = get_close_matches(name.removeprefix(PREFIX), ends, n=1)
            hint = f"; did you mean {ends[near[0]]}?" if near else ""
            self.problems.append(f"{name}: there is no such setting{hint}")
        if self.problems:
            raise SettingsError(self.problems)


def variables() -> dict[str, str]:
    """Those of the process's environment and, below it, `.env` in the working folder.

    Raises SettingsError.
    """
    try:
        lines = dotenv_values(".env", interpolate=False)
    except UnicodeDecodeError:
        raise SettingsError([".env: not UTF-8 text"]) from None
    from_file = {name: text for name, text in lines.items() if text is not None}
    return {**from_file, **os.environ}


def platform_url(environ: Mapping[str, str]) -> str:
    """The public address that a platform names, or nothing."""
    if url := environ.get(_PLATFORM_URL):
        return url.rstrip("/")
    return next((f"https://{environ[name]}" for name in _PLATFORM_HOSTS if environ.get(name)), "")
