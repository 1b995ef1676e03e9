"""The pages /admin/rewards and /admin/rules."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from pages import (
    ORIGIN,
    Browser,
    browsing,
    error_of,
    found,
    notice_on,
    reasons_on,
    reauthenticate,
    signed_in,
    value_of,
)
from referral.http.pages.admin import reward_figures
from referral.storage.models import Activation
from rewards import Shop, open_shop
from support import Person, Service, ok

REWARDS, RULES = "/admin/rewards", "/admin/rules"
FORM = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[Shop]:
    async with open_shop(service) as shop:
        yield shop


def plain(page: str) -> str:
    """Return the text of a page without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


async def in_review(shop: Shop, **fields: Any) -> tuple[Person, Person, str]:
    """Make an entry in review; return the inviter, the invitee and its id."""
    await shop.rule(**{"review": "all", **fields})
    inviter, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    return inviter, invitee, entry["id"]


async def test_the_queue_shows_what_waits(shop: Shop, admin: Browser) -> None:
    """The facts about an entry: its beneficiary, amount, invitee, rule and event."""
    inviter, invitee, entry_id = await in_review(shop, hold_days=14)
    await shop.rule("paid", trigger="paid")
    await shop.event("paid-1", invitee, type="paid")
    page = await admin.see(f"{REWARDS}?unit=points{shop.tag}")
    entry = found(r'<ul class="rows" id="entries">(.*?)</ul>', page)
    assert entry.count("<li>") == 1
    assert f"/admin/users/{inviter.id()}" in entry
    assert f"/admin/users/{invitee.id()}" in entry
    text = plain(entry).replace(shop.tag, "")
    assert "+100 points for" in text
    assert "waits for a decision · by the rule purchase · about" in text
    assert "order-1 ·" in text
    assert entry_id in entry
    everything = await admin.see(f"{REWARDS}?status=all&unit=points{shop.tag}")
    assert everything.count("/approve?") == 1
    assert "by the rule paid" in plain(everything)


async def test_a_reviewer_approves_and_rejects(shop: Shop, admin: Browser) -> None:
    """The list stays as it was filtered. A second decision changes nothing and is told."""
    inviter, invitee, first = await in_review(shop)
    (entry,) = await shop.event("order-2", invitee)
    query = f"status=in_review&unit=points{shop.tag}"
    page = await admin.see(f"{REWARDS}?{query}")
    asking = re.findall(r'<details class="ask">.*?action="([^"]+)".*?</details>', page, re.DOTALL)
    assert len([each for each in asking if "/reject?" in each]) == 2
    assert f'action="{REWARDS}/{first}/approve?{query}"' in page
    where = await admin.submit(f"{REWARDS}/{first}/approve?{query}")
    assert where == f"{REWARDS}?{query}"
    page = await admin.see(where)
    assert notice_on(page) == "The reward is approved."
    assert first not in page
    page = await admin.submit_and_see(f"{REWARDS}/{entry['id']}/reject?{query}")
    assert notice_on(page) == "The reward is rejected."
    assert "Nothing waits for a decision." in page
    assert await shop.balance(inviter) == (100, 0)
    page = await admin.submit_and_see(f"{REWARDS}/{first}/reject?{query}")
    assert notice_on(page) == "Nothing is changed: this was already decided or taken back."
    assert await shop.balance(inviter) == (100, 0)
    trail = await admin.see("/admin/audit")
    assert "<b>reward approved</b>" in trail
    assert "<b>reward rejected</b>" in trail


async def test_decisions_need_a_fresh_sign_in(shop: Shop, admin: Browser) -> None:
    _, _, entry_id = await in_review(shop)
    shop.service.clock.move(minutes=16)
    for action in ("approve", "reject"):
        where = await admin.submit(f"{REWARDS}/{entry_id}/{action}?status=all")
        assert where.startswith(f"/again?next={REWARDS}%3Fstatus%3Dall%26draft%3D")
    reject = f"{REWARDS}/{entry_id}/reject"
    where = await admin.submit(f"{reject}?status=all", reason="One person")
    page = await admin.see(await reauthenticate(admin, where))
    assert reasons_on(page) == {reject: "One person"}
    assert (await shop.call("POST", f"/rewards/{entry_id}/approve")).status_code == 200


