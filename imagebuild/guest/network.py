"""The appliance's way to the network: closed, except while something asks for it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ApplianceNetwork:
    """The network card of a running appliance that was started with one. It is switched off at once."""

    def __init__(self, guestfs: Any) -> None:
        self._g = guestfs
        found = re.search(r"^default via (\S+) dev (\S+)", self._ip("route", "show", "default"), re.MULTILINE)
        if found is None:
            raise GuestError("libguestfs's appliance got no network", "`libguestfs-test-tool` may tell more")
        self._gateway, self._card = found.groups()
        self._ip("link", "set", self._card, "down")

    @contextmanager
    def open(self) -> Iterator[None]:
        """Have the network while the block runs. Only outgoing connections are possible, through QEMU on the host."""
        self._ip("link", "set", self._card, "up")
        # The card keeps its address; the routes went with it.
        self._ip("route", "replace", "default", "via", self._gateway, "dev", self._card)
        try:
            yield
        finally:
            self._ip("link", "set", self._card, "down")

    def _ip(self, *words: str) -> str:
        """Run the appliance's own ``ip``; no call of libguestfs's sets up its network."""
        return str(self._g.debug("sh", ["ip", *words]))
