"""The team's look: logo, favicon, accent colour, links, and the previews of them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from html import unescape
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from browser import DESKTOP, NARROW, accessibility_violations, new_session
from pages import ORIGIN, browsing, found
from referral import i18n
from referral.core import colour
from sites import plain, reachable
from support import Service, ok, running
from walks import sign_in

# Nothing here depends on the kind of database
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

DRAWING = '<rect width="{width}" height="{height}" fill="{fill}"/>'
SCRIPT = "<script>document.documentElement.setAttribute('fill', 'red')</script>"
PREVIEWS = ("sign-in", "code", "invitation", "profile", "error")
LINKS = {
    "REFERRAL_SUPPORT_URL": "https://coffee.example/help",
    "REFERRAL_APP_URL": "https://coffee.example/app",
}
SUPPORT = 'href="https://coffee.example/help"'
APP = 'href="https://coffee.example/app"'


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The settings of a logo that is 8 times as wide as high, one half as wide, and an icon."""
    shapes = {
        "REFERRAL_LOGO": (160, 20, "#0b6e4f"),
        "REFERRAL_LOGO_DARK": (20, 40, "#78cba8"),
        "REFERRAL_FAVICON": (16, 16, "#0b6e4f"),
    }
    for name, (width, height, fill) in shapes.items():
        drawing = DRAWING.format(width=width, height=height, fill=fill)
        (tmp_path / name).write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f"onload=\"this.setAttribute('fill', 'red')\">{drawing}{SCRIPT}</svg>"
        )
    return {name: str(tmp_path / name) for name in shapes}


