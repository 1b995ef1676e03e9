"""The service behind nginx, with the configuration of docs/deploy/nginx.conf."""

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

from background_sign_ins import background_sign_ins
from processes import ROOT, Server, free_port, stop
from proxies import HEADER_SECONDS, NAME, Proxy, client, nginx
from support import SECRET, Clock, Inbox, Service, new_phone, ok, refused

UNIT = ROOT / "docs" / "deploy" / "referral@.service"
TOKEN = "a token for the metrics"
SLOW_CLIENTS = 100
# Seconds that a response may take beside slow clients; without them it takes a hundredth of that
MAX_SECONDS = 5


class Units:
    """Does with `referral@PORT` what systemd would, from the lines of the documented unit."""

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
    """Return the words of one line of the unit, with the Python of the tests."""
    (line,) = (line for line in UNIT.read_text().splitlines() if line.startswith(f"{key}="))
    python = "/opt/referral/current/.venv/bin/python"
    return [
        sys.executable if word == python else word.replace("%i", str(port))
        for word in shlex.split(line.removeprefix(f"{key}="))
    ]


@dataclass
class Behind:
    """nginx, and the servers behind it."""

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
            # curl in the unit must not use a proxy that is set
            "http_proxy": "http://127.0.0.1:9",
            # All clients of a test have the same address
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


async def test_forged_addresses_are_ignored(behind: Behind, service: Service) -> None:
    """The client's address is the one that nginx saw, whatever the client's own headers say."""
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


async def test_people_sign_in_and_invite(service: Service) -> None:
    inviter = await service.sign_in()
    invitee = await service.sign_in(invite_code=await inviter.invite_code())
    assert (await inviter.profile())["invitees"] == [invitee.phone]
    assert (await service.get("/docs/openapi.json")).status_code == 200
    assert "strict-transport-security" in (await service.get("/health/live")).headers


def test_plain_http_redirects_to_https(behind: Behind) -> None:
    response = httpx.post(f"http://127.0.0.1:{behind.proxy.plain_port}/api/v1/auth/send-code")
    assert response.status_code == 308
    assert response.headers["location"] == f"https://{NAME}/api/v1/auth/send-code"


@pytest.mark.parametrize(
    "target",
    ["/metrics", "/metrics/", "//metrics", "/metrics%2f", "/%6detrics", "/metrics//", "/metrics?a"],
)
async def test_metrics_are_not_public(behind: Behind, target: str) -> None:
    """Every spelling of the path that the service would accept is hidden by nginx."""
    url = f"http://127.0.0.1:{behind.units.ports()[0]}"
    async with httpx.AsyncClient(base_url=url) as direct:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await raw(direct, target, headers)).status_code == 200
    async with client(behind.proxy) as proxied:
        assert (await raw(proxied, target, headers)).status_code == 404


async def raw(http: httpx.AsyncClient, target: str, headers: dict[str, str]) -> httpx.Response:
    """Send a GET with exactly this target."""
    return await http.get("/", headers=headers, extensions={"target": target.encode()})


async def test_body_over_64_kib_gets_the_same_problem(service: Service) -> None:
    """It is refused by nginx; a body of 64 KiB reaches the service."""
    headers = {"Content-Type": "application/json"}
    for size, status, code in ((65_536, 400, "invalid_request"), (65_537, 413, "body_too_large")):
        response = await service.http.post(
            "/api/v1/auth/send-code", content=b"{" * size, headers=headers
        )
        refused(response, status, code)


async def test_delivery_reports_of_3_mib_reach_the_service(service: Service) -> None:
    """Which has no provider here."""
    for size, status in ((3 * 1024 * 1024, 404), (3 * 1024 * 1024 + 1, 413)):
        response = await service.http.post("/hooks/delivery/whatsapp", content=b"{" * size)
        assert response.status_code == status


async def test_header_of_20_mb_is_refused_early(behind: Behind) -> None:
    async with slow(behind.proxy) as (reader, writer):
        writer.write(b"X-Large: ")
        sent = 0
        try:
            for _ in range(320):
                writer.write(b"a" * 65_536)
                await asyncio.wait_for(writer.drain(), MAX_SECONDS)
                sent += 65_536
        except OSError:
            pass  # the connection was closed meanwhile
        try:
            response = await asyncio.wait_for(reader.read(), MAX_SECONDS)
        except OSError:
            response = b""
    assert sent < 10_000_000
    assert not response or b" 400 " in response.splitlines()[0]


async def test_large_header_gets_a_problem(service: Service) -> None:
    refused(await service.get("/health/live", **{"X-Large": "a" * 40_000}), 400, "invalid_request")


async def test_slow_header_times_out(behind: Behind) -> None:
    """A byte every fifth of a second is in time; all the headers together are not."""
    begun = monotonic()
    async with slow(behind.proxy) as (reader, writer):
        await drip(reader, writer)
    assert HEADER_SECONDS - 0.5 < monotonic() - begun < HEADER_SECONDS + 3


async def test_100_slow_clients_delay_nobody(behind: Behind, service: Service) -> None:
    connections = asyncio.Semaphore(0)
    ended = asyncio.Event()

    async def be_slow() -> None:
        while not ended.is_set():
            async with slow(behind.proxy) as (reader, writer):
                connections.release()
                await drip(reader, writer)

    async with asyncio.TaskGroup() as group:
        for _ in range(SLOW_CLIENTS):
            group.create_task(be_slow())
        for _ in range(SLOW_CLIENTS):
            await connections.acquire()
        try:
            for _ in range(5):
                begun = monotonic()
                await service.sign_in()
                assert monotonic() - begun < MAX_SECONDS
        finally:
            ended.set()


async def test_rolling_restart_fails_no_request(behind: Behind) -> None:
    """People sign in during the upgrade that the documentation describes."""
    async with background_sign_ins(lambda: client(behind.proxy)) as sign_ins:
        for port in behind.units.ports():
            await sign_ins.wait_for_more()
            await asyncio.to_thread(behind.units.restart, port)
        await sign_ins.wait_for_more()
    assert sign_ins.failures == []


async def test_without_servers_it_responds_overloaded(behind: Behind, service: Service) -> None:
    ports = behind.units.ports()
    for port in ports:
        behind.units.stop(port)
    try:
        response = await service.post("/auth/send-code", phone=new_phone())
        refused(response, 503, "overloaded")
        assert response.headers["retry-after"] == "2"
    finally:
        for port in ports:
            behind.units.start(port)


@asynccontextmanager
async def slow(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection and send the first headers of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=proxy.tls)
    try:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\n")
        await writer.drain()
        yield reader, writer
    finally:
        writer.transport.abort()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a header slowly, until the other end closes the connection."""
    ended = asyncio.create_task(reader.read())
    writer.write(b"X-Slow: ")
    while not ended.done():
        writer.write(b"a")
        await asyncio.wait([ended], timeout=0.2)
    assert ended.exception() is not None or ended.result() == b""
