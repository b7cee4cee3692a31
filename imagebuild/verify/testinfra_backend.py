"""A pytest plugin that gives testinfra a backend for the guest: ``--hosts=imagebuild://guest``.

It is loaded by pytest in a child process, with ``-p``; nothing else imports it, because
pytest-testinfra is optional. Commands go through :mod:`imagebuild.verify.guest_socket`.
"""

from __future__ import annotations

import base64
import json
import os
import socket
from typing import Any

import testinfra.backend
from testinfra.backend.base import BaseBackend, CommandResult

SCHEME = "imagebuild"
SOCKET = "IMAGEBUILD_GUEST_SOCKET"
"""The environment variable with the path of the socket."""


class GuestBackend(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """Runs commands as root in the guest that listens behind the socket."""

    NAME = SCHEME

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """The result of a command. Raises RuntimeError if it could not be run in the guest."""
        text = self.get_command(command, *args)
        text.encode()  # raises an error that names the character, before anything is sent
        reply = _asked({"command": text})
        if "error" in reply:
            raise RuntimeError(reply["error"])
        output, errors = (base64.b64decode(reply[key]) for key in ("output", "errors"))
        return self.result(reply["status"], text.encode(), output, errors)

    def get_encoding(self) -> str:
        """UTF-8, without asking the guest: a command in an emulated guest costs a second."""
        return "utf-8"


def _asked(request: dict[str, str]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(os.environ[SOCKET])
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as file:
                reply: dict[str, Any] = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise RuntimeError("the connection to the guest is closed") from error
    return reply


testinfra.backend.BACKENDS[SCHEME] = f"{__name__}.{GuestBackend.__name__}"
