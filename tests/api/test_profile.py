"""The profile: reading, changing, and the invite link as a QR code."""

from __future__ import annotations

import pytest

from support import Service, ok, refused

MERGE_PATCH = {"content-type": "application/merge-patch+json"}


# Reading and changing


async def test_a_new_profile(service: Service) -> None:
    person = await service.sign_in()
    response = await person.call("GET", "/profile")
    assert response.headers["cache-control"] == "no-store"
    profile = ok(response)
    code = profile["invite_code"]
    assert len(code) == 6
    assert set(code) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert profile.pop("created_at").endswith("Z")
    expected = {
        "id": person.id(),
        "phone": person.phone,
        "name": None,
        "email": None,
        "invite_code": code,
        "invite_link": f"http://127.0.0.1:8000/i/{code}",
        "activated_invite_code": None,
        "invitees": [],
        "invitee_count": 0,
        "invite_opens": 0,
    }
    assert profile == expected, "add a new field here, and to the lists of keys in postman/"


async def test_put_replaces_both_fields(service: Service) -> None:
    """A missing field becomes null."""
    person = await service.sign_in()
    for body, name, email in (
        ({"name": "Anna", "email": "anna@example.com"}, "Anna", "anna@example.com"),
        ({"name": "Anna"}, "Anna", None),
        ({"email": "anna@example.com"}, None, "anna@example.com"),
        ({"name": None, "email": None}, None, None),
        ({"name": "Anna", "email": "anna@example.com"}, "Anna", "anna@example.com"),
        ({}, None, None),
    ):
        profile = ok(await person.call("PUT", "/profile", json=body))
        assert (profile["name"], profile["email"]) == (name, email)
        assert profile == await person.profile()


@pytest.mark.parametrize("headers", [{}, MERGE_PATCH], ids=["json", "merge-patch"])
async def test_patch_changes_only_the_given_fields(
    service: Service, headers: dict[str, str]
) -> None:
    """RFC 7396: a missing field is kept, null clears it."""
    person = await service.sign_in()
    for body, name, email in (
        ('{"name": "Anna"}', "Anna", None),
        ('{"email": "anna@example.com"}', "Anna", "anna@example.com"),
        ("{}", "Anna", "anna@example.com"),
        ('{"name": null}', None, "anna@example.com"),
        ('{"name": "Zo\\u00eb", "email": null}', "Zoë", None),
    ):
        given = {"content-type": "application/json", **headers}
        profile = ok(await person.call("PATCH", "/profile", content=body, headers=given))
        assert (profile["name"], profile["email"]) == (name, email)
        assert profile == await person.profile()


async def test_only_patch_accepts_a_merge_patch(service: Service) -> None:
    person = await service.sign_in()
    response = await person.call("PUT", "/profile", content="{}", headers=MERGE_PATCH)
    refused(response, 415, "unsupported_media_type")


async def test_names_are_stored_trimmed_and_composed(service: Service) -> None:
    """Without surrounding spaces, in Unicode's composed form (NFC)."""
    person = await service.sign_in()
    for given, kept in (
        ("  Anna  ", "Anna"),
        ("Zoe\u0308", "Zoë"),
        ("Ж" * 100, "Ж" * 100),
        ("O'Neil <b>\"&", "O'Neil <b>\"&"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("'; DROP TABLE users; --", "'; DROP TABLE users; --"),
    ):
        assert ok(await person.call("PATCH", "/profile", json={"name": given}))["name"] == kept


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_invalid_names_and_emails(service: Service, method: str) -> None:
    """The response names the field, and nothing is changed."""
    person = await service.sign_in()
    before = ok(await person.call("PUT", "/profile", json={"name": "Eve", "email": "e@eve.org"}))
    given: list[tuple[str, object]] = [
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 101),
        ("name", "a\nb"),
        ("name", "a\x1bb"),
        ("name", 5),
        ("name", ["Anna"]),
        ("email", ""),
        ("email", "anna"),
        ("email", "anna@"),
        ("email", "@example.com"),
        ("email", "anna@example.com\nBcc: x@example.com"),
        ("email", "an na@example.com"),
        ("email", "a" * 64 + "@" + ".".join(["b" * 60] * 4) + ".com"),
        ("email", "Anna <anna@example.com>"),
        ("email", True),
    ]
    for field, value in given:
        response = await person.call(method, "/profile", json={field: value})
        (error,) = refused(response, 400, "invalid_request")["errors"]
        assert error["field"] == field
        assert len(error["message"]) > 5
    assert await person.profile() == before


async def test_other_fields_are_refused(service: Service) -> None:
    person = await service.sign_in()
    before = await person.profile()
    for field in ("phone", "invite_code", "is_admin", "is_blocked", "id", "x"):
        for method in ("PUT", "PATCH"):
            response = await person.call(method, "/profile", json={"name": "Anna", field: "1"})
            refused(response, 400, "invalid_request")
    assert await person.profile() == before


# The invite link as a QR code


@pytest.mark.parametrize(
    ("name", "media_type", "start"),
    [
        ("invite.svg", "image/svg+xml", b"<?xml"),
        ("invite.png", "image/png", b"\x89PNG\r\n\x1a\n"),
    ],
)
async def test_the_invite_link_as_a_qr_code(
    service: Service, name: str, media_type: str, start: bytes
) -> None:
    """Each user has their own; it contains no script."""
    pictures = []
    for person in (await service.sign_in(), await service.sign_in()):
        response = await person.call("GET", f"/profile/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"].partition(";")[0] == media_type
        assert response.headers["cache-control"] == "no-store"
        assert response.content.startswith(start)
        assert not [
            word for word in (b"<script", b"javascript:", b" on") if word in response.content
        ]
        pictures.append(response.content)
    assert pictures[0] != pictures[1]
