"""Runs one command in a guest and keeps what it wrote to its two streams apart, byte for byte."""

from __future__ import annotations

import base64
import binascii
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild.errors import GuestError
from imagebuild.verify.check import RunningGuest


@dataclass(frozen=True)
class CommandResult:
    """What a command wrote, and its exit status."""

    output: bytes
    errors: bytes
    status: int


def run(guest: RunningGuest, argv: Sequence[str], *, timeout: float) -> CommandResult:
    """Run a command as root, in root's home, without input; ``timeout`` is in seconds. Raises GuestError."""
    mark, folder = secrets.token_hex(8), f"/run/imagebuild-{secrets.token_hex(4)}"
    done = guest.run(
        f"mkdir -m 0700 {folder} && cd /root 2>/dev/null || cd /\n"
        f"{shlex.join(argv)} >{folder}/out 2>{folder}/err </dev/null\n"
        f"s=$?; base64 {folder}/out; echo {mark}; base64 {folder}/err; echo {mark}; rm -rf {folder}; exit $s",
        timeout=timeout,
    )
    parts = done.text.split(mark)
    try:
        # Validated: a message of the shell itself must not be taken for output.
        output, errors = (base64.b64decode("".join(part.split()), validate=True) for part in parts[:2])
    except (ValueError, binascii.Error) as error:
        raise GuestError("the output of the command could not be read") from error
    return CommandResult(output, errors, done.status)
