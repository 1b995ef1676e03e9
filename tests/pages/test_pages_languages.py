"""The languages of pages over HTTP, and a team's own texts in them."""

from __future__ import annotations

from pathlib import Path

import pytest

import catalogues
from pages import ORIGIN, Browser
from referral import i18n
from referral.i18n import po
from support import new_phone, ok, running

# Markup, quotes and percent signs, each of which would break a page that took it for its own
WILD = "100% <script>alert(1)</script> \"'&amp; {x} %s"
PAGES = ("/", "/i/ZZZZZZ")

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.mark.parametrize("tag", [*catalogues.present(), "ar"])
async def test_a_page_names_its_language_and_direction(database_url: str, tag: str) -> None:
    async with running(database_url, None, catalogues.all_languages()) as service:
        page = await service.get("/", **{"Accept-Language": f"{tag}, xx;q=0.5"})
        direction = "rtl" if tag == "ar" else "ltr"
        assert f'<html lang="{tag}" dir="{direction}">' in page.text
        assert page.headers["Content-Language"] == tag
        for each in catalogues.all_languages():
            assert f'value="{each.tag}" lang="{each.tag}" dir="{each.direction}"' in page.text
            assert f">{each.name}</button>" in page.text
        discovery = ok(await service.get("/.well-known/openid-configuration"))
        assert discovery["ui_locales_supported"] == [
            each.tag for each in catalogues.all_languages()
        ]


async def test_a_chosen_language_with_a_region_is_kept(database_url: str) -> None:
    english = i18n.ours()["en"].plain
    brazilian = i18n.languages([(i18n.PREPARED[tag], english) for tag in ("en", "pt-BR")])
    async with running(database_url, None, brazilian) as service:
        for form, lang in (("pt-BR", "pt-BR"), ("xx", "pt-BR"), ("pt", "pt-BR"), ("en", "en")):
            response = await service.http.post(
                "/language", data={"language": form, "next": "/"}, headers={"Origin": ORIGIN}
            )
            assert response.status_code == 303
            page = await service.get("/", **{"Accept-Language": "en"})
            assert f'<html lang="{lang}"' in page.text


async def test_services_with_different_texts_run_in_one_process(
    database_url: str, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        file = tmp_path / name / "en" / "LC_MESSAGES" / "referral.po"
        file.parent.mkdir(parents=True)
        file.write_text(f'msgid "Language"\nmsgstr "{name}"\n', encoding="utf-8")
    for name in ("first", "second", "", "first"):
        variables = {"REFERRAL_LOCALES": str(tmp_path / name)} if name else {}
        async with running(database_url, inbox=None, **variables) as service:
            assert f'aria-label="{name or "Language"}"' in (await service.get("/")).text


async def test_no_text_of_a_team_becomes_markup(database_url: str, tmp_path: Path) -> None:
    """Each text of ours without placeholders and tags is replaced, in templates and in Python."""
    file = tmp_path / "en" / "LC_MESSAGES" / "referral.po"
    file.parent.mkdir(parents=True)
    escaped = WILD.replace("\\", "\\\\").replace('"', '\\"')
    plain = [
        each.msgid
        for each in po.parse(catalogues.path(i18n.PREPARED["en"], "po").read_text("utf-8"))
        if each.msgid and each.plural is None and not set('%<{"\\') & set(each.msgid)
    ]
    file.write_text(
        "".join(f'msgid "{msgid}"\nmsgstr "{escaped}"\n' for msgid in plain), encoding="utf-8"
    )
    async with running(database_url, REFERRAL_LOCALES=str(tmp_path)) as service:
        found = [(await service.get(path)).text for path in PAGES]
        browser = Browser(service.http, new_phone())
        found.append((await browser.get(await browser.submit("/", phone="12"))).text)
        await browser.sign_in()
        found += [(await service.get(path)).text for path in ("/me", "/me/delete", "/me/sessions")]
    for page in found:
        assert "<script>alert" not in page
        assert "100% &lt;script&gt;alert(1)&lt;/script&gt; &#34;&#39;&amp;amp; {x} %s" in page
