"""Addresses of a farm's scheduler, as dask writes them: ``tls://host:port``, ``tcp://host:port``."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

_SCHEMES = ("tls", "tcp")


def checked(text: str) -> str:
    """The address. Raises ValueError with what is expected."""
    wrong = f"expected tls://HOST:PORT or tcp://HOST:PORT, found {text!r}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in _SCHEMES or not parts.hostname or not port or parts.path or parts.query or "@" in text:
        raise ValueError(wrong)
    return text


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of a checked address."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach a server at ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
