"""Roles of PostgreSQL with fewer privileges than the role of the other tests."""

from __future__ import annotations

from uuid import uuid4

import asyncpg


async def create_role(database_url: str, privileges: str, options: str = "") -> str:
    """Create a role with these privileges on all tables, and return the URL to connect as it."""
    role = f"role_{uuid4().hex}"
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"CREATE ROLE {role} LOGIN {options}")
        await connection.execute(f"GRANT {privileges} ON ALL TABLES IN SCHEMA public TO {role}")
        await connection.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    finally:
        await connection.close()
    return database_url.replace("//postgres:@", f"//{role}:@")
