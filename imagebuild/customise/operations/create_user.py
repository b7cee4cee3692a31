"""Create an account, or change an existing one to match the parameters.

A new account gets a group of its own, a home folder with the contents of ``/etc/skel``, and ranges
of subordinate ids if the guest uses them. Without a password the account is locked, but an SSH key
can still open it (add-ssh-keys). Missing groups are created. With ``sudo`` the account may become
root: a rule in ``/etc/sudoers.d`` asks for its password, or for none if it has none. The home
folder of an existing account stays where it is. If an existing account has a different id than the
one requested, that is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.facts import ACCOUNTS
from imagebuild.customise.linux import account_files
from imagebuild.customise.linux.text import with_line_at_end
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath
from imagebuild.errors import GuestError
from imagebuild.schema.accounts import AccountId, AccountName, Gecos, Shell
from imagebuild.schema.section import SecretRef

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    name: AccountName = Field(description="name of the account")
    password: SecretRef | None = Field(
        default=None, description="its password, in plain text or hashed: `{env: NAME}` or `{file: PATH}`"
    )
    uid: AccountId | None = Field(default=None, description="user id; by default the next free one")
    gid: AccountId | None = Field(
        default=None, description="id of its own group; by default the user id, if that is free"
    )
    groups: tuple[AccountName, ...] = Field(default=(), description="additional groups")
    shell: Shell = Field(default="/bin/bash", description="login shell, which must exist in the guest")
    home: GuestPath | None = Field(default=None, description="home folder; by default `/home/NAME`")
    gecos: Gecos = Field(default="", description="comment, usually the full name")
    sudo: bool = Field(
        default=False, description="whether the account may become root with sudo, which must be installed"
    )


_HOME_MODE = 0o700
_SKELETON = "/etc/skel"
_SUDOERS = "/etc/sudoers.d"


def apply(guest: Guest, params: Params) -> None:
    _check(guest, params)
    before = account_files.find(guest.read(ACCOUNTS), params.name)
    if before is None:
        _add(guest, params)
    elif len(before) < 7 or (params.uid is not None and before[2] != str(params.uid)):
        raise GuestError(f"the guest already has an account {params.name}, with the user id {before[2]}")
    else:
        after = [*before[:4], params.gecos or before[4], before[5], params.shell]
        guest.edit(ACCOUNTS, lambda text: account_files.with_fields(text, params.name, lambda _: after), "account")
    if params.password is not None:
        account_files.set_password(guest, params.name, guest.supplies.words(params.password)[0])
    elif before is None:
        account_files.lock(guest, params.name)
    for group in params.groups:
        account_files.add_group(guest, group)
        account_files.add_member(guest, group, params.name)
    if params.sudo:
        asks = "" if params.password else "NOPASSWD: "
        guest.create(f"{_SUDOERS}/{params.name}", f"{params.name} ALL=(ALL:ALL) {asks}ALL\n", mode=0o440)


def _check(guest: Guest, params: Params) -> None:
    """Raise GuestError for anything missing in the guest, before anything changes."""
    for path in (ACCOUNTS, account_files.SHADOW, account_files.GROUPS):
        if guest.real_file(path) is None:
            raise GuestError(f"this guest has no {path}")
    if guest.real_file(params.shell) is None:
        raise GuestError(
            f"the guest has no {params.shell}", "set `shell` to another one, or install it first with install-packages"
        )
    if params.sudo and not guest.is_dir(_SUDOERS):
        raise GuestError("this guest has no sudo", "install it first with install-packages")


def _add(guest: Guest, params: Params) -> None:
    text = guest.read(ACCOUNTS)
    uid = params.uid if params.uid is not None else account_files.free_id(text)
    if (other := account_files.holder(text, uid)) is not None:
        raise GuestError(f"the user id {uid} is already in use by the guest's account {other}")
    own = params.gid
    if own is None and account_files.holder(guest.read(account_files.GROUPS), uid) is None:
        own = uid
    gid = account_files.add_group(guest, params.name, own)
    home = params.home or f"/home/{params.name}"
    line = f"{params.name}:x:{uid}:{gid}:{params.gecos}:{home}:{params.shell}"
    guest.edit(ACCOUNTS, lambda old: with_line_at_end(old, line), f"added {params.name}")
    account_files.add_subordinate_ids(guest, params.name)
    if not guest.exists(home):
        guest.create_folder(home, _HOME_MODE, (uid, gid))
        _copy_skeleton(guest, home, (uid, gid))


def _copy_skeleton(guest: Guest, home: str, owner: tuple[int, int]) -> None:
    for path, entry in guest.walk(_SKELETON):
        target = home + path.removeprefix(_SKELETON)
        if entry.kind == "dir":
            guest.create_folder(target, entry.mode, owner)
        elif entry.kind == "symlink":
            guest.symlink(guest.readlink(path), target)
            guest.chown(target, *owner)
        else:
            guest.create(target, guest.read_bytes(path), mode=entry.mode, owner=owner)
