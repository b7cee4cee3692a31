"""The appliance's network access: disabled, except while something needs it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ApplianceNetwork:
    """The network card of a running appliance that was started with one. It is disabled
    immediately."""

    def __init__(self, guestfs: Any) -> None:
        self._g = guestfs
        found = re.search(r"^default via (\S+) dev (\S+)", self._ip("route", "show", "default"), re.MULTILINE)
        if found is None:
            raise GuestError("the libguestfs appliance has no network", "run `libguestfs-test-tool` for details")
        self._gateway, self._card = found.groups()
        self._ip("link", "set", self._card, "down")

    @contextmanager
    def open(self) -> Iterator[None]:
        """Enable the network while the block runs. Only outgoing connections are possible, through
        QEMU on the host."""
        self._ip("link", "set", self._card, "up")
        # The card keeps its address, but its routes are lost.
        self._ip("route", "replace", "default", "via", self._gateway, "dev", self._card)
        try:
            yield
        finally:
            self._ip("link", "set", self._card, "down")

    def _ip(self, *words: str) -> str:
        """Run the appliance's own ``ip``: libguestfs has no call to configure its network."""
        return str(self._g.debug("sh", ["ip", *words]))
