"""Runs commands of `referral`, each in a process of its own that is forked from this one.

This process has imported every command, which takes as long as ten short commands. It reads a
request from each connection to its socket, and answers with the exit status. It ends once its
standard input is closed, that is with the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from importlib import import_module
from select import select
from typing import Any

from referral import cli

_STREAMS = (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))


def main() -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    for command in cli.COMMANDS:
        import_module(f"referral.cli.{command.replace('-', '_')}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing waits for the handlers
    listener.listen(64)
    while listener in select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _handle(connection)
        connection.close()
    return None


def _handle(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection, connection.makefile() as lines:
        line = lines.readline()
        if not line:  # it was only asked whether it listens
            return None
        if (pid := os.fork()) == 0:
            return _run(json.loads(line))
        _, status = os.waitpid(pid, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    return None


def _run(request: dict[str, Any]) -> None:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for descriptor, (name, flags) in enumerate(_STREAMS):
        os.dup2(os.open(request[name], flags), descriptor)
    sys.argv = ["referral", *request["arguments"]]
    cli.main(prog_name="python -m referral")


if __name__ == "__main__":
    main()
