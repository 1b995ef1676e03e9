"""What is measured under the usual load: each function answers for one question."""

from __future__ import annotations

from collections.abc import Sequence

import material
import postgres
import rows
from cases import Bench, Case, Cases, again, alternate


async def reading(bench: Bench) -> Cases:
    """The profile beside the floors and peers, and as lists grow to a million."""
    everybody = range(1, rows.PROFILES + 1)
    ids = [rows.user_id(user) for user in everybody]
    thousand, million = [rows.OF_A_THOUSAND], [rows.OF_A_MILLION]
    deep = rows.page_after(rows.MILLION * 9 // 10)
    page = "/profile/invitees?limit=100"

    async def service(name: str, path: str, users: Sequence[int]) -> Case:
        return again(name, bench.many, await material.reads(bench.many_url, path, users))

    def floor(name: str, path: str) -> Case:
        requests = [material.get(f"/{path}/{each}") for each in ids]
        return again(name, bench.floors, requests)

    twin, better_auth = bench.twin_material, bench.better_auth_material
    return await alternate(
        bench,
        [
            again("Litestar, bare", bench.floors, [material.get("/bare")]),
            floor("Litestar + asyncpg, one row", "row"),
            floor("Litestar + Tortoise, one row", "model"),
            await service("profile, 10 invitees", "/profile", everybody),
            await service("profile, 1,000 invitees", "/profile", thousand),
            await service("profile, 1,000,000 invitees", "/profile", million),
            await service("first page of 1,000,000", page, million),
            await service("page 900,000 deep", f"{page}&cursor={deep}", million),
            await service("page of 1,000, first", "/profile/invitees?limit=1000", thousand),
            again(
                "page of 100 users",
                bench.many,
                [await material.users_page(bench.many_url, limit=100)],
            ),
            again("twin: profile, 10 invitees", bench.twin, twin.reads()),
            again("better-auth: session", bench.better_auth, await better_auth.reads()),
        ],
    )


async def sending(bench: Bench) -> Cases:
    """send-code: every guard and counter, no wait of the gateway's."""

    async def without_counters(number: int) -> list[bytes]:
        await postgres.execute(bench.few_url, "TRUNCATE counters")
        return material.send_codes(number)

    async def service(number: int) -> list[bytes]:
        return material.send_codes(number)

    async def one_address(number: int) -> list[bytes]:
        return material.send_codes(number, address=material.ONE_ADDRESS)

    async def better_auth(number: int) -> list[bytes]:
        return bench.better_auth_material.send_codes(number)

    return await alternate(
        bench,
        [
            again("Litestar, bare", bench.floors, [material.get("/bare")]),
            Case("send-code", bench.few, without_counters, once=True),
            Case("send-code, 1,000,000 counters", bench.many, service, once=True),
            Case("send-code, from one address", bench.many, one_address, once=True),
            Case("twin: send-code, nothing stored", bench.twin, service, once=True),
            Case(
                "twin: send-code, codes in a table",
                bench.twin,
                bench.twin_material.stored_send_codes,
                once=True,
            ),
            Case("better-auth: send-otp", bench.better_auth, better_auth, once=True),
        ],
    )


async def signing_in(bench: Bench) -> Cases:
    """Verify of users who exist, and refresh: whole transactions, sessions, tokens."""

    async def few(number: int) -> list[bytes]:
        return material.verifications(number, users=rows.FEW)

    async def many(number: int) -> list[bytes]:
        return material.verifications(number, users=bench.users)

    async def one_address(number: int) -> list[bytes]:
        return material.verifications(number, users=rows.FEW, address=material.ONE_ADDRESS)

    async def refreshes(number: int) -> list[bytes]:
        return await material.refreshes(bench.few_url, number, users=rows.FEW)

    twin, better_auth = bench.twin_material, bench.better_auth_material
    return await alternate(
        bench,
        [
            Case("verify, 1,000 users", bench.few, few, once=True),
            Case(f"verify, {bench.users:,} users", bench.many, many, once=True),
            Case("verify, from one address", bench.few, one_address, once=True),
            Case("refresh", bench.few, refreshes, once=True),
            again("twin: verify", bench.twin, twin.verifications()),
            Case("twin: refresh", bench.twin, twin.refreshes, once=True),
            Case("better-auth: verify", bench.better_auth, better_auth.verifications, once=True),
        ],
    )
