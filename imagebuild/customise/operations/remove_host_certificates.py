"""Remove the private keys and certificates of this one host.

From ``/etc/pki/tls``, ``/etc/pki/CA`` and ``/etc/ssl/private``, with the certificate of localhost and the one that Debian's ssl-cert has made.
Not in the default set: a certificate may have been put into a template on purpose, and a service that is set up with
it does not start without it. The bundles of certificate authorities stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("ca-certificates",)
Params = NoParams

_KEYS = (
    "/etc/pki/tls/private/*",
    "/etc/pki/tls/certs/*.crt",
    "/etc/pki/CA/certs/*.crt",
    "/etc/pki/CA/crl/*.crt",
    "/etc/pki/CA/newcerts/*.crt",
    "/etc/pki/CA/private/*.key",
    "/etc/ssl/private/*",
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
)


_BUNDLES = ("ca-bundle.crt", "ca-bundle.trust.crt")


def apply(guest: Guest, params: NoParams) -> None:
    found = (path for path in guest.glob(*_KEYS) if not path.endswith(_BUNDLES))
    guest.remove(path for path in found if not guest.is_dir(path))
