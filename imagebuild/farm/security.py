"""Who may take part in a farm: whoever has a certificate of the farm's authority.

dask runs the functions that clients send, so reaching the scheduler means running programs on all
workers. Without certificates a farm is open to all users of the machine, and stays on it.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.errors import HostError, UsageError
from imagebuild.project.farm_address import host_and_port, is_loopback

if TYPE_CHECKING:
    from distributed.security import Security

_PATIENCE = 10.0
_REFUSAL = 1.0
"""Seconds in which a server that refuses our certificate says so, after the handshake (TLS 1.3)."""


@dataclass(frozen=True)
class FarmKeys:
    """The files of TLS: the authority's certificate, this program's certificate and its key."""

    ca: Path
    certificate: Path
    key: Path

    def checked(self) -> FarmKeys:
        """The same, if the files can be used. Raises HostError."""
        self.context(ssl.Purpose.SERVER_AUTH)
        return self

    def context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        """A context that accepts only certificates of the authority. Raises HostError."""
        try:
            context = ssl.create_default_context(purpose, cafile=str(self.ca))
            context.load_cert_chain(str(self.certificate), str(self.key))
        except (OSError, ssl.SSLError) as error:
            names = f"{self.ca}, {self.certificate} and {self.key}"
            raise HostError(
                f"TLS cannot use {names}: {error.strerror or error}", "check farm.ca, farm.certificate and farm.key"
            ) from error
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def security(self) -> Security:
        """The same for dask."""
        from distributed.security import Security

        ca, certificate, key = str(self.ca), str(self.certificate), str(self.key)
        return Security(
            require_encryption=True,
            tls_ca_file=ca,
            tls_client_cert=certificate,
            tls_client_key=key,
            tls_scheduler_cert=certificate,
            tls_scheduler_key=key,
            tls_worker_cert=certificate,
            tls_worker_key=key,
        )


def require_secure(address: str, keys: FarmKeys | None, *, insecure: bool) -> None:
    """Raise UsageError for plain TCP to another machine, and for TLS without keys."""
    encrypted = address.startswith("tls:")
    if encrypted and keys is None:
        raise UsageError(f"{address} needs certificates", "give --ca, --certificate and --key, or set them under farm")
    if not encrypted and keys is not None:
        raise UsageError(f"{address} is not encrypted, although certificates are given", "use tls://")
    if not encrypted and not insecure and not is_loopback(host_and_port(address)[0]):
        raise UsageError(
            f"{address} is not encrypted, and whoever reaches a scheduler can run programs on all its workers",
            "use tls:// with certificates, or say insecure: true under farm",
        )


def require_reachable(address: str, keys: FarmKeys | None) -> None:
    """Connect once, to say in one sentence what is wrong; dask would try again and again. Raises
    HostError.
    """
    place = host_and_port(address)
    try:
        with socket.create_connection(place, _PATIENCE) as plain:
            if keys is not None:
                _shake_hands(plain, keys)
    except ssl.SSLCertVerificationError as error:
        raise HostError(
            f"the scheduler {address} has a certificate of another authority: {error.verify_message}",
            "check farm.ca; do not work with that scheduler if it should have another certificate",
        ) from error
    except ssl.SSLError as error:
        raise HostError(
            f"the scheduler {address} refused this machine's certificate: {error.reason or error}",
            "its certificate must be signed by the farm's authority, and not have expired; see farm.certificate",
        ) from error
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise HostError(f"cannot reach the scheduler {address}: {reason}", "is it running there?") from error


def _shake_hands(plain: socket.socket, keys: FarmKeys) -> None:
    with keys.context(ssl.Purpose.SERVER_AUTH).wrap_socket(plain) as encrypted:
        encrypted.settimeout(_REFUSAL)
        with suppress(TimeoutError):
            encrypted.recv(1)
