"""What the framework and the drivers cost by themselves: the floors the service is held against."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from litestar import Litestar, get
from tortoise import Tortoise, fields
from tortoise.models import Model

DATABASE = os.environ["DATABASE_URL"]
CONNECTIONS = 10
COLUMNS = ("phone", "name", "email", "invite_code", "invitee_count", "created_at")
ONE_ROW = f"SELECT {', '.join(COLUMNS)} FROM users WHERE id = $1"  # noqa: S608 - our own names


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """Without the reset query at every release, as the service has it: a higher floor."""

    def get_reset_query(self) -> str:
        return ""


class User(Model):
    id = fields.UUIDField(primary_key=True)
    phone = fields.CharField(max_length=16)
    name = fields.CharField(max_length=100, null=True)
    email = fields.CharField(max_length=254, null=True)
    invite_code = fields.CharField(max_length=6)
    invitee_count = fields.IntField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "users"


@asynccontextmanager
async def connected(app: Litestar) -> AsyncIterator[None]:
    await Tortoise.init(
        config={
            "connections": {
                "postgres": {
                    "engine": "tortoise.backends.asyncpg",
                    "credentials": {
                        "host": os.environ["SOCKET_FOLDER"],
                        "port": 5432,
                        "user": "postgres",
                        "password": "",
                        "database": os.environ["DATABASE"],
                        "maxsize": CONNECTIONS,
                    },
                }
            },
            "apps": {"floors": {"models": [__name__], "default_connection": "postgres"}},
        },
        _enable_global_fallback=True,
    )
    app.state.pool = await asyncpg.create_pool(
        DATABASE, min_size=CONNECTIONS, max_size=CONNECTIONS, connection_class=Connection
    )
    yield
    await app.state.pool.close()
    await Tortoise.close_connections()


@get("/health/ready", sync_to_thread=False)
def ready() -> dict[str, str]:
    return {"status": "ok"}


@get("/bare")
async def bare() -> dict[str, str]:
    return {"status": "ok"}


@get("/row/{user_id:uuid}")
async def row(user_id: UUID) -> dict[str, Any]:
    return dict(await app.state.pool.fetchrow(ONE_ROW, user_id))


@get("/model/{user_id:uuid}")
async def model(user_id: UUID) -> dict[str, Any]:
    user = await User.get(id=user_id)
    return {column: getattr(user, column) for column in COLUMNS}


app = Litestar(
    [ready, bare, row, model], lifespan=[connected], openapi_config=None, logging_config=None
)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
