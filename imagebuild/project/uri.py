"""libvirt's connection URIs, as far as hosts of a project may use them.

The syntax and the parameters are libvirt's, https://libvirt.org/uri.html. Only parameters that are
listed here are accepted: others start programs, or have a key of the host's entry. libvirt 9.0
ignores a parameter that it does not know, and `known_hosts` together with qemu+ssh. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from imagebuild.schema.fields import shown, text

Transport = Literal["unix", "ssh", "tls", "tcp"]

HOST = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]{2,45}\]"
USER = r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,62}"
"""Neither can begin with '-', which ssh would take for an option."""
AUTHORITY = re.compile(rf"(?:({USER})@)?({HOST})(?::([0-9]{{1,5}}))?")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(/[^?#]*)?(?:\?([^#]*))?")
_PASSWORD = re.compile(r"[^/?#]*//[^/?#@]*(?::|%3[Aa])[^/?#]*@")
_LOCAL_PATH = re.compile(r"/[A-Za-z0-9._/@+-]{1,250}")
PARAMETERS: Mapping[Transport, Mapping[str, re.Pattern[str]]] = {
    "unix": {"socket": _LOCAL_PATH, "mode": re.compile("auto|legacy|direct")},
    "ssh": {
        "socket": _LOCAL_PATH,
        "mode": re.compile("auto|legacy|direct"),
        "proxy": re.compile("auto|netcat|native"),
        "netcat": re.compile(r"[A-Za-z0-9_/][A-Za-z0-9._/-]{0,250}"),
        "no_tty": re.compile("[01]"),
        "no_verify": re.compile("[01]"),
    },
    "tls": {
        "pkipath": _LOCAL_PATH,
        "tls_priority": re.compile(r"[A-Za-z0-9@][A-Za-z0-9@:+!%._-]{0,250}"),
        "no_verify": re.compile("[01]"),
    },
    "tcp": {},
}
"""For each transport, the parameters that a URI may have, with their values."""
_REFUSED = {
    "keyfile": "use the key identity_file of the host's entry instead",
    "known_hosts": "use the key known_hosts_file of the host's entry instead",
    "known_hosts_verify": "ssh verifies host keys; use the key known_hosts_file of the host's entry",
    "command": "ssh is started from PATH; configure it in ~/.ssh/config",
    "sshauth": "ssh authenticates as ~/.ssh/config says; use the key identity_file of the host's entry",
    "name": "name the daemon by the path of the URI",
}


@dataclass(frozen=True)
class LibvirtUri:
    """The parts of a URI; ``path`` is ``/system`` or ``/session``, ``host`` is empty for this machine.

    IPv6 addresses are without brackets.
    """

    transport: Transport
    path: Literal["/system", "/session"]
    host: str = ""
    user: str = ""
    port: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether the daemon runs on this machine."""
        return self.transport == "unix"

    @property
    def is_session(self) -> bool:
        """Whether the daemon is the user's own."""
        return self.path == "/session"

    @property
    def insecurities(self) -> tuple[str, ...]:
        """What somebody on the network could use against this connection, as clauses."""
        return tuple(self._insecurities())

    def _insecurities(self) -> Iterator[str]:
        if self.transport == "tcp":
            yield "qemu+tcp neither encrypts nor verifies anything"
        if self.parameters.get("no_verify") == "1":
            yield "no_verify=1 accepts any machine that answers"

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        transport = "" if self.is_local else f"+{self.transport}"
        query = "&".join(f"{key}={value}" for key, value in self.parameters.items())
        return f"qemu{transport}://{user}{host}{port}{self.path}{f'?{query}' if query else ''}"


def refuse_password(line: str) -> None:
    """Raise ValueError, which does not repeat the text, if a URL has a password in it."""
    if _PASSWORD.match(line):
        raise ValueError("a URL must not contain a password: it would appear in logs and in `ps`")


def found_text(wrong: str) -> str:
    """The end of a message: what was found, unless it may contain a password."""
    return "" if "@" in wrong else f", found {shown(wrong)}"