async def test_decisions_are_for_administrators_only(shop: Shop, admin: Browser) -> None:
    _, _, entry_id = await in_review(shop)
    path = f"{REWARDS}/{entry_id}/approve"
    async with signed_in(shop.service) as browser:
        assert (await browser.http.post(path, headers=FORM)).status_code == 403
    response = await admin.http.post(path, headers={"Origin": "https://evil.example"})
    assert response.status_code == 403
    for unknown in (f"{REWARDS}/{entry_id}/bless", f"{REWARDS}/x/approve"):
        assert (await admin.http.post(unknown, headers=FORM)).status_code == 404
    for bad in ("status=x", "unit=1", "cursor=x"):
        assert (await admin.get(f"{REWARDS}?{bad}")).status_code == 400


async def test_entries_are_filtered_and_paginated(shop: Shop, admin: Browser) -> None:
    await shop.rule(amount=1)
    inviter, invitee = await shop.invite()
    for number in range(31):
        await shop.event(f"order-{number}", invitee)
    query = f"status=available&unit=points{shop.tag}"
    page = await admin.see(f"{REWARDS}?{query}")
    assert page.count('<bdi dir="ltr">+1</bdi>') == 30
    older = found(r'rel="next" href="([^"]+)"', page)
    assert older.startswith(f"{REWARDS}?{query}&cursor=")
    assert (await admin.see(older)).count('<bdi dir="ltr">+1</bdi>') == 1
    own = await admin.see(f"{REWARDS}?status=all&user={inviter.id()}")
    assert "Only those of" in own
    assert own.count('<bdi dir="ltr">+1</bdi>') == 30
    assert "There are no entries." in await admin.see(f"{REWARDS}?status=all&user={invitee.id()}")


async def test_the_page_of_a_user_shows_balances(shop: Shop, admin: Browser) -> None:
    """With a link to the entries."""
    await shop.rule()
    await shop.rule("held", trigger="visit", hold_days=14, amount=5)
    inviter, invitee = await shop.invite()
    await shop.event("order-1", invitee)
    await shop.event("visit-1", invitee, type="visit")
    page = await admin.see(f"/admin/users/{inviter.id()}")
    text = plain(page).replace(shop.tag, "")
    assert "100 points available · 5 on hold" in text
    assert f'href="{REWARDS}?status=all&user={inviter.id()}"' in page


async def test_flags_are_shown_in_words(shop: Shop, admin: Browser) -> None:
    await shop.rule(review="all")
    _, invitee = await shop.invite()
    await Activation.filter(user_id=invitee.id()).update(flags="burst same_device")
    await shop.event("order-1", invitee)
    page = plain(await admin.see(f"{REWARDS}?unit=points{shop.tag}"))
    assert "many invited in an hour same browser as the inviter" in page


def typed(shop: Shop, **fields: str) -> dict[str, str]:
    """Return a filled-in form for a rule. The shop deletes it at the end."""
    shop.rules.add(fields.get("name", "first"))
    return {
        "trigger": "purchase",
        "beneficiary": "inviter",
        "unit": f"points{shop.tag}",
        "amount": "500",
        **fields,
        "name": fields.get("name", "first") + shop.tag,
    }


async def rule_of(shop: Shop, name: str = "first") -> dict[str, Any]:
    """Return a rule as the API does, with the tests' tag."""
    rules: list[dict[str, Any]] = ok(await shop.key.call("GET", "/reward-rules"))["items"]
    return next(each for each in rules if each["name"] == name + shop.tag)


async def test_a_rule_with_the_defaults(shop: Shop, admin: Browser) -> None:
    """They are those of the API."""
    page = await admin.submit_and_see(RULES, **typed(shop))
    assert notice_on(page).startswith("The rule is made.")
    made = await rule_of(shop)
    await shop.rule("second", amount=500)
    second = await rule_of(shop, "second")
    for each in (made, second):
        del each["name"], each["from"], each["trigger"]
    assert made == second


async def test_a_rule_with_every_choice(shop: Shop, admin: Browser) -> None:
    """The list says it in words."""
    page = await admin.submit_and_see(
        RULES,
        **typed(shop, amount="1 500", occurs="at", invitees="3"),
        hold_days="14",
        cap_per_month="2500",
        cap_total="10000",
        min_value="0",
        review="flagged",
        **{"from": "2026-01-31T12:00", "until": "2030-01-31T12:00:30Z"},
    )
    rule = await rule_of(shop)
    assert (rule["amount"], rule["occurs"], rule["hold_days"]) == (1500, {"at": 3}, 14)
    assert (rule["cap_per_month"], rule["cap_total"], rule["min_value"]) == (2500, 10000, 0)
    assert (rule["review"], rule["version"]) == ("flagged", 1)
    assert (rule["from"], rule["until"]) == ("2026-01-31T12:00:00Z", "2030-01-31T12:00:30Z")
    text = plain(page).replace(shop.tag, "").replace("\u202f", " ")
    assert (
        "1 500 points for the inviter · once, at 3 invitees · by the event purchase · of a value "
        "of 0 or more · after 14 days · at most 2 500 a month · at most 10 000 in all · flagged "
        "ones after a person's decision"
    ) in text