@asynccontextmanager
async def administering(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(service) as browser:
        browser.http.headers["Origin"] = ORIGIN
        browser.http.cookies.set("access", (await service.sign_in_admin()).tokens["access_token"])
        yield browser.http


async def see(http: httpx.AsyncClient, path: str, status: int = 200) -> str:
    response = await http.get(path)
    assert response.status_code == status, response.text
    # The policy allows no inlined style but the one on the page
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    style = found(r"<style>(.*)</style>", response.text)
    digest = b64encode(sha256(unescape(style).encode()).digest()).decode()
    assert f"'sha256-{digest}'" in found(r"style-src ([^;]*);", policy).split()
    return response.text


class TestFiles:
    async def test_logo_and_icon_are_on_every_page(
        self, database_url: str, files: dict[str, str]
    ) -> None:
        """At the same origin, with the size in which they are shown, and the name as text."""
        named = {"REFERRAL_APP_NAME": 'A "quoted" <name>'}
        async with (
            running(database_url, inbox=None, **named, **files) as service,
            plain(ORIGIN, service) as it,
        ):
            for path, status in (("/", 200), ("/nowhere", 404), ("/docs", 200), ("/docs/try", 200)):
                page = await see(it, path, status)
                assert ":root{--accent:#" in page
                assert re.search(r'<link rel="icon" href="/static/favicon\.svg\?v=\w{8}"', page)
                image_tag = found(r"(<img [^>]*>)", page)
                assert 'alt="A &#34;quoted&#34; &lt;name&gt;"' in image_tag
                assert 'width="208" height="26"' in image_tag
                assert "on-plate" not in image_tag
                source = found(r"(<source [^>]*>)", page)
                assert 'media="(prefers-color-scheme:dark)" width="28" height="57"' in source

    async def test_without_files_the_name_is_shown(self, service: Service) -> None:
        async with plain(ORIGIN, service) as http:
            page = await see(http, "/")
        assert re.search(r'<a class="brand" href="/">\s*<bdi>Referral</bdi>\s*</a>', page)
        assert "<img" not in page

    async def test_one_logo_stands_on_a_light_plate_in_the_dark(
        self, database_url: str, files: dict[str, str]
    ) -> None:
        one = {"REFERRAL_LOGO": files["REFERRAL_LOGO"]}
        async with (
            running(database_url, inbox=None, **one) as service,
            plain(ORIGIN, service) as http,
        ):
            page = await see(http, "/")
        assert 'class="logo on-plate"' in page
        assert "<source" not in page

    async def test_files_are_cached_and_run_no_script(
        self, database_url: str, files: dict[str, str]
    ) -> None:
        async with (
            running(database_url, inbox=None, **files) as service,
            plain(ORIGIN, service) as http,
        ):
            urls = re.findall(r'"(/static/\w+\.svg\?v=\w+)"', (await http.get("/")).text)
            assert len(urls) == len(set(urls)) == 3
            for url in urls:
                response = await http.get(url)
                assert SCRIPT in response.text
                assert response.headers["content-type"].startswith("image/svg+xml")
                cached = set(response.headers["cache-control"].split(", "))
                assert cached == {"public", "max-age=31536000", "immutable"}
                assert response.headers["x-content-type-options"] == "nosniff"
                policy = response.headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; ")
                assert "script-src" not in policy
                assert policy.endswith("; sandbox")
                assert (await http.get(url[:-1])).status_code == 404

    async def test_our_own_icon_has_the_accent_colour(self, database_url: str) -> None:
        green = {"REFERRAL_ACCENT": "#0b6e4f"}
        async with (
            running(database_url, inbox=None, **green) as service,
            plain(ORIGIN, service) as http,
        ):
            url = found(r'<link rel="icon" href="([^"]+)"', await see(http, "/"))
            icon = await http.get(url)
        assert 'fill="#0b6e4f"' in icon.text
        assert colour.DEFAULT.light.accent not in icon.text

    async def test_a_script_in_an_svg_does_not_run(
        self, chromium: Browser, database_url: str, files: dict[str, str]
    ) -> None:
        """Neither in the header, nor if the file is opened as a page."""
        async with (
            reachable(database_url, inbox=None, **files) as (_, site),
            new_session(chromium, site, device=NARROW) as session,
        ):
            await session.go("/")
            logo = session.page.locator(".brand img")
            assert await logo.evaluate("(it) => it.complete && it.naturalWidth > 0")
            assert not await session.scrolls_sideways()
            assert not await session.layout_shifts()
            assert await session.page.get_by_role("link", name="Referral", exact=True).count()
            source = await logo.get_attribute("src") or ""
            await session.go(source)
            root = session.page.locator("svg")
            assert await root.get_attribute("viewBox") == "0 0 160 20"
            assert await root.get_attribute("fill") is None
            # The browser says that it blocked both scripts
            assert len(session.complaints) == 2
            assert all("script" in each for each in session.complaints)
            session.complaints.clear()


class TestAccent:
    async def test_pages_have_the_derived_colours(self, database_url: str) -> None:
        green = {"REFERRAL_ACCENT": "#0B6E4F"}
        async with (
            running(database_url, inbox=None, **green) as service,
            plain(ORIGIN, service) as http,
        ):
            page = await see(http, "/")
        palette = colour.palette("#0b6e4f")
        for colours in (palette.light, palette.dark):
            assert f"--accent:{colours.accent};--on-accent:{colours.on_accent};" in page
            assert f"--tint:{colours.tint};--bars:{colours.bars}" in page

    async def test_another_service_of_the_process_keeps_its_own(self, database_url: str) -> None:
        for accent in ("#0b6e4f", "#3454d1"):
            given = {"REFERRAL_ACCENT": accent}
            async with (
                running(database_url, inbox=None, **given) as service,
                plain(ORIGIN, service) as http,
            ):
                assert f"--accent:{accent}" in await see(http, "/")


class TestLinks:
    async def test_support_is_shown_where_only_it_can_help(self, database_url: str) -> None:
        async with (
            running(database_url, inbox=None, **LINKS) as service,
            plain(ORIGIN, service) as http,
        ):
            blocked, admin = await service.sign_in(), await service.sign_in_admin()
            ok(await admin.call("PATCH", f"/users/{blocked.id()}", json={"is_blocked": True}))
            service.clock.move(seconds=3)  # the wait between two codes for a phone
            asked = await http.post("/", data={"phone": blocked.phone})
            assert SUPPORT not in asked.text
            code = service.inbox.messages[-1].code or ""
            refused = await http.post("/code", data={"code": code})
            assert "This account is blocked." in refused.text
            assert SUPPORT in refused.text
            assert SUPPORT not in await see(http, "/nowhere", 404)
            assert SUPPORT not in await see(http, "/")

    async def test_support_is_shown_while_nobody_can_join(self, database_url: str) -> None:
        closed = {**LINKS, "REFERRAL_SIGN_UP": "closed"}
        async with (
            running(database_url, inbox=None, **closed) as service,
            plain(ORIGIN, service) as http,
        ):
            assert SUPPORT in await see(http, "/")

    async def test_no_link_without_an_address(self, database_url: str) -> None:
        closed = {"REFERRAL_SIGN_UP": "closed"}
        async with (
            running(database_url, inbox=None, **closed) as service,
            plain(ORIGIN, service) as http,
        ):
            for path, status in (("/", 200), ("/nowhere", 404), ("/oauth/logout", 200)):
                page = await see(http, path, status)
                assert "support" not in page.partition("<main")[2]
                assert "Open Referral" not in page

    async def test_the_app_is_linked_where_a_way_ends(self, database_url: str) -> None:
        async with (
            running(database_url, inbox=None, **LINKS) as service,
            plain(ORIGIN, service) as http,
        ):
            for path, status in (("/nowhere", 404), ("/oauth/logout", 200)):
                page = await see(http, path, status)
                assert APP in page
                assert "Open <bdi>Referral</bdi>" in page


class TestPreviews:
    @pytest.mark.parametrize("path", ["/admin/look", "/admin/look/code?language=en&colors=dark"])
    async def test_only_administrators_see_them(self, service: Service, path: str) -> None:
        async with plain(ORIGIN, service) as http:
            http.cookies.set("access", (await service.sign_in()).tokens["access_token"])
            await see(http, path, 403)

    async def test_every_page_in_every_language_and_mode(self, service: Service) -> None:
        """No script runs in them, no form is sent, and only our own pages may frame them."""
        async with administering(service) as http:
            for name in PREVIEWS:
                for language in i18n.LANGUAGES:
                    for colors in ("light", "dark"):
                        url = f"/admin/look/{name}?language={language}&colors={colors}"
                        response = await http.get(url)
                        page = await see(http, url)
                        assert f'<html lang="{language}"' in page
                        assert f'content="{colors}">' in page
                        assert f"color-scheme:{colors};" in page
                        assert "prefers-color-scheme" not in page
                        assert "<body inert>" in page
                        assert "<script" not in page
                        assert " autofocus" not in page
                        policy = response.headers["content-security-policy"]
                        assert policy.startswith("default-src 'none'; ")
                        assert policy.endswith("; form-action 'none'; frame-ancestors 'self'")
                        assert "script-src" not in policy
                        assert response.headers["cache-control"] == "no-store"
                        assert "set-cookie" not in response.headers

    async def test_the_page_links_to_each(self, service: Service) -> None:
        async with administering(service) as http:
            for name in PREVIEWS:
                response = await http.get(f"/admin/look?page={name}&language=ru")
                assert "; frame-src 'self'" in response.headers["content-security-policy"]
                page = unescape(response.text)
                for colors in ("light", "dark"):
                    url = f"/admin/look/{name}?language=ru&colors={colors}"
                    assert f'<iframe class="{colors}" src="{url}"' in page
                for other in PREVIEWS:
                    assert f'href="/admin/look?page={other}&language=ru"' in page
                for language in i18n.LANGUAGES:
                    assert f'href="/admin/look?page={name}&language={language}"' in page

    @pytest.mark.parametrize(
        "path",
        [
            "/admin/look/nothing?language=en",
            "/admin/look/code?language=en&colors=blue",
        ],
    )
    async def test_there_are_no_others(self, service: Service, path: str) -> None:
        async with administering(service) as http:
            await see(http, path, 404)

    async def test_unknown_names_show_the_first_page(self, service: Service) -> None:
        async with administering(service) as http:
            page = unescape(await see(http, "/admin/look?page=x&language=y"))
        assert 'src="/admin/look/sign-in?language=en&colors=light"' in page

    async def test_it_says_what_is_set(self, database_url: str, files: dict[str, str]) -> None:
        given = {**LINKS, **files, "REFERRAL_ACCENT": "#0b6e4f", "REFERRAL_OFFER_RU": "Кофе"}
        async with (
            running(database_url, inbox=None, **given) as service,
            administering(service) as http,
        ):
            page = re.sub(r"\s+", " ", await see(http, "/admin/look?language=ru"))
            assert page.count("SVG, 1 KB") == 3
            assert "<bdi>Кофе</bdi>" in page
            assert "<b>5.8:1</b>" in page
            assert "<code>#0b6e4f</code> on <code>#f7f7f5</code>" in page
            assert page.count(": no link is shown") == 2  # terms and privacy
            assert "Кофе" not in await see(http, "/admin/look?language=en")

    async def test_in_a_browser(
        self, chromium: Browser, database_url: str, files: dict[str, str]
    ) -> None:
        """Both frames show the page in their own colours, and a click in them does nothing."""
        given = {**files, "REFERRAL_ACCENT": "#0b0b2a"}
        async with (
            reachable(database_url, inbox=None, **given) as (service, site),
            new_session(chromium, site, device=DESKTOP) as session,
        ):
            await sign_in(session, (await service.sign_in_admin()).phone)
            await session.go("/admin/look?page=sign-in")
            for colors, paper in (("light", "rgb(247, 247, 245)"), ("dark", "rgb(20, 22, 27)")):
                frame = session.page.locator(f"iframe.{colors}")
                await frame.scroll_into_view_if_needed()
                seen = await frame.evaluate(_SEEN)
                assert seen["paper"] == paper
                assert ("logo_dark" in seen["logo"]) == (colors == "dark")
                await session.page.mouse.click(seen["x"], seen["y"])
            assert session.path() == "/admin/look?page=sign-in"
            assert [frame.url for frame in session.page.frames[1:]] == [
                f"{site}/admin/look/sign-in?language=en&colors={each}" for each in ("light", "dark")
            ]
            assert not await accessibility_violations(session.page)


# What a frame shows, and where its button is. Seen from outside, because no script runs inside
_SEEN = """(frame) => {
    const inside = frame.contentDocument, outer = frame.getBoundingClientRect();
    const box = inside.querySelector("main button.main").getBoundingClientRect();
    return {
        paper: getComputedStyle(inside.body).backgroundColor,
        logo: inside.querySelector(".brand img").currentSrc,
        x: outer.x + box.x + box.width / 2,
        y: outer.y + box.y + box.height / 2,
    };
}"""
