"""The download of all data about the signed-in user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import msgspec
from litestar import get
from litestar.response import Stream

from referral.context import Context
from referral.http.pages import browser_session
from referral.http.requests import JSON, StrictRequest, context
from referral.service import invitations, profiles, sessions
from referral.service.access import Authenticated
from referral.service.invitations import InviteePage
from referral.service.profiles import Profile
from referral.service.sessions import SessionPage

_PAGE_SIZE = 500

_encode = msgspec.json.encode


@get("/me/data.json", guards=[browser_session.signed_in], include_in_schema=False)
async def download(request: StrictRequest) -> Stream:
    """Stream the profile, all invitees and all sessions, each as the API returns it."""
    ctx = context(request)
    profile = await profiles.get(ctx, request.user.user.id)
    return Stream(
        _chunks(ctx, request.user, profile),
        media_type=JSON,
        headers={"Content-Disposition": 'attachment; filename="my-data.json"'},
    )


async def _chunks(ctx: Context, signed_in: Authenticated, profile: Profile) -> AsyncIterator[bytes]:
    """Read one page at a time, so that a long list takes no more memory than a short one."""
    own = msgspec.to_builtins(profile)
    del own["invitees"]  # only the newest; all of them follow
    yield b'{"profile":' + _encode(own) + b',"invitees":['
    async for chunk in _items(partial(invitations.page, ctx, signed_in)):
        yield chunk
    yield b'],"sessions":['
    async for chunk in _items(partial(sessions.page, ctx, signed_in)):
        yield chunk
    yield b"]}\n"


async def _items(
    read_page: Callable[..., Awaitable[InviteePage | SessionPage]],
) -> AsyncIterator[bytes]:
    cursor, comma = None, b""
    while True:
        page = await read_page(cursor=cursor, limit=_PAGE_SIZE)
        if page.items:
            yield comma + b",".join(map(_encode, page.items))
            comma = b","
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