async def test_rules_in_words(shop: Shop, admin: Browser) -> None:
    await shop.rule("a", trigger="activated", beneficiary="invitee", hold_days=1)
    await shop.rule("b", occurs={"each": 2}, review="all")
    await shop.rule("c", occurs="first")
    await shop.rule("d")
    text = plain(await admin.see(RULES)).replace(shop.tag, "")
    for words in (
        "100 points for the invitee · when a code is activated · after 1 day",
        "for the inviter · for each 2 invitees · by the event purchase · each after a person's",
        "for the inviter · once for each invitee · by the event purchase",
        "for the inviter · for every event · by the event purchase",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", "a b"),
        ("trigger", ""),
        ("unit", "1"),
        ("amount", ""),
        ("amount", "1.5"),
        ("amount", "1000000001"),
        ("min_value", "-1"),
        ("cap_per_month", "0"),
        ("cap_total", "x"),
        ("hold_days", "91"),
        ("from", "yesterday"),
        ("until", "2020-01-01T00:00"),
        ("invitees", "three"),
    ],
)
async def test_a_wrong_field_of_a_rule(shop: Shop, admin: Browser, field: str, text: str) -> None:
    """The reason is beside it, and all that was typed and chosen is still there."""
    form = {**typed(shop, occurs="each", review="all", invitees="3"), "until": "2030-01-01T00:00"}
    form[field] = text
    page = await admin.submit_and_see(RULES, **form)
    assert error_of(page, field)
    for name in form.keys() - {"occurs", "review", "beneficiary"}:
        assert value_of(page, name) == form[name]
    assert '<option value="each" selected>' in page
    assert '<option value="all" selected>' in page


async def test_wrong_choices_of_a_rule(shop: Shop, admin: Browser) -> None:
    form = typed(shop, occurs="at", invitees="3")
    for wrong in (
        {"beneficiary": "invitee"},
        {"beneficiary": "both"},
        {"review": "some"},
        {"occurs": "never"},
        {"invitees": ""},
    ):
        page = await admin.submit_and_see(RULES, **{**form, **wrong})
        assert re.search(r'<select id="\w+" name="\w+" aria-invalid="true"', page), wrong


async def test_the_name_of_a_rule_is_used_once(shop: Shop, admin: Browser) -> None:
    """Making does not change a rule of the same name; a deleted one's name is refused too."""
    await admin.submit_and_see(RULES, **typed(shop))
    page = await admin.submit_and_see(RULES, **typed(shop, amount="1"))
    assert error_of(page, "name").startswith("Enter 1 to 64")
    assert (await rule_of(shop))["version"] == 1
    await shop.delete_rule("first")
    assert error_of(await admin.submit_and_see(RULES, **typed(shop)), "name")


async def test_a_change_makes_a_new_version(shop: Shop, admin: Browser) -> None:
    """Saved without a change, it makes none, although the page shows times to the minute."""
    await shop.rule("first", amount=5, hold_days=3, min_value=0)
    before = await rule_of(shop)
    path = f"{RULES}/{before['name']}"
    page = await admin.see(path)
    for name in ("trigger", "unit", "occurs", "beneficiary"):
        assert f'name="{name}"' not in page
    names = ("amount", "hold_days", "cap_per_month", "cap_total", "min_value", "from", "until")
    form = {name: value_of(page, name) for name in names}
    assert (form["amount"], form["hold_days"], form["min_value"]) == ("5", "3", "0")
    await admin.submit_and_see(path, **form, review="none")
    assert await rule_of(shop) == before
    page = await admin.submit_and_see(path, **{**form, "amount": "6"}, review="all", unit="other")
    assert notice_on(page).startswith("The rule is changed")
    assert await rule_of(shop) == {**before, "amount": 6, "review": "all", "version": 2}
    page = await admin.submit_and_see(path, **{**form, "amount": "x"})
    assert error_of(page, "amount")
    assert value_of(page, "amount") == "x"


