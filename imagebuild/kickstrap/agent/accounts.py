"""Configures root, users, groups and SSH keys of the installed system, with its own tools."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .plan import InstallPlan, Password, PlannedUser, UserGroup
    from .target import Target


class PasswdEntry(NamedTuple):
    """An account's entry in /etc/passwd."""

    uid: int
    gid: int
    home: str


def entries(passwd: str) -> dict[str, PasswdEntry]:
    """The accounts in the text of a passwd(5) file."""
    found = {}
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) == 7:
            found[fields[0]] = PasswdEntry(int(fields[2]), int(fields[3]), fields[5])
    return found


def useradd_command(user: PlannedUser) -> list[str]:
    options = ["--create-home", "--shell", user.shell or "/bin/bash"]
    options += ["--uid", str(user.uid)] if user.uid is not None else []
    options += ["--gid", str(user.gid)] if user.gid is not None else []
    options += ["--groups", ",".join(user.groups)] if user.groups else []
    options += ["--home-dir", user.home] if user.home else []
    options += ["--comment", user.gecos] if user.gecos else []
    return ["useradd", *options, user.name]


def configure(target: Target, plan: InstallPlan) -> None:
    """Configure groups, then users, passwords and keys. Without ``rootpw``, root stays as in the
    payload.
    """
    add_groups(target, plan.groups, plan.users)
    for user in plan.users:
        if user.name in entries(target.read("/etc/passwd")):
            raise InstallError(f"user {user.name}: this account already exists in the target")
        target.commands.run(useradd_command(user))
    passwords = [(user.name, user.password) for user in plan.users]
    if plan.root is not None:
        passwords.append(("root", plan.root))
    set_passwords(target, passwords)
    if plan.root_ssh:
        target.write("/etc/ssh/sshd_config.d/01-root.conf", "PermitRootLogin yes\n")
    for name in dict.fromkeys(name for name, _ in plan.ssh_keys):
        add_keys(target, name, [key for owner, key in plan.ssh_keys if owner == name])


def make_host_keys(target: Target) -> None:
    """Make the SSH host keys that are missing: a root archive has none, since others have it too."""
    if target.has("/usr/sbin/sshd") and target.has("/usr/bin/ssh-keygen"):
        target.commands.run(["ssh-keygen", "-A"])


def add_groups(target: Target, groups: Sequence[UserGroup], users: Sequence[PlannedUser]) -> None:
    """Add the requested groups, and those of users that the target lacks, as Anaconda does."""
    known = {line.partition(":")[0] for line in target.read("/etc/group").splitlines()}
    for group in groups:
        if group.name in known:
            target.log(f"group {group.name}: nothing to do, it already exists")
            continue
        gid = ["--gid", str(group.gid)] if group.gid is not None else []
        target.commands.run(["groupadd", *gid, group.name])
        known.add(group.name)
    named = dict.fromkeys(name for user in users for name in user.groups)
    for name in named:
        if name not in known:
            target.commands.run(["groupadd", name])


def set_passwords(target: Target, passwords: Iterable[tuple[str, Password]]) -> None:
    """Passwords go through standard input, never through a command line."""
    crypted: list[str] = []
    plain: list[str] = []
    locked: list[str] = []
    for name, password in passwords:
        if password.text:
            (crypted if password.crypted else plain).append(f"{name}:{password.text}\n")
        if password.lock or not password.text:
            locked.append(name)
    if crypted:
        target.commands.run(["chpasswd", "--encrypted"], input="".join(crypted))
    if plain:
        target.commands.run(["chpasswd"], input="".join(plain))
    for name in locked:
        if not is_locked(target.read("/etc/shadow"), name):
            target.commands.run(["usermod", "--lock", name])


def is_locked(shadow: str, name: str) -> bool:
    """Whether no password can match, according to a shadow(5) file."""
    fields = [line.split(":") for line in shadow.splitlines()]
    return any(field[0] == name and field[1][:1] in {"!", "*"} for field in fields if len(field) > 1)


def add_keys(target: Target, name: str, keys: Sequence[str]) -> None:
    """Add keys to ~/.ssh/authorized_keys, with the owner and modes that sshd requires."""
    entry = entries(target.read("/etc/passwd")).get(name)
    if entry is None:
        raise InstallError(f"sshkey: the target has no account {name}")
    folder = f"{entry.home}/.ssh"
    target.path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    path = f"{folder}/authorized_keys"
    lines = target.read(path).splitlines()
    lines += [key for key in keys if key not in lines]
    target.write(path, "\n".join(lines) + "\n", mode=0o600)
    if (entry.uid, entry.gid) != (os.getuid(), os.getgid()):
        for place in (folder, path):
            os.chown(target.path(place), entry.uid, entry.gid)
