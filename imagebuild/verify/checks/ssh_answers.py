"""The SSH server answers from outside, and offers root no password.

Connects to the port of the host that is forwarded to the guest's port 22, and reads the banner. Where
``ssh`` is installed on the host, it also asks which authentication methods the server offers to
root, without trying any. There is nothing to check in a guest without a network card, or in which nothing
listens on port 22.
"""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Iterator

from pydantic import Field

from imagebuild.errors import CommandFailed
from imagebuild.host import process
from imagebuild.verify import check
from imagebuild.verify.check import NotCheckable, NothingToCheck, RunningGuest

FOLLOWS = {"network-interface": ".*"}
_LISTENING = "grep -qs ':0016 [0-9A-F:]* 0A ' /proc/net/tcp /proc/net/tcp6 && echo yes || echo no"
_LARGEST = 8192
"""Bytes that a server may send before its banner (RFC 4253, section 4.2)."""
_AT_ONCE = 5
"""Seconds after which the guest is asked whether it has a server at all."""
_PASSWORDS = ("password", "keyboard-interactive")


class Params(check.Params):
    password_authentication: bool = Field(default=False, description="whether the server may offer passwords to root")
    limit: int = Field(default=30, gt=0, description="seconds within which the banner must arrive")
    emulated: int = Field(default=120, gt=0, description="the same where the host has no KVM")


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    if guest.ssh_port is None:
        raise NothingToCheck("the guest has no network card")
    limit = params.emulated if guest.emulated else params.limit
    problem = answer(guest.ssh_port, min(limit, _AT_ONCE))
    if problem and guest.run(_LISTENING).text.strip() == "no":
        raise NothingToCheck("nothing listens on port 22 in the guest")
    if problem and limit > _AT_ONCE:
        problem = answer(guest.ssh_port, limit - _AT_ONCE)
    if problem:
        yield problem
    elif shutil.which("ssh"):
        found = methods(guest.ssh_port, limit)
        offered = [one for one in found if one in _PASSWORDS]
        if "none" in found:
            yield "the SSH server lets root in without any authentication"
        elif offered and not params.password_authentication:
            yield f"the SSH server offers {' and '.join(offered)} to root"


def answer(port: int, limit: float) -> str:
    """What is wrong with the banner of the server behind ``port``; empty if it arrives in time."""
    end = time.monotonic() + limit
    problem = ""
    while (left := end - time.monotonic()) > 0:
        try:
            received = _received(port, left)
        except OSError as error:
            problem = f"the SSH server cannot be reached: {error.strerror or 'no answer'}"
        else:
            if re.search(rb"^SSH-(2\.0|1\.99)-[!-~]", received, re.MULTILINE):
                return ""
            problem = "the SSH server sends no banner"
            if received:
                text = received[:60].decode("ascii", "backslashreplace")
                return f"the server on port 22 sends {text!r} instead of SSH's banner"
        time.sleep(min(0.5, max(0.0, end - time.monotonic())))
    return problem


def _received(port: int, limit: float) -> bytes:
    """What the server sends up to its banner, or until it closes the connection or time is up."""
    end = time.monotonic() + limit
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=limit) as connection:
        while len(received) < _LARGEST and not re.search(rb"^SSH-[^\n]*\n", received, re.MULTILINE):
            connection.settimeout(max(0.01, end - time.monotonic()))
            try:
                part = connection.recv(1024)
            except TimeoutError:
                break
            if not part:
                break
            received += part
    return received


def methods(port: int, limit: float) -> list[str]:
    """The authentication methods that the server offers to root; ``none`` if it asks for nothing.

    Raises NotCheckable if the client gets no further than the banner, as with a server that is too
    old for it.
    """
    options = {
        "BatchMode": "yes",
        "PreferredAuthentications": "none",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "IdentityAgent": "none",
        "ConnectTimeout": f"{limit:.0f}",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    argv = ["ssh", "-F", "none", *words, "-p", str(port), "root@127.0.0.1", "true"]
    try:
        done = process.run(argv, timeout=limit + 30, check=False)
    except CommandFailed as error:
        raise NotCheckable(f"the server's authentication methods are unknown: {error.message}") from error
    if done.returncode == 0:
        return ["none"]
    refused = re.search(r"Permission denied \(([a-z0-9@.,-]+)\)", done.stdout)
    if refused is None:
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "ssh printed nothing")
        raise NotCheckable(f"the server's authentication methods are unknown: {last.strip()[:200]}")
    return refused[1].split(",")
