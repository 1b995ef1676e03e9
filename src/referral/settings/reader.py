"""Load variables, and read them one by one while collecting every problem."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from dotenv import dotenv_values

T = TypeVar("T")

PREFIX = "REFERRAL_"
# Kubernetes sets variables with these prefixes for a Service that is called `referral`
_KUBERNETES_PREFIXES = ("REFERRAL_SERVICE_", "REFERRAL_PORT")

# Variables that hold the address, or the host name, under which a platform publishes an app
_PLATFORM_URL = "RENDER_EXTERNAL_URL"
_PLATFORM_HOSTS = (
    "RAILWAY_PUBLIC_DOMAIN",
    "KOYEB_PUBLIC_DOMAIN",
    "HEROKU_APP_DEFAULT_DOMAIN_NAME",
)


class SettingsError(Exception):
    """Some settings are missing or wrong. `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Reader:
    """Reads variables one by one and collects the problems with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.known: set[str] = set()
        self.allowed: set[str] = set()
        """Names of a pattern, which are read only if they are set."""
        self.advice: dict[tuple[str, ...], str] = {}
        """What to say about an unknown name that starts with one of these."""
        self.problems: list[str] = []

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Return the parsed value, or the default if the variable is not set or wrong.

        `parse` raises ValueError with the problem, which must not repeat anything secret.
        """
        self.known.add(name)
        if name not in self._environ:
            return default
        try:
            return parse(self._environ[name])
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return default

    def is_set(self, name: str) -> bool:
        return name in self._environ

    def finish(self, names: Iterable[str]) -> None:
        """Raise SettingsError if there are problems; unknown `names` with our prefix are some."""
        unknown = sorted(
            name
            for name in names
            if name.startswith(PREFIX)
            and not name.startswith(_KUBERNETES_PREFIXES)
            and name not in self.known | self.allowed
        )
        known_by_suffix = {known.removeprefix(PREFIX): known for known in self.known}
        for name in unknown:
            advice = self._advice(name, known_by_suffix)
            self.problems.append(f"{name}: there is no such setting; {advice}")
        if self.problems:
            raise SettingsError(self.problems)

    def _advice(self, name: str, known_by_suffix: Mapping[str, str]) -> str:
        for prefixes, advice in self.advice.items():
            if name.startswith(prefixes):
                return advice
        similar = get_close_matches(name.removeprefix(PREFIX), known_by_suffix, n=1)
        if similar:
            return f"did you mean {known_by_suffix[similar[0]]}?"
        return "correct its name or remove it"


def or_exit(read: Callable[[], T]) -> T:
    """Return what `read` returns. If it raises SettingsError, print the problems and exit."""
    try:
        return read()
    except SettingsError as error:
        raise SystemExit("\n".join(f"referral: {problem}" for problem in error.problems)) from None


def load_variables() -> dict[str, str]:
    """Load the environment's variables, and those of `.env` in the working folder.

    The environment wins. Raises SettingsError if the file is not UTF-8.
    """
    try:
        lines = dotenv_values(".env", interpolate=False)
    except UnicodeDecodeError:
        raise SettingsError([".env: save the file as UTF-8"]) from None
    from_file = {name: text for name, text in lines.items() if text is not None}
    return {**from_file, **os.environ}


def platform_url(environ: Mapping[str, str]) -> str:
    """Return the public URL from the hosting platform's variables, or an empty string."""
    if url := environ.get(_PLATFORM_URL):
        return url.rstrip("/")
    return next((f"https://{environ[name]}" for name in _PLATFORM_HOSTS if environ.get(name)), "")
