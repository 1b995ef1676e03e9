"""The service as an OpenID Connect provider on https, in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from processes import Server, free_port, referral, serving
from proxies import nginx

# Some libraries refresh a minute before access tokens expire: with this, 3 seconds after sign-in
ACCESS_SECONDS = 63
SECRET = "provider-secret-provider-secret-provider"


@dataclass
class Provider:
    """The service behind nginx. url: the issuer. certificate: the one that apps must trust."""

    url: str
    folder: Path
    server: Server
    settings: Mapping[str, str]
    certificate: Path

    def register(self, *arguments: str) -> dict[str, str]:
        """Register a client with `referral client new`. Return the app's environment variables."""
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
