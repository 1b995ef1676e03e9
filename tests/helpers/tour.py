"""A service with sample data, and a tour that opens every page of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from playwright.async_api import Route

from browser import BrowserSession
from endpoint_server import SECRET
from fake_gateways import (
    HOOK_SECRET,
    TELEGRAM_TOKEN,
    TWILIO_SENDER,
    TWILIO_SID,
    VOICE_TOKEN,
    WHATSAPP_NUMBER_ID,
    WHATSAPP_SECRET,
    WHATSAPP_TOKEN,
)
from referral.context import Context
from referral.core.channels import Channel
from referral.i18n import Languages
from referral.import_export import demo
from referral.openid import clients
from referral.storage.models import Event
from relying_party import CALLBACK, LOOPBACK, App, register
from rewards import Shop, open_shop
from sites import reachable
from support import Person, Service, context_of, new_phone, ok, wrong_code
from walks import ask_for_code, change, enter, shown_code, use_invite_code

OWN_PATHS = (
    *(
        "/me",
        "/me/account",
        "/me/account?change=name",
        "/me/invitees",
        "/me/sessions",
        "/me/phone",
        "/me/delete",
        "/me/rewards",
        "/again?next=/me",
    ),
)
ADMIN_PATHS = (
    *("/admin", "/admin/users", "/admin/users/{id}", "/admin/keys", "/admin/clients"),
    *("/admin/rewards", "/admin/rewards?status=all", "/admin/rules", "/admin/rules/{rule}"),
    "/admin/rewards/figures",
    *("/admin/look", "/admin/look/code?colors=dark"),
    *("/admin/webhooks", "/admin/webhooks/{event}", "/admin/webhooks?state=given_up"),
    *("/admin/delivery", "/admin/delivery?days=30"),
    *("/admin/audit", "/admin/audit?user={id}", "/admin/audit?action=user_blocked"),
    *("/admin/users?search=nobody", "/admin/users?order=most_invitees&from=2026-01-01"),
)
# With these a code page has a button for each channel. Nothing listens there, so all arrives by SMS
_NOWHERE = "api=http://127.0.0.1:9"
CHANNELS = {
    "REFERRAL_SMS_URL": f"hook+http://127.0.0.1:9/?secret={HOOK_SECRET}",
    "REFERRAL_TELEGRAM_URL": f"telegram+gateway://{TELEGRAM_TOKEN}?{_NOWHERE}",
    "REFERRAL_WHATSAPP_URL": (
        f"whatsapp+cloud://{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@{WHATSAPP_NUMBER_ID}/login_code"
        f"?languages=en,ru&{_NOWHERE}"
    ),
    "REFERRAL_VOICE_URL": f"twilio+voice://{TWILIO_SID}:{VOICE_TOKEN}@{TWILIO_SENDER}?{_NOWHERE}",
    "REFERRAL_CHANNELS_US": "telegram,sms",  # where the phone of the preview is from
    # A tour sends many codes to one phone
    "REFERRAL_COST_GUARD": "off",
    "REFERRAL_SENDS_PER_PHONE_HOUR": "20",
    "REFERRAL_SENDS_PER_PHONE_DAY": "20",
}
_INVITEES = 54  # of the administrator: more than one page of a list


@dataclass
class Sample:
    """A service with users, invitations, an audit trail and an administrator.

    phone, invite_code, id: of the administrator, who invited most of the users. app: on the
    person's own computer, so that a page asks before it goes on to it. rule: the name of a rule.
    event: the sequence of a webhook event, which waits because nothing listens at the endpoint.
    """

    service: Service
    site: str
    phone: str
    invite_code: str
    id: str
    app: App
    rule: str
    event: int


@asynccontextmanager
async def sample_service(
    database_url: str,
    languages: Languages | None = None,
    /,
    *,
    name: str = "Анна",
    **variables: str,
) -> AsyncIterator[Sample]:
    """Run a service whose users have the demo's unusual names. name: the administrator's."""
    variables = {
        "REFERRAL_SIGN_UP": "invited",
        "REFERRAL_WEBHOOK_URL": "http://127.0.0.1:9/",
        "REFERRAL_WEBHOOK_SECRET": SECRET,
        **CHANNELS,
        **variables,
    }
    async with reachable(database_url, languages, inbox=None, **variables) as (service, site):
        admin = await service.sign_in_admin()
        ok(await admin.call("PATCH", "/profile", json={"name": name, "email": "a@b.example.com"}))
        code = await admin.invite_code()
        second = await _join(service, code, demo.UNUSUAL_NAMES[0])
        ok(await admin.call("PATCH", f"/users/{second.id()}", json={"is_blocked": True}))
        ok(await admin.call("PATCH", f"/users/{second.id()}", json={"is_blocked": False}))
        second = await service.sign_in_again(second)
        for each in demo.UNUSUAL_NAMES:
            await _join(service, await second.invite_code(), each)
        for number in range(_INVITEES - 1):
            await _join(service, code, demo.UNUSUAL_NAMES[number % len(demo.UNUSUAL_NAMES)])
        service.clock.move(seconds=3)
        app = await register(service, name="\u05e7\u05e4\u05d4 7", redirect_uris=[LOOPBACK])
        await clients.rotate(context_of(service), app.client_id)
        await _deliver(context_of(service))
        async with open_shop(service) as shop:
            await _reward(shop, code)
            rule = f"purchase{shop.tag}"
            event = (await Event.filter(user_id=second.id()))[0].sequence
            yield Sample(service, site, admin.phone, code, admin.id(), app, rule, event)


async def _join(service: Service, invite_code: str, name: str) -> Person:
    person = await service.sign_in(invite_code=invite_code)
    ok(await person.call("PATCH", "/profile", json={"name": name}))
    return person


async def _deliver(ctx: Context) -> None:
    """Count messages of every channel two days ago, so that one list is empty and one is not."""
    at = ctx.clock() - timedelta(days=2)
    for channel in Channel:
        # A country with a long name
        for phone in (new_phone(), "+17845550100"):
            for _ in range(1200):
                ctx.deliveries.count_sent(phone, channel, at)
            ctx.deliveries.count_used(phone, channel, at, seconds=600)
    ctx.deliveries.count_delivered(new_phone(), Channel.TELEGRAM, at)
    await ctx.deliveries.save()


async def _reward(shop: Shop, invite_code: str) -> None:
    """Let an invitee of the administrator earn something of every status but one."""
    await shop.rule("joined", trigger="activated", occurs={"each": 100}, amount=5000)
    await shop.rule("visit", trigger="visit", occurs={"at": 3}, unit="RUB-kopecks")
    await shop.rule("purchase", amount=500, hold_days=14, cap_per_month=2500, min_value=1000)
    await shop.rule("review", trigger="review", review="all", until="2100-01-01T00:00:00Z")
    await shop.rule("call", trigger="call", amount=1_000_000_000)
    invitee = await shop.service.sign_in(invite_code=invite_code)
    for number in range(4):
        await shop.event(f"order-{number}", invitee, value=1000)
        await shop.event(f"={number}-review", invitee, type="review")
    await shop.event("call-1", invitee, type="call")
    await shop.reverse("order-0", reason="refund <b>")


async def tour(sample: Sample, session: BrowserSession) -> AsyncIterator[str]:
    """Open every page, and every form with an error; yield the name of each."""
    for part in (_begin_for_app, _sign_in, _own_pages, _administration, _sign_out):
        async for name in part(sample, session):
            yield name


async def short_tour(service: Service, session: BrowserSession) -> AsyncIterator[str]:
    """Open the pages that most people meet, as a new person who was invited."""
    inviter = await service.sign_in()
    for path in ("/", "/nowhere", f"/i/{await inviter.invite_code()}"):
        await session.go(path)
        yield path
    await ask_for_code(session, "12")
    yield "/ with an error"
    await ask_for_code(session, new_phone())
    yield "/code"
    code = await shown_code(session)
    await enter(session, wrong_code(code))
    yield "/code with an error"
    for channel in ("telegram", "whatsapp", "voice"):
        await session.submit(f"button[value={channel}]")
        yield f"/code by {channel}"
    await enter(session, await shown_code(session))
    for path in ("/me", "/me/sessions", "/me/phone", "/me/delete"):
        await session.go(path)
        yield path


async def _begin_for_app(sample: Sample, session: BrowserSession) -> AsyncIterator[str]:
    """Open what a person sees whom an app has sent here."""
    await session.go("/oauth/authorize")
    yield "/oauth/authorize without an app"
    for invite_code in ("", sample.invite_code, "ZZZZZZ"):
        await session.go(sample.app.url(invite_code=invite_code))
        yield f"/ for an app, with the invite code {invite_code}"
    await ask_for_code(session, new_phone())
    yield "/code for an app"
    await enter(session, await shown_code(session))
    yield "/code for an app, which asks for an invite code"
    await session.page.route("**/oauth/return?*", _without_refresh)
    await session.submit("a[href^='/oauth/return?']")
    yield "/oauth/return"
    # While there is a route, Chromium caches nothing
    await session.page.unroute_all()


async def _sign_in(sample: Sample, session: BrowserSession) -> AsyncIterator[str]:
    for path in ("/", f"/i/{sample.invite_code}", "/i/ZZZZZZ", "/nowhere", "/again"):
        await session.go(path)
        yield path
    await session.go("/")
    await ask_for_code(session, "12")
    yield "/ with an error"
    await ask_for_code(session, sample.phone)
    yield "/code"
    code = await shown_code(session)
    await enter(session, wrong_code(code))
    yield "/code with an error"
    await session.submit("#again")
    yield "/code with a notice"
    for channel in ("telegram", "whatsapp", "voice"):
        await session.submit(f"button[value={channel}]")
        yield f"/code by {channel}"
    await enter(session, await shown_code(session))


async def _own_pages(sample: Sample, session: BrowserSession) -> AsyncIterator[str]:
    for path in OWN_PATHS:
        assert (await session.go(path)).ok, _unregistered(path)
        yield path
    for invite_code in ("", sample.invite_code, "ZZZZZZ"):
        await session.go(sample.app.url(invite_code=invite_code))
        yield f"/oauth/continue with the invite code {invite_code}"
    await session.go("/me/invitees")
    await session.submit("a[rel=next]")
    yield "/me/invitees, further on"
    await use_invite_code(session, "ZZZZZZ")
    yield "/me/account with a wrong invite code"
    await change(session, "email", "a@b")
    yield "/me/account with a wrong email"
    await session.go("/me/phone")
    await ask_for_code(session, "12")
    yield "/me/phone with an error"
    await ask_for_code(session, new_phone())
    yield "/me/phone/code"


async def _administration(sample: Sample, session: BrowserSession) -> AsyncIterator[str]:
    for path in ADMIN_PATHS:
        address = path.format(id=sample.id, rule=sample.rule, event=sample.event)
        assert (await session.go(address)).ok, _unregistered(path)
        yield path
    await session.go("/admin?from=2026-03-02&to=2026-03-01")
    yield "/admin with an error"
    await session.go("/admin/clients")
    for uri in ("x", CALLBACK):
        await session.page.fill("input[name=name]", demo.UNUSUAL_NAMES[0])
        await session.page.fill("input[name=redirect_uri]", uri)
        await session.submit("form[action='/admin/clients'] button")
        yield f"/admin/clients with {uri}"
    for path in ("/admin/rules", f"/admin/rules/{sample.rule}"):
        await session.go(path)
        await session.page.fill("input[name=amount]", "0")
        await session.page.fill("input[name=hold_days]", "91")
        for name in ("name", "trigger", "unit"):
            if path == "/admin/rules":
                await session.page.fill(f"input[name={name}]", "first-purchase")
        await session.submit(f"form[action='{path}'] button.main")
        yield f"{path} with an error"
    await session.go("/admin/rewards")
    await session.submit("#approve-1")
    yield "/admin/rewards with a notice"
    for name in (f"shop {new_phone()}", *demo.UNUSUAL_NAMES[:2]):
        await session.go("/admin/keys")
        await session.page.fill("input[name=name]", name)
        await session.submit("form[action='/admin/keys'] button")
        yield "/admin/keys with a new one"
    sample.service.clock.move(minutes=16)
    await session.page.fill("input[name=name]", f"shop {new_phone()}")
    await session.submit("form[action='/admin/keys'] button")
    yield "/again"
    await session.submit("form[action^='/again?'] button")
    sample.service.clock.move(minutes=3)
    await session.page.reload()
    yield "/code, too late"
    await session.submit("#again")
    await enter(session, await shown_code(session))
    yield "/admin/keys with what was typed before the code"


async def _sign_out(_: Sample, session: BrowserSession) -> AsyncIterator[str]:
    await session.go("/oauth/logout")
    yield "/oauth/logout"
    form = session.page.locator("form[action^='/oauth/logout/finish']")
    await session.go(await form.get_attribute("action") or "")
    yield "/oauth/logout/finish"
    await session.submit("form[action^='/oauth/logout/finish'] button")
    yield "/oauth/logout/finish/done"


async def _without_refresh(route: Route) -> None:
    """Keep the browser on a page that goes on by itself."""
    response = await route.fetch()
    headers = {name: text for name, text in response.headers.items() if name != "refresh"}
    await route.fulfill(response=response, headers=headers)


def _unregistered(path: str) -> str:
    return f"{path} is no page: register its handler in http/pages/__init__.py"
