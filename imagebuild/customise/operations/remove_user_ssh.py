"""Remove the SSH keys and the known hosts of every account.

Removes private keys, their public keys, known hosts and everything else below ``~/.ssh``, except
``config`` and the ``authorized_keys`` files: those are put into a template on purpose.
``authorized_keys: true`` removes the authorised keys too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("ssh-userdir",)


class Params(BaseParams):
    authorized_keys: bool = Field(default=False, description="whether to remove the authorised keys, too")


_STAY = ("config", "config.d")
_KEYS = ("authorized_keys", "authorized_keys2")


def apply(guest: Guest, params: Params) -> None:
    stay = _STAY if params.authorized_keys else (*_STAY, *_KEYS)
    for home in guest.homes():
        guest.clear(f"{home.path}/.ssh", stay)
