"""The secret of development, where nobody has set one."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from referral.core.keys import MIN_SECRET_BYTES
from referral.settings.reader import SettingsError
from referral.storage.configuration import sqlite_file


def load_or_create(database_url: str) -> bytes:
    """The secret that development keeps in a file, made at the first start.

    Raises SettingsError.
    """
    path = _file(database_url)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        # Written first and named then: of several processes that start at once, one names its
        # file, and all read a whole one
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(MIN_SECRET_BYTES))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    except FileNotFoundError:
        raise SettingsError([f"DATABASE_URL: there is no folder {path.parent}"]) from None
    except OSError as error:
        raise SettingsError([f"cannot keep a secret in {path}: {error.strerror}"]) from None
    secret = path.read_bytes()
    if len(secret) < MIN_SECRET_BYTES:
        raise SettingsError([f"{path} holds no secret: delete it, and a new one is made"])
    return secret


def _file(database_url: str) -> Path:
    """Beside the SQLite file, else in the working folder."""
    return Path((sqlite_file(database_url) or "referral") + ".secret")
