"""The log that a process writes to stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from processes import environment

WRITE = """
import logging
from referral import observability
from referral.observability import log, log_format

log_format.configure(as_json={json})
log.request_id.set("abc-1")
observability.record("code_sent", phone="+79991234567", purpose="sign_in", number=3)
observability.record("send_failed", reason="half a pair \\ud800, and +79991234567")
observability.record("signed_in", name="Анна\\n{}")
try:
    raise ValueError("+79991234567")
except ValueError as error:
    observability.request_failed(error, method="GET", route="/")
    logging.getLogger("a.library").error("an error\\n{}", exc_info=error)
observability.overloaded(now=1)
logging.getLogger("a.library").warning("somebody has +79991234567")
print("done")
"""


def written(folder: Path, *, stderr: Any = subprocess.PIPE, json: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WRITE.replace("{json}", str(json))],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        timeout=60,
        # Python exits with an error if it could not flush stderr
        check=False,
    )
    assert done.stdout == "done\n"
    return done.stderr


def test_each_event_is_one_line_of_json(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in written(tmp_path).splitlines()]
    sent, failure, signed_in, failed, library_error, overloaded, library_warning = lines
    assert " ".join(sent) == "purpose number phone event request_id level timestamp"
    assert sent.pop("timestamp").endswith("Z")
    assert sent == {
        "event": "code_sent",
        "level": "info",
        "phone": "+7********67",
        "purpose": "sign_in",
        "number": 3,
        "request_id": "abc-1",
    }
    assert failure["reason"] == "half a pair \ud800, and +7********67"
    # A value cannot break the line
    assert signed_in["name"] == "Анна\n{}"
    assert (failed["event"], failed["level"]) == ("request_failed", "error")
    assert failed["exception"].endswith("\nValueError: +7********67")
    assert (overloaded["event"], overloaded["level"]) == ("overloaded", "warning")
    # Records of libraries have the same format
    assert library_error["event"] == "an error\n{}"
    assert library_error["exception"] == failed["exception"]
    assert library_warning["event"] == "somebody has +7********67"
    assert library_warning["level"] == "warning"


def test_a_process_without_stderr_keeps_running(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, WRITE.replace("{json}", "True")],
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"done\n"


def test_text_lines_in_development(tmp_path: Path) -> None:
    text = written(tmp_path, json=False)
    assert "+7********67" in text
    assert "9991234567" not in text
    assert "ValueError" in text
    assert not text.startswith("{")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to offer")
def test_a_full_disk_does_not_stop_the_process(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        written(tmp_path, stderr=full)