async def test_a_rule_is_deleted_after_a_confirmation(shop: Shop, admin: Browser) -> None:
    """It names the rule. A second click changes nothing."""
    await shop.rule("first")
    path = f"{RULES}/first{shop.tag}"
    page = await admin.see(RULES)
    asking = found(rf'<details class="ask">((?:(?!</details>).)*{path}/delete.*?)</details>', page)
    assert f"Delete the rule <bdi>first{shop.tag}</bdi>?" in asking
    for _ in range(2):
        page = await admin.submit_and_see(f"{path}/delete")
        assert notice_on(page).startswith("The rule is deleted.")
    assert path not in page
    assert (await admin.get(path)).status_code == 404
    assert (await admin.http.post(path, headers=FORM, content="amount=1")).status_code == 404


async def test_changes_of_rules_need_a_fresh_sign_in(shop: Shop, admin: Browser) -> None:
    """The form keeps the typed text."""
    await shop.rule("other")
    shop.service.clock.move(minutes=16)
    other = f"{RULES}/other{shop.tag}"
    delete = f"{other}/delete"
    where = await admin.submit(delete, reason="Too dear")
    assert where.startswith(f"/again?next={RULES}%3Fdraft")
    assert reasons_on(await admin.see(await reauthenticate(admin, where))) == {delete: "Too dear"}
    shop.service.clock.move(minutes=16)
    assert (await admin.submit(other, amount="7")).startswith(f"/again?next={other}%3Fdraft")
    where = await admin.submit(RULES, **typed(shop, occurs="first", cap_total="900"))
    assert where.startswith(f"/again?next={RULES}%3Fdraft%3D")
    page = await admin.see(await reauthenticate(admin, where))
    assert notice_on(page).startswith("Nothing is changed yet.")
    assert value_of(page, "cap_total") == "900"
    assert '<option value="first" selected>' in page
    assert (await rule_of(shop, "other"))["version"] == 1


async def test_rules_are_for_administrators_only(shop: Shop, admin: Browser) -> None:
    await shop.rule("first")
    path = f"{RULES}/first{shop.tag}"
    async with signed_in(shop.service) as browser:
        for each in (RULES, path, f"{path}/delete"):
            assert (await browser.http.post(each, headers=FORM)).status_code == 403
    async with browsing(shop.service) as browser:
        assert (await browser.get(path)).headers["location"] == f"/?next={path}"
    for each in (RULES, path, f"{path}/delete"):
        response = await admin.http.post(each, headers={"Origin": "https://evil.example"})
        assert response.status_code == 403
    assert (await rule_of(shop))["version"] == 1


def row_of(page: str, name: str, head: str) -> str:
    """Return the sums in a row of a list, by the text that the row begins with."""
    for row in found(rf'id="{name}">(.*?)</ul>', page).split("<li>")[1:]:
        text = plain(row).strip()
        if text.startswith(f"{head} "):
            return text.removeprefix(head).strip()
    raise AssertionError(f"{head} is not in {page}")


async def make_figures(shop: Shop) -> tuple[Person, Person]:
    """Make entries of every status."""
    await shop.rule()
    await shop.rule("held", trigger="visit", hold_days=14, amount=5)
    await shop.rule("checked", trigger="review", review="all", amount=7)
    inviter, invitee = await shop.invite()
    for number in range(3):
        await shop.event(f"order-{number}", invitee)
    await shop.event("visit-1", invitee, type="visit")
    entries = [
        entry
        for number in range(2)
        for entry in await shop.event(f"=review-{number}", invitee, type="review")
    ]
    await shop.call("POST", f"/rewards/{entries[0]['id']}/reject")
    await shop.reverse("order-2", reason='@refund "x"')
    await shop.redeem("r-1", inviter, amount=60)
    await shop.redeem("r-2", inviter, amount=10)
    await shop.call("POST", "/redemptions/r-2*/reverse")
    return inviter, invitee


async def test_figures(shop: Shop, admin: Browser) -> None:
    """Earned, available, on hold, in review, reversed, rejected and redeemed."""
    await make_figures(shop)
    page = await admin.see(f"{REWARDS}/figures")
    unit = f"points{shop.tag}"
    now = "earned 319 · available 200 · on hold 5 · in review 7 · reversed 100 · rejected 7"
    assert row_of(page, "totals", unit) == f"{now} · redeemed 60"
    rule = f"purchase{shop.tag} · {unit}"
    assert row_of(page, "by-rule", rule) == (
        "earned 300 · available 200 · reversed 100 earned: 0 before (0 without today)"
    )
    rule = f"checked{shop.tag} · {unit}"
    assert row_of(page, "by-rule", rule) == (
        "earned 14 · in review 7 · rejected 7 earned: 0 before (0 without today)"
    )
    today = shop.service.clock().date().isoformat()
    held = row_of(page, "by-day", f"{today} so far held{shop.tag} · {unit}")
    assert held == "earned 5 · on hold 5"
    shop.service.clock.move(days=15)
    page = await admin.see(f"{REWARDS}/figures")
    later = "earned 319 · available 205 · in review 7 · reversed 100 · rejected 7 · redeemed 60"
    assert row_of(page, "totals", unit) == later
    earlier = await admin.see(f"{REWARDS}/figures?from=2020-01-01&to=2020-01-31")
    assert "Nothing was earned or redeemed in these days." in earlier
    assert row_of(earlier, "totals", unit) == later


