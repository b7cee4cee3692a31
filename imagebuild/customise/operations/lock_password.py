"""Lock the password of an account.

Works like ``passwd -l``: the password hash is kept behind an exclamation mark. SSH keys can still
open the account. An account that is already locked stays as it is; an account that does not exist
in the guest is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux import account_files
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import UserName

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    user: UserName = Field(default="root", description="the account")


def apply(guest: Guest, params: Params) -> None:
    account_files.check(guest, params.user)
    account_files.lock(guest, params.user)
