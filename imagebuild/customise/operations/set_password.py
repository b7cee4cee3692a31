"""Set the password of an account.

The password is given only by reference: an environment variable or a file of the build host that
contains the password itself or its crypt(5) hash. A plain-text password is hashed (SHA-512) before
it gets near the guest. If the guest has no such account, that is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux import account_files
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import UserName
from imagebuild.schema.section import SecretRef

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    user: UserName = Field(default="root", description="the account")
    password: SecretRef = Field(description="its password, in plain text or hashed: `{env: NAME}` or `{file: PATH}`")


def apply(guest: Guest, params: Params) -> None:
    account_files.check(guest, params.user)
    account_files.set_password(guest, params.user, guest.supplies.words(params.password)[0])
