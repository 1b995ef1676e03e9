"""The secret of a development installation that sets none."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from referral.core.keys import MIN_SECRET_BYTES
from referral.settings.reader import SettingsError
from referral.storage.configuration import sqlite_file


def load_or_create(database_url: str) -> bytes:
    """Return the secret from the file beside the database; create the file if it is missing.

    Raises SettingsError if the file cannot be written or is too short.
    """
    path = _secret_path(database_url)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        # Write a draft, then link it to the file's name: if several processes start at the same
        # time, the first link wins, and none of them reads a file that is half written
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(MIN_SECRET_BYTES))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    except FileNotFoundError:
        problem = f"DATABASE_URL: there is no folder {path.parent}; create it"
        raise SettingsError([problem]) from None
    except OSError as error:
        problem = f"cannot store a secret in {path}: {error.strerror}; set REFERRAL_SECRET"
        raise SettingsError([problem]) from None
    secret = path.read_bytes()
    if len(secret) < MIN_SECRET_BYTES:
        raise SettingsError([f"{path} holds no secret; delete it, and a new one is made"])
    return secret


def _secret_path(database_url: str) -> Path:
    """Return a path beside the SQLite file, or in the working folder if there is none."""
    return Path((sqlite_file(database_url) or "referral") + ".secret")
