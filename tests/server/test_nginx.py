"""The service behind nginx, configured as docs/deploy/nginx.conf says."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx
import pytest

from processes import ROOT, Server, free_port, stop
from proxies import HEADER_SECONDS, NAME, Proxy, client, nginx
from support import SECRET, Clock, Inbox, Service, new_phone, ok, refused
from visitors import visited

UNIT = ROOT / "docs" / "deploy" / "referral@.service"
TOKEN = "a token for the metrics"
SLOW_CLIENTS = 100
# How long an answer may take beside them, in seconds; alone it takes a hundredth of that
PATIENCE = 5


class Units:
    """What systemd does with `referral@PORT`, by the lines of the documented unit."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        self._env = env
        self._servers: dict[int, Server] = {}

    def start(self, port: int) -> None:
        env = {**self._env, **dict(word.split("=") for word in words("Environment", port))}
        subprocess.run(
            words("ExecStartPre", port),
            cwd=ROOT,
            env=env,
            check=True,
            capture_output=True,
            timeout=60,
        )
        log = self._folder / f"serve-{port}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                words("ExecStart", port), cwd=ROOT, env=env, stdout=output, stderr=output
            )
        self._servers[port] = Server(f"http://127.0.0.1:{port}", process, log)
        subprocess.run(words("ExecStartPost", port), env=env, check=True, timeout=60)

    def stop(self, port: int) -> None:
        stop(self._servers.pop(port).process)

    def restart(self, port: int) -> None:
        self.stop(port)
        self.start(port)

    def ports(self) -> list[int]:
        return list(self._servers)

    def log(self) -> str:
        return "".join(log.read_text() for log in self._folder.glob("serve-*.log"))


def words(key: str, port: int) -> list[str]:
    """The words of one line of the unit. Its Python is that of the tests."""
    (line,) = (line for line in UNIT.read_text().splitlines() if line.startswith(f"{key}="))
    python = "/opt/referral/current/.venv/bin/python"
    return [
        sys.executable if word == python else word.replace("%i", str(port))
        for word in shlex.split(line.removeprefix(f"{key}="))
    ]


@dataclass
class Behind:
    """nginx, and what is behind it."""

    proxy: Proxy
    units: Units


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("nginx")
    units = Units(
        folder,
        {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DATABASE_URL": f"sqlite://{folder}/referral.sqlite3",
            "REFERRAL_ENV": "production",
            "REFERRAL_SECRET": SECRET,
            "REFERRAL_PUBLIC_URL": f"https://{NAME}",
            "REFERRAL_TRUSTED_PROXIES": "1",
            "REFERRAL_SMS_URL": "simulated://?delay=0",
            "REFERRAL_METRICS_TOKEN": TOKEN,
            # What curl in the unit may find, and has to pass by
            "http_proxy": "http://127.0.0.1:9",
            # All people of a test have the address of this machine
            "REFERRAL_SENDS_PER_ADDRESS_HOUR": "100000",
        },
    )
    ports = [free_port(), free_port()]
    try:
        for port in ports:
            units.start(port)
        with nginx(folder, ports) as proxy:
            yield Behind(proxy, units)
    finally:
        for port in units.ports():
            units.stop(port)


@pytest.fixture
async def service(behind: Behind) -> AsyncIterator[Service]:
    async with client(behind.proxy) as http:
        yield Service(http, Clock(), Inbox())


async def test_the_address_is_what_nginx_saw_whatever_a_client_writes(
    behind: Behind, service: Service
) -> None:
    """What somebody writes on the left, on one line or two, changes nothing."""
    forged = [("X-Forwarded-For", "203.0.113.7, 198.51.100.2"), ("X-Forwarded-For", "192.0.2.3")]
    response = await service.http.post(
        "/api/v1/auth/send-code", json={"phone": new_phone()}, headers=forged
    )
    ok(await service.verify(ok(response)))
    log = behind.units.log()
    assert '"address":"127.0.0.1"' in log
    for address in ("203.0.113.7", "198.51.100.2", "192.0.2.3"):
        assert f'"address":"{address}"' not in log
    assert "too_few_proxies" not in log


async def test_people_sign_in_and_invite_each_other_through_it(service: Service) -> None:
    inviter = await service.sign_in()
    invitee = await service.sign_in(invite_code=await inviter.invite_code())
    assert (await inviter.profile())["invitees"] == [invitee.phone]
    assert (await service.get("/docs/openapi.json")).status_code == 200
    assert "strict-transport-security" in (await service.get("/health/live")).headers


def test_plain_http_leads_to_https(behind: Behind) -> None:
    answer = httpx.post(f"http://127.0.0.1:{behind.proxy.plain_port}/api/v1/auth/send-code")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{NAME}/api/v1/auth/send-code"