def parsed(value: object) -> LibvirtUri:
    """A connection URI. Raises ValueError with the reason if it cannot be used."""
    line = text(value)
    refuse_password(line)
    expected = "a libvirt URI such as qemu+ssh://root@host/system or qemu:///system"
    found = _URI.fullmatch(line)
    if found is None:
        raise ValueError(f"expected {expected}{found_text(line)}")
    scheme, authority, path, query = (part or "" for part in found.groups())
    transport = _transport(scheme, authority)
    user, host, port = _authority(authority, transport)
    if path not in ("/system", "/session"):
        raise ValueError(f"expected /system or /session after the host{found_text(path)}")
    if path == "/session" and transport in ("tls", "tcp"):
        raise ValueError("the session daemon of a user is reached by qemu+ssh only; use /system")
    parameters = _parameters(query, transport)
    if parameters.get("proxy") == "native" and "netcat" in parameters:
        raise ValueError("netcat is not used with proxy=native; remove one of the two from the URI")
    return LibvirtUri(transport, cast("Literal['/system', '/session']", path), host, user, port, parameters)


def _transport(scheme: str, authority: str) -> Transport:
    driver, _, transport = scheme.partition("+")
    if driver != "qemu":
        raise ValueError(f"expected a URI of libvirt's QEMU driver, which begins with qemu, found {shown(scheme)}")
    if transport in ("libssh", "libssh2"):
        raise ValueError(
            f"qemu+{transport} is not supported, because its library writes known_hosts itself and can truncate it;"
            " use qemu+ssh"
        )
    if transport == "ext":
        raise ValueError("qemu+ext starts a program of the URI; use qemu+ssh, and ~/.ssh/config for a jump host")
    if not transport and authority:
        raise ValueError("write which transport is meant: qemu+ssh://… or qemu+tls://…; qemu:// is this machine")
    if transport in ("", "unix"):
        return "unix"
    if transport not in ("ssh", "tls", "tcp"):
        raise ValueError(f"the transport {shown(transport)} is unknown; use qemu+ssh, qemu+tls, or qemu:///system")
    return cast("Transport", transport)


def _authority(authority: str, transport: Transport) -> tuple[str, str, int | None]:
    if transport == "unix":
        if authority:
            raise ValueError("qemu+unix is this machine: write qemu+unix:///system without a host")
        return "", "", None
    if not authority:
        raise ValueError(f"expected the name of a host after qemu+{transport}://")
    return split_authority(authority)


def split_authority(authority: str) -> tuple[str, str, int | None]:
    """User, host and port of ``[user@]host[:port]``; Raises ValueError, which repeats neither."""
    found = AUTHORITY.fullmatch(authority)
    if found is None:
        raise ValueError("expected [user@]host[:port] after '://', each of letters, digits, '.', '_' and '-'")
    user, host, port = found.groups()
    number = None if port is None else int(port)
    if number is not None and not 1 <= number <= 65535:
        raise ValueError(f"expected a port of 1 to 65535, found {port}")
    return user or "", host.strip("[]"), number


def _parameters(query: str, transport: Transport) -> dict[str, str]:
    allowed = PARAMETERS[transport]
    parameters: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, equals, value = part.partition("=")
        if key in _REFUSED:
            raise ValueError(f"the parameter {key} is not allowed in the URI: {_REFUSED[key]}")
        if key not in allowed or not equals:
            known = ", ".join(allowed) or "none"
            raise ValueError(f"unknown parameter {shown(key)} in the URI; known for this transport: {known}")
        if key in parameters:
            raise ValueError(f"the parameter {key} occurs twice in the URI")
        if not allowed[key].fullmatch(value):
            raise ValueError(f"the parameter {key} of the URI has an invalid value: {shown(value)}")
        parameters[key] = value
    if parameters.get("no_verify") == "0":
        del parameters["no_verify"]  # the default; so that it is there only if it matters
    return parameters
