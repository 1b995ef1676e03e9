"""Measurements under the usual load: a function for each question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import material
import postgres
import rows
from cases import Bench, Case, Cases, alternate, always


async def reading(bench: Bench) -> Cases:
    """Compare the profile with floors and peers, and with itself as lists grow to a million."""
    ids = [rows.user_id(user) for user in range(1, rows.PROFILES + 1)]
    thousand, million = [rows.OF_A_THOUSAND], [rows.OF_A_MILLION]
    deep = rows.page_after(rows.MILLION * 9 // 10)
    page = "/profile/invitees?limit=100"

    async def service(name: str, path: str, users: Sequence[int]) -> Case:
        return Case(name, bench.many, always(await material.reads(bench.many_url, path, users)))

    def floor(name: str, path: str) -> Case:
        requests = [material.get(f"/{path}/{each}") for each in ids]
        return Case(name, bench.floors, always(requests))

    twin, better_auth = bench.twin_material, bench.better_auth_material
    return await alternate(
        bench,
        [
            Case("Litestar, bare", bench.floors, always([material.get("/bare")])),
            floor("Litestar + asyncpg, one row", "row"),
            floor("Litestar + Tortoise, one row", "model"),
            Case("profile, 10 invitees", bench.many, await bench.read_profiles()),
            await service("profile, 1,000 invitees", "/profile", thousand),
            await service("profile, 1,000,000 invitees", "/profile", million),
            await service("first page of 1,000,000", page, million),
            await service("page 900,000 deep", f"{page}&cursor={deep}", million),
            await service("page of 1,000, first", "/profile/invitees?limit=1000", thousand),
            Case(
                "page of 100 users",
                bench.many,
                always([await material.users_page(bench.many_url, limit=100)]),
            ),
            Case("twin: profile, 10 invitees", bench.twin, always(twin.reads())),
            Case("better-auth: session", bench.better_auth, always(await better_auth.reads())),
        ],
    )


async def sending(bench: Bench) -> Cases:
    """Measure send-code with all guards and counters, and with a gateway that takes no time."""

    async def without_counters(number: int) -> list[bytes]:
        await postgres.execute(bench.few_url, "TRUNCATE counters")
        return await material.send_codes(number)

    send_codes = material.send_codes
    from_one_address = partial(send_codes, address=material.ONE_ADDRESS)
    return await alternate(
        bench,
        [
            Case("Litestar, bare", bench.floors, always([material.get("/bare")])),
            Case("send-code", bench.few, without_counters, once=True),
            Case("send-code, 1,000,000 counters", bench.many, send_codes, once=True),
            Case("send-code, from one address", bench.many, from_one_address, once=True),
            Case("twin: send-code, nothing stored", bench.twin, send_codes, once=True),
            Case(
                "twin: send-code, codes in a table",
                bench.twin,
                bench.twin_material.stored_send_codes,
                once=True,
            ),
            Case(
                "better-auth: send-otp",
                bench.better_auth,
                bench.better_auth_material.send_codes,
                once=True,
            ),
        ],
    )


async def signing_in_to_apps(bench: Bench) -> Cases:
    """Measure the exchange of an authorization code for tokens, with a refresh and an ID token."""
    exchanges = partial(material.exchanges, bench.few_url, users=rows.FEW)
    return await alternate(
        bench,
        [
            Case("authorization code to tokens", bench.few, exchanges, once=True),
            Case(
                "better-auth: authorization code to tokens",
                bench.better_auth_provider,
                bench.provider_material.exchanges,
                once=True,
            ),
        ],
    )


async def signing_in(bench: Bench) -> Cases:
    """Measure verify, with users who exist, and refresh: transactions, sessions and tokens."""
    from_one_address = partial(material.verifications, users=rows.FEW, address=material.ONE_ADDRESS)
    refreshes = partial(material.refreshes, bench.few_url, users=rows.FEW)
    twin, better_auth = bench.twin_material, bench.better_auth_material
    return await alternate(
        bench,
        [
            Case("verify, 1,000 users", bench.few, bench.verify_few, once=True),
            Case(f"verify, {bench.users:,} users", bench.many, bench.verify_many, once=True),
            Case("verify, from one address", bench.few, from_one_address, once=True),
            Case("refresh", bench.few, refreshes, once=True),
            Case("twin: verify", bench.twin, always(twin.verifications())),
            Case("twin: refresh", bench.twin, twin.refreshes, once=True),
            Case("better-auth: verify", bench.better_auth, better_auth.verifications, once=True),
        ],
    )