async def test_figures_of_wrong_days(admin: Browser) -> None:
    response = await admin.get(f"{REWARDS}/figures?from=2026-02-01&to=2026-01-01")
    page = await admin.see(response.headers["location"])
    assert error_of(page, "from")
    assert value_of(page, "from") == "2026-02-01"
    response = await admin.get(f"{REWARDS}/figures.csv?from=x")
    assert response.status_code == 400


async def test_figures_as_csv(shop: Shop, admin: Browser) -> None:
    await make_figures(shop)
    response = await admin.get(f"{REWARDS}/figures.csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"].startswith("attachment; filename=")
    head, *rows = csv.reader(io.StringIO(response.text, newline=""))
    assert head[:4] == ["day", "rule", "unit", "earned"]
    own = [dict(zip(head, row, strict=True)) for row in rows if row[2] == f"points{shop.tag}"]
    assert sum(int(each["earned"]) for each in own) == 319
    assert [each["redeemed"] for each in own if not each["rule"]] == ["60"]


async def test_entries_as_csv(shop: Shop, admin: Browser) -> None:
    """The same as the list shows. No cell is a formula that a spreadsheet would run."""
    inviter, invitee = await make_figures(shop)
    query = f"status=all&unit=points{shop.tag}"
    response = await admin.get(f"{REWARDS}.csv?{query}")
    assert (response.status_code, response.headers["content-type"]) == (
        200,
        "text/csv; charset=utf-8",
    )
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert len(rows) == 10
    assert {each["user_id"] for each in rows} == {inviter.id()}
    assert {each["about_user_id"] for each in rows} == {invitee.id(), ""}
    causes = {each["cause"].replace(shop.tag, "") for each in rows}
    assert '="=review-0"' in causes
    assert '="@refund ""x"""' in causes
    assert "-100" in {each["amount"] for each in rows}
    response = await admin.get(f"{REWARDS}.csv?status=pending&unit=points{shop.tag}")
    held = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [each["amount"] for each in held] == ["5"]
    assert (await admin.get(f"{REWARDS}.csv?status=x")).status_code == 400
    async with signed_in(shop.service) as browser:
        for path in (f"{REWARDS}.csv", f"{REWARDS}/figures.csv", f"{REWARDS}/figures"):
            assert (await browser.get(path)).status_code == 403


async def test_long_lists_are_streamed(
    shop: Shop, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward_figures, "_PAGE_SIZE", 2)
    await make_figures(shop)
    response = await admin.get(f"{REWARDS}.csv?unit=points{shop.tag}")
    assert response.text.count("\n") == 11


async def test_earned_amounts_are_compared_with_the_period_before(
    shop: Shop, admin: Browser
) -> None:
    """The entries of today are marked as unfinished, and count on neither side."""
    await shop.rule(amount=10)
    _, invitee = await shop.invite()
    await shop.event("order-1", invitee)
    shop.service.clock.move(hours=24 * 7)
    for number in (2, 3):
        await shop.event(f"order-{number}", invitee)
    shop.service.clock.move(hours=24)
    await shop.event("order-4", invitee)
    today = shop.service.clock().date()
    async with signed_in(shop.service, admin.phone) as browser:
        page = await browser.see(f"{REWARDS}/figures?from={today - timedelta(days=6)}&to={today}")
    assert "earned: +100 %, 10 before (20 without today)" in plain(page)
    assert "Today is not over" in plain(page)
    assert page.count(">so far<") == 1
    assert re.search(r'aria-current="true">7 days<', page)


async def test_rejection_names_the_reward_and_keeps_the_reason(shop: Shop, admin: Browser) -> None:
    inviter, _, entry = await in_review(shop, amount=500)
    page = plain(await admin.see(REWARDS))
    assert "Reject +500 points" in page
    await admin.submit(f"{REWARDS}/{entry}/reject", reason="Own second phone")
    trail = await admin.see(f"/admin/audit?user={inviter.id()}")
    assert "Reason: <bdi>Own second phone</bdi>" in trail
