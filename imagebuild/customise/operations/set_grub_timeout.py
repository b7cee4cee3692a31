"""Set how long GRUB waits before it boots.

Sets ``GRUB_TIMEOUT`` in ``/etc/default/grub``, and ``set timeout`` in the ``grub.cfg`` that is used
at the next boot. With 0 the menu is not shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux.text import with_key
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    seconds: int = Field(ge=0, le=3600, description="seconds")


_DEFAULT = "/etc/default/grub"
_CONFIGURATIONS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/efi/EFI/*/grub.cfg")
_SETTING = re.compile(r"^([ \t]*set timeout=)\d+[ \t]*$", re.MULTILINE)


def apply(guest: Guest, params: Params) -> None:
    found = [path for path in guest.real_files(*_CONFIGURATIONS) if _SETTING.search(guest.read(path))]
    if not found and guest.real_file(_DEFAULT) is None:
        raise GuestError("this guest has no GRUB 2 configuration with a timeout")
    what = f"timeout {params.seconds} s"
    if guest.real_file(_DEFAULT):
        guest.edit(_DEFAULT, lambda text: with_key(text, "GRUB_TIMEOUT", str(params.seconds)), what)
    for path in found:
        guest.edit(path, lambda text: _SETTING.sub(rf"\g<1>{params.seconds}", text), what)