@pytest.mark.parametrize(
    "target",
    ["/metrics", "/metrics/", "//metrics", "/metrics%2f", "/%6detrics", "/metrics//", "/metrics?a"],
)
async def test_metrics_are_not_for_the_world(behind: Behind, target: str) -> None:
    """However they are spelt: each of these reaches the service's own where nginx lets it."""
    url = f"http://127.0.0.1:{behind.units.ports()[0]}"
    async with httpx.AsyncClient(base_url=url) as direct:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await raw(direct, target, headers)).status_code == 200
    async with client(behind.proxy) as proxied:
        assert (await raw(proxied, target, headers)).status_code == 404


async def raw(http: httpx.AsyncClient, target: str, headers: dict[str, str]) -> httpx.Response:
    """The answer to GET of a target that is sent as it is written here."""
    return await http.get("/", headers=headers, extensions={"target": target.encode()})


async def test_a_body_over_64_kib_is_refused_as_the_service_does(service: Service) -> None:
    """It is refused before it is sent on. One of 64 KiB the service reads."""
    headers = {"Content-Type": "application/json"}
    for size, status, code in ((65_536, 400, "invalid_request"), (65_537, 413, "body_too_large")):
        answer = await service.http.post(
            "/api/v1/auth/send-code", content=b"{" * size, headers=headers
        )
        refused(answer, status, code)


async def test_a_header_of_20_mb_is_refused_before_it_is_read(behind: Behind) -> None:
    async with slow(behind.proxy) as (reader, writer):
        writer.write(b"X-Large: ")
        sent = 0
        try:
            for _ in range(320):
                writer.write(b"a" * 65_536)
                await asyncio.wait_for(writer.drain(), PATIENCE)
                sent += 65_536
        except OSError:
            pass  # cut in the middle
        try:
            answer = await asyncio.wait_for(reader.read(), PATIENCE)
        except OSError:
            answer = b""
    assert sent < 10_000_000
    assert not answer or b" 400 " in answer.splitlines()[0]


async def test_headers_too_long_are_told_so_as_a_problem(service: Service) -> None:
    refused(await service.get("/health/live", **{"X-Large": "a" * 40_000}), 400, "invalid_request")


async def test_a_slow_header_is_cut(behind: Behind) -> None:
    """A letter each fifth of a second: each is in time, all of them are not."""
    begun = monotonic()
    async with slow(behind.proxy) as (reader, writer):
        await drip(reader, writer)
    assert HEADER_SECONDS - 0.5 < monotonic() - begun < HEADER_SECONDS + 3


async def test_100_clients_with_slow_headers_disturb_nobody(
    behind: Behind, service: Service
) -> None:
    slow_ones = asyncio.Semaphore(0)
    ended = asyncio.Event()

    async def one() -> None:
        while not ended.is_set():
            async with slow(behind.proxy) as (reader, writer):
                slow_ones.release()
                await drip(reader, writer)

    async with asyncio.TaskGroup() as group:
        for _ in range(SLOW_CLIENTS):
            group.create_task(one())
        for _ in range(SLOW_CLIENTS):
            await slow_ones.acquire()
        try:
            for _ in range(5):
                begun = monotonic()
                await service.sign_in()
                assert monotonic() - begun < PATIENCE
        finally:
            ended.set()


async def test_servers_restarted_one_after_the_other_fail_no_request(behind: Behind) -> None:
    """As the documented upgrade does it, with people signing in all the while."""
    async with visited(lambda: client(behind.proxy)) as visits:
        for port in behind.units.ports():
            await visits.become_more()
            await asyncio.to_thread(behind.units.restart, port)
        await visits.become_more()
    assert visits.failures == []


async def test_while_no_server_is_there_people_are_told_to_come_back(
    behind: Behind, service: Service
) -> None:
    ports = behind.units.ports()
    for port in ports:
        behind.units.stop(port)
    try:
        answer = await service.post("/auth/send-code", phone=new_phone())
        refused(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "2"
    finally:
        for port in ports:
            behind.units.start(port)


@asynccontextmanager
async def slow(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a request has begun, and its headers have not ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=proxy.tls)
    try:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\n")
        await writer.drain()
        yield reader, writer
    finally:
        writer.transport.abort()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Go on with the headers, slowly, until the other end hangs up."""
    ended = asyncio.create_task(reader.read())
    writer.write(b"X-Slow: ")
    while not ended.done():
        writer.write(b"a")
        await asyncio.wait([ended], timeout=0.2)
    assert ended.exception() is not None or ended.result() == b""
