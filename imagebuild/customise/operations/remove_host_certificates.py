"""Remove the private keys and certificates of this one host.

From ``/etc/pki/tls`` and ``/etc/ssl/private``, with the certificate of localhost and the one that Debian's ssl-cert has made.
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
    "/etc/pki/tls/certs/localhost.crt",
    "/etc/ssl/private/*",
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove_files(*_KEYS)
