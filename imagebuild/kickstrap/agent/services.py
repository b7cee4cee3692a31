"""Which services of the guest are switched on and off."""

from __future__ import annotations

from typing import NamedTuple


class ServiceChanges(NamedTuple):
    """Units by name, with or without ``.service``."""

    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
