"""Authorise SSH keys to log in to an account.

Adds the public keys that are missing from the account's ``authorized_keys``. The file and its
folder are owned by the account and accessible only to it. If the guest has no such account, that is
an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux.text import with_line_at_end
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import UserName
from imagebuild.errors import GuestError
from imagebuild.schema.accounts import SshKey
from imagebuild.schema.section import SecretRef

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    user: UserName = Field(default="root", description="the account")
    keys: tuple[SshKey, ...] = Field(
        min_length=1, description="public keys, each in full or as a reference: `{env: NAME}` or `{file: PATH}`"
    )


def apply(guest: Guest, params: Params) -> None:
    home = next((home for home in guest.homes() if home.user == params.user), None)
    if home is None:
        raise GuestError(f"the guest has no account {params.user} with a home folder")
    folder, path = f"{home.path}/.ssh", f"{home.path}/.ssh/authorized_keys"
    if guest.exists(folder) and not guest.is_dir(folder):
        raise GuestError(f"{folder} in the guest is not a folder")
    before = guest.read(path) if guest.real_file(path) else ""
    text = before
    for key in _keys(guest, params):
        known = {" ".join(line.split()[:2]) for line in text.splitlines()}
        text = text if " ".join(key.split()[:2]) in known else with_line_at_end(text, key)
    guest.create(path, text, mode=0o600, what="added SSH keys", owner=(home.uid, home.gid))
    guest.chown(folder, home.uid, home.gid)
    guest.chmod(folder, 0o700)


def _keys(guest: Guest, params: Params) -> list[str]:
    found: list[str] = []
    for key in params.keys:
        found += guest.supplies.words(key) if isinstance(key, SecretRef) else [key]
    return found
