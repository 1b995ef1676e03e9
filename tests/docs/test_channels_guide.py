"""The trial of docs/channels.md, and the signature of docs/api.md, work as written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx

from processes import ROOT, environment, free_port, serving

GUIDE, API = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("channels", "api"))
EXAMPLES = dict(re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", GUIDE, re.DOTALL))
PORT = "8701"
# Of the requests to each provider
PATHS = {
    "telegram": "/sendVerificationMessage ",
    "whatsapp": "/v26.0/1234567890/messages ",
    "voice": "/2010-04-01/Accounts/AC00000000000000000000000000000000/Calls.json ",
}


def test_channels_can_be_tried_without_providers(tmp_path: Path) -> None:
    """Each of them; then a delivery report is accepted."""
    port = str(free_port())
    program = tmp_path / "providers.py"
    program.write_text(EXAMPLES["providers.py"].replace(PORT, port))
    printed = tmp_path / "printed"
    variables = dict(
        line.split("=", 1) for line in EXAMPLES["providers.env"].replace(PORT, port).splitlines()
    )
    variables["REFERRAL_RESEND_WAITS"] = "0"
    with printed.open("wb") as output:
        providers = subprocess.Popen([sys.executable, program], stdout=output)
    try:
        with serving(tmp_path, **variables) as server:
            for channel, path in PATHS.items():
                body = {"phone": "+79991234567", "channel": channel}
                sent = httpx.post(f"{server.url}/api/v1/auth/send-code", json=body)
                assert sent.status_code == 200, sent.text
                assert sent.json()["channel"] == channel
                assert printed.read_text().splitlines()[-1].startswith(path)
            assert send_report(tmp_path, server.url) == 200
    finally:
        providers.terminate()
        providers.wait()


def send_report(folder: Path, url: str) -> int:
    """Send the signed report of docs/api.md, and return the status of the response."""
    signing = re.search(r"```sh\n(TELEGRAM_TOKEN=.*?)```", API, re.DOTALL)
    example = re.search(r"^\| `POST /hooks/.* \| `(.+)` \|$", API, re.MULTILINE)
    assert signing is not None
    assert example is not None
    shell = subprocess.run(
        ["bash", "-euc", f"{signing[1]}{example[1]} --silent --write-out '%{{http_code}}'"],
        env=environment(folder, BASE=url),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return int(shell.stdout)
