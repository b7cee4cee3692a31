"""What to do if libvirt does not answer, from what its client library says. Pure.

The texts are those of libvirt 9.0 and of the programs that it starts on the other host. They are
tried in this order.
"""

from __future__ import annotations

import re

_PACKAGES = "libvirt-daemon-system (Debian) or libvirt-daemon (Fedora)"
_START = f"start libvirt on that host: systemctl start libvirtd (or virtqemud.socket); if it is missing: {_PACKAGES}"
_PROXY = f"libvirt needs virt-ssh-helper or nc on that host: install {_PACKAGES}"
_GROUP = "add the user to the group libvirt on that host: usermod -aG libvirt USER; it applies to new sessions"
_TLS = (
    "the host's certificate must be signed by the CA in /etc/pki/CA/cacert.pem here, or in `pkipath` of the URI, and"
    " have the host's name as the URI has it (subjectAltName)"
)
"""libvirt says only on standard error which of the two is wrong."""
_VERIFY = r"verify peer's certificate|got a known issuer|does not match the hostname|Cannot read CA certificate"
_HINTS = (
    (r"(virt-ssh-helper|\bnc\b|netcat).*not found", _PROXY),
    (_VERIFY, _TLS),
    (r"Permission denied(?! \()|authentication unavailable|no polkit agent|access denied", _GROUP),
    (r"Connection refused|(Failed to connect socket to|\bnc:) .*No such file", _START),
)


def connection_hint(said: str) -> str | None:
    """A hint for an error of virConnectOpen; None if it is not known what to do."""
    return next((hint for pattern, hint in _HINTS if re.search(pattern, said, re.IGNORECASE)), None)
