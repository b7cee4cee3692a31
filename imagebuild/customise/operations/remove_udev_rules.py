"""Remove persistent udev rules.

Old versions of udev wrote the hardware addresses they found into rules that name the interfaces, so
that the first network card of a clone becomes ``eth1``. This operation removes such rules for
network cards, InfiniBand cards and optical drives from ``/etc/udev/rules.d``, and any copy of their
generator there. A generator that is masked (an empty file, or a link to /dev/null) stays masked.

In files written by an administrator, a rule that matches the hardware address of one card is
removed; other rules stay. If such a rule assigns a name that the network configuration uses and
that no card gets otherwise, it assigns that name to the first Ethernet card instead.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from imagebuild.customise.network import addresses, config_files, udev_rules
from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ("udev-persistent-net",)
Params = NoParams

_RULES = ("70-persistent-net.rules", "70-persistent-ipoib.rules", "70-persistent-cd.rules")
_GENERATORS = ("75-persistent-net-generator.rules", "75-cd-aliases-generator.rules")


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(f"/etc/udev/rules.d/{name}" for name in _RULES)
    copies = (f"/etc/udev/rules.d/{name}" for name in _GENERATORS)
    guest.remove(path for path in copies if guest.is_file(path) and guest.size(path) > 0)
    for path, text in config_files.texts(guest, "/etc/udev/rules.d/*.rules").items():
        if not addresses.names_address(text):
            continue
        in_use = config_files.names_in_use(guest)
        edited = udev_rules.without_addresses(text, in_use)
        if edited.strip():
            guest.edit(path, partial(udev_rules.without_addresses, is_used=in_use), "removed rules for one card")
        else:
            guest.remove(path)
        if addresses.names_address(edited):
            guest.not_done(path, "contains hardware addresses in an unknown place")
