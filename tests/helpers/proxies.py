"""A real nginx on this machine, with the configuration of docs/deploy/."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from processes import ROOT, free_port, stop

SITE = ROOT / "docs" / "deploy" / "nginx.conf"
NAME = "referral.example.com"
HEADER_SECONDS = 2
_UNPACKED = ROOT / ".cache" / "nginx" / "usr" / "sbin"
_START_SECONDS = 10

# The parts of Debian's nginx.conf that surround a site, with paths in the test's folder
_AROUND = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/referral.conf;
}}
"""


@dataclass
class Proxy:
    """A running nginx. port: for TLS. plain_port: for plain HTTP, which it redirects."""

    url: str
    port: int
    plain_port: int
    tls: ssl.SSLContext


@contextmanager
def nginx(folder: Path, upstreams: Sequence[int], *, port: int | None = None) -> Iterator[Proxy]:
    """Run the documented site in front of servers on these two ports until the block ends.

    Only the ports, the certificate and the time-out for headers differ from the documentation.
    port: for TLS; by default a free one.
    """
    port, plain_port = port or free_port(), free_port()
    make_certificate(folder)
    changes = {
        "127.0.0.1:8000 ": f"127.0.0.1:{upstreams[0]} ",
        "127.0.0.1:8001 ": f"127.0.0.1:{upstreams[1]} ",
        "listen 80;": f"listen 127.0.0.1:{plain_port};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        f"/etc/letsencrypt/live/{NAME}": str(folder),
        "client_header_timeout 10s;": f"client_header_timeout {HEADER_SECONDS}s;",
    }
    site = SITE.read_text()
    for documented, changed in changes.items():
        assert documented in site, documented
        site = site.replace(documented, changed)
    (folder / "referral.conf").write_text(site)
    # Its workers would switch to a user who cannot read the test's folder
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + _AROUND.format(folder=folder))
    log = folder / "nginx.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_binary(), "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"],
            stdout=output,
            stderr=output,
        )
    tls = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
    proxy = Proxy(f"https://127.0.0.1:{port}", port, plain_port, tls)
    try:
        _wait_until_ready(proxy, process, log)
        yield proxy
    finally:
        stop(process)


def client(proxy: Proxy) -> httpx.AsyncClient:
    """Return a client that reaches the service through nginx, by a connection for each request."""
    return httpx.AsyncClient(
        base_url=proxy.url,
        verify=proxy.tls,
        timeout=30,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def _binary() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:{_UNPACKED}")
    assert found is not None, "nginx is missing: `make nginx` fetches it on Debian and Ubuntu"
    return found


def make_certificate(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={NAME}"),
            *("-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1"),
            *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )


def _wait_until_ready(proxy: Proxy, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            httpx.get(f"http://127.0.0.1:{proxy.plain_port}")
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
