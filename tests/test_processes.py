"""The service with several worker processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from processes import serving
from support import Clock, Inbox, Service, new_phone


async def test_parallel_right_answers_sign_in_once_over_four_workers(
    database_url: str, tmp_path: Path
) -> None:
    with serving(tmp_path, DATABASE_URL=database_url, WEB_CONCURRENCY="4") as server:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=server.url, timeout=30, limits=limits) as http:
            service = Service(http, Clock(), Inbox())
            sent = await service.send_code(new_phone())
            responses = await asyncio.gather(*(service.verify(sent) for _ in range(50)))
    assert sum(response.is_success for response in responses) == 1
    assert {response.status_code for response in responses} <= {201, 400, 429}
