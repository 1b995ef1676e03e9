"""Files that administrators download."""

from __future__ import annotations

from collections.abc import AsyncIterator

from litestar.response import Stream

CSV = "text/csv"


async def csv_file(name: str, chunks: AsyncIterator[str]) -> Stream:
    """Respond with a CSV file, chunk by chunk, so that a long list takes no more memory.

    The first chunk is read before the response begins, so that wrong parameters are still refused.
    """
    first = await anext(chunks)

    async def text() -> AsyncIterator[str]:
        yield first
        async for chunk in chunks:
            yield chunk

    return Stream(text(), media_type=CSV, headers=attachment(name))


def attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
