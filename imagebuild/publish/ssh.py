"""SSH to a host, by OpenSSH's client: it never asks, checks the host's key, and does not hang.

One connection serves the host's shell and libvirt: the first program that needs it waits until it is
open, the others share it (ssh_config(5), ControlMaster). The user's own configuration applies.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from imagebuild.errors import HostError
from imagebuild.host.hints import command_line
from imagebuild.host.process import PIPE, TimeoutExpired, started
from imagebuild.printable import one_line, shell_word

CONNECT = 20
"""Seconds within which a connection must be made."""
_ALIVE = (5, 4)
"""Seconds between two questions whether the host is there, and how many may stay unanswered."""


@dataclass(frozen=True)
class SshAddress:
    """Where to connect: ``user`` and ``port`` may be left to the user's configuration."""

    host: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    known_hosts: Path | None = None
    insecure: bool = False

    def options(self) -> list[str]:
        """The options for ssh(1), without the host."""
        alive, count = _ALIVE
        given = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT),
            "ServerAliveInterval": str(alive),
            "ServerAliveCountMax": str(count),
            "StrictHostKeyChecking": "no" if self.insecure else "yes",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "PermitLocalCommand": "no",
        }
        if self.known_hosts is not None:
            given["UserKnownHostsFile"] = _quoted(self.known_hosts)
            given["GlobalKnownHostsFile"] = "/dev/null"
        words = [word for key, value in given.items() for word in ("-o", f"{key}={value}")]
        if self.identity is not None:
            words += ["-o", "IdentitiesOnly=yes", "-i", str(self.identity)]
        words += ["-p", str(self.port)] if self.port is not None else []
        words += ["-l", self.user] if self.user is not None else []
        return words


def _quoted(path: Path) -> str:
    """A path as a value in ssh's configuration, which splits at blanks and expands ``%``."""
    return '"' + str(path).replace("%", "%%") + '"'


class SshConnection:
    """An open connection: see :func:`connected_by_ssh`."""

    def __init__(self, address: SshAddress, folder: Path) -> None:
        self._address = address
        self._folder = folder

    @property
    def argv(self) -> list[str]:
        """The command that runs another one on the host; its words follow, as one shell line."""
        return ["ssh", *self._shared(), *self._address.options(), "--", self._address.host]

    def libvirt_uri(self, uri: str) -> str:
        """``uri`` so that libvirt uses this connection: its program is a script that calls ssh.

        A signal for the process group, such as Ctrl-C, does not end it: what was begun on the host is
        undone over this connection.
        """
        script = self._folder / "ssh"
        apart = ["setsid"] if shutil.which("setsid") else []
        words = " ".join(map(shell_word, [*apart, "ssh", *self._shared(), *self._address.options()]))
        script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        script.chmod(0o700)
        parts = urlsplit(uri)
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in _OURS]
        query += [("no_tty", "1"), ("command", str(script))]
        return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))

    def _shared(self) -> list[str]:
        return ["-o", "ControlMaster=no", "-o", f"ControlPath={_quoted(self._folder / 'master')}"]


_OURS = ("command", "no_tty", "keyfile", "no_verify", "known_hosts", "known_hosts_verify", "sshauth")
"""Parameters of libvirt's URIs that are replaced by options of ssh."""


@contextmanager
def connected_by_ssh(name: str, address: SshAddress) -> Iterator[SshConnection]:
    """A connection to a host, ``name`` in messages. Raises HostError with what to do."""
    with tempfile.TemporaryDirectory(prefix="imagebuild-ssh-") as place:
        folder = Path(place)
        # It must not outlive a killed publisher; the other ssh processes end with their input.
        bound = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        master = [*bound, "ssh", "-M", "-N", "-S", str(folder / "master"), *address.options(), "--", address.host]
        with started(master, stderr=PIPE, grace=1) as process:
            begin = time.monotonic()
            while not (folder / "master").is_socket():
                with suppress(TimeoutExpired):
                    process.wait(0.02)
                    assert process.stderr is not None
                    raise refusal(name, address, process.stderr.read())
                if time.monotonic() - begin > CONNECT * 2:
                    raise HostError(f"{name}: no SSH connection to {address.host} within {CONNECT * 2} s")
            yield SshConnection(address, folder)


def refusal(name: str, address: SshAddress, said: str) -> HostError:
    """Why ssh did not connect, from what it printed (seen with OpenSSH 9.2 and 10.0)."""
    trying, known_hosts = _by_hand(address), one_line(address.known_hosts or "known_hosts")
    where = f"{name}: {address.host}"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return HostError(
            f"{where} has another SSH host key than {known_hosts} says",
            "find out why before you trust it: the host was installed again, or somebody else answers in its place",
        )
    if "Host key verification failed" in said:
        return HostError(
            f"{where} has an SSH host key that is not in {known_hosts}",
            f"check its fingerprint and accept it once: {trying}",
        )
    if "Permission denied" in said or "Too many authentication failures" in said:
        return HostError(
            f"{where} accepts none of the SSH keys", f"try it: {trying}; keys with a passphrase need ssh-agent"
        )
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("Warning:")]
    last = one_line(lines[-1].removeprefix("ssh: ").strip()) if lines else "ssh ended without a message"
    return HostError(f"{name}: no SSH connection: {last}", f"try it: {trying}")


def _by_hand(address: SshAddress) -> str:
    """The command with which a user makes the same connection, and is asked."""
    words: list[str | Path] = ["ssh"]
    if address.identity is not None:
        words += ["-i", address.identity]
    if address.known_hosts is not None:
        path = str(address.known_hosts)
        plain = re.fullmatch(r"[\w./+:@,-]+", path, re.ASCII)
        words += ["-o", f"UserKnownHostsFile={path if plain else _quoted(address.known_hosts)}"]
    if address.port:
        words += ["-p", str(address.port)]
    return command_line(*words, f"{address.user}@{address.host}" if address.user else address.host)


def on_host(connection: SshConnection | None, words: Sequence[str]) -> list[str]:
    """The command that runs ``words`` on the host, or on this one without a connection."""
    if connection is None:
        return list(words)
    return [*connection.argv, " ".join(map(shell_word, words))]
