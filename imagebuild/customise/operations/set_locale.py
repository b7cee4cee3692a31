"""Set the system's locale.

Sets ``LANG`` in ``/etc/locale.conf``, and in the files of Debian (``/etc/default/locale``), RHEL 6
(``/etc/sysconfig/i18n``) and SUSE (``RC_LANG`` in ``/etc/sysconfig/language``) if they exist. No
locale is generated: C.UTF-8 always exists, others are installed with packages.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux.text import with_key
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    locale: str = Field(pattern=r"^[A-Za-z_]+(\.[A-Za-z0-9-]+)?(@[a-z]+)?$", description="a name such as de_DE.UTF-8")


_KEYS = {
    "/etc/locale.conf": "LANG",
    "/etc/default/locale": "LANG",
    "/etc/sysconfig/i18n": "LANG",
    "/etc/sysconfig/language": "RC_LANG",
}


def apply(guest: Guest, params: Params) -> None:
    there = guest.real_files(*_KEYS)
    for path in there:
        guest.edit(path, partial(with_key, key=_KEYS[path], value=params.locale), f"locale {params.locale}")
    if not there:
        guest.create("/etc/locale.conf", f"LANG={params.locale}\n")
