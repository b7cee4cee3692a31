"""Remove the saved random seed and systemd's host key for credentials.

If all clones load the same seed at boot, their random numbers are alike; systemd and the older
``urandom`` scripts write a new seed at the next boot. ``/var/lib/systemd/credential.secret``
encrypts service credentials for one host. systemd generates a new one when it is first needed;
credentials that were encrypted with the old one can no longer be decrypted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
Params = NoParams

_SECRETS = (
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/urandom/random-seed",
    "/var/lib/random-seed",
    "/boot/loader/random-seed",
    "/boot/efi/loader/random-seed",
    "/efi/loader/random-seed",
    "/var/lib/misc/random-seed",
    "/var/lib/seedrng/seed.credit",
    "/var/lib/seedrng/seed.no-credit",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(_SECRETS)
