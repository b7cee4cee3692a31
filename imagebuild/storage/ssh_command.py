"""How ssh is started for a server of a project: the user's own configuration, never a question, and
never an unknown host key. Pure.
"""

from __future__ import annotations

from pathlib import Path

from imagebuild.errors import HostError, UsageError
from imagebuild.printable import one_line

ALIVE = 15
"""Seconds after which ssh asks a silent server whether it is there; it gives up after three times."""
_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=20",
    f"ServerAliveInterval={ALIVE}",
    "ServerAliveCountMax=3",
    "ControlMaster=no",  # a master that stays would keep the pipes open
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RequestTTY=no",
    "LogLevel=ERROR",
)
_HINTS = (
    ("host identification has changed", "find out why; if it is right, replace its key in the known_hosts file"),
    ("host key verification failed", "add the host's key to the known_hosts file, after checking it"),
    ("permission denied", "make sure that ssh logs in without a password: a key in the agent, or identity_file"),
    ("no such file or directory", "make sure that identity_file is there"),
    ("could not resolve", "check the name of the host in imagebuild.yaml"),
    ("connection refused", "make sure that the SSH server runs, and that the port is right"),
    ("timed out", "make sure that the host is up and that no firewall is between"),
    ("subsystem request failed", "allow SFTP on the server: Subsystem sftp internal-sftp in sshd_config"),
)


def subsystem(
    name: str,
    host: str,
    user: str = "",
    port: int | None = None,
    identity_file: Path | None = None,
    known_hosts_file: Path | None = None,
) -> list[str]:
    """The command that connects its stdin and stdout to a subsystem of the server, such as sftp.

    Raises UsageError for a path that ssh's configuration cannot express.
    """
    options = list(_OPTIONS)
    if identity_file is not None:
        options += [f"IdentityFile={_quoted(identity_file)}", "IdentitiesOnly=yes"]
    if known_hosts_file is not None:
        options += [f"UserKnownHostsFile={_quoted(known_hosts_file)}", "GlobalKnownHostsFile=/dev/null"]
    if user:
        options.append(f"User={user}")
    if port is not None:
        options.append(f"Port={port}")
    return ["ssh", *(f"-o{option}" for option in options), "-s", "--", host, name]


def _quoted(path: Path) -> str:
    text = str(path)
    if '"' in text or "${" in text or "\\" in text or not text.isprintable():
        raise UsageError(f"ssh cannot use a file whose path is {text!r}", "rename it")
    return '"' + text.replace("%", "%%") + '"'


def failure(place: str, said: str) -> HostError:
    """The error for a connection that ended; ``said`` is what ssh printed."""
    lines = [line for line in said.splitlines() if line.strip(" @\r")]
    words = said.casefold()
    hint = next((hint for sign, hint in _HINTS if sign in words), None)
    if "host identification has changed" in words:
        return HostError(f"the host key of {place} is not the one that is known", hint)
    why = ": " + " | ".join(one_line(line.strip()) for line in lines[-2:]) if lines else ", and ssh did not say why"
    return HostError(f"the connection to {place} ended{why}", hint)
