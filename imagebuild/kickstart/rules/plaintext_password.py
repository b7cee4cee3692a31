"""A password or passphrase is in plain text.

Copies of the kickstart remain: in the guest, where the installer stores it
(`/root/anaconda-ks.cfg`, `/root/original-ks.cfg`), in logs, in version control. Whoever reads one
has the password of every clone. Without `--iscrypted` a password counts as plain text. In a recipe,
write `root: {password: {env: NAME}}`, which is hashed before it is written to the kickstart.
Otherwise lock the account (`rootpw --lock`) and use SSH keys, or write the output of
`openssl passwd -6`, with `--iscrypted`. A disk passphrase has no hashed form, and all clones of a
template would share it: encrypt after cloning.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Command, Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_HASHED = ("rootpw", "user", "bootloader", "sshpw")
_OTHERS = {
    "vnc": ("--password",),
    "autopart": ("--passphrase",),
    "part": ("--passphrase",),
    "partition": ("--passphrase",),
    "logvol": ("--passphrase",),
    "raid": ("--passphrase",),
    "iscsi": ("--password", "--reverse-password"),
    "realm": ("--one-time-password",),
}
_HASH_OPTIONS = ("--iscrypted", "--md5pass")


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Every command with a secret; the message does not contain it."""
    for command in kickstart.named(*_HASHED):
        if _has_password(command) and (not command.has(*_HASH_OPTIONS) or command.has("--plaintext")):
            yield Said(command.line, f"{command.name} holds a password in plain text", "write a hash, with --iscrypted")
    for command in kickstart.named(*_OTHERS):
        for option in _OTHERS[command.name]:
            if command.option(option):
                yield Said(command.line, f"{command.name} {option} is a secret in plain text", "remove it")


def _has_password(command: Command) -> bool:
    if command.name in ("user", "bootloader"):
        return bool(command.option("--password"))
    if command.name == "sshpw" and command.has("--sshkey"):
        return False
    if command.name == "rootpw":  # pykickstart's data is that of the last rootpw
        return any(not word.startswith("-") for word in command.words[1:])
    return bool(getattr(command.data, "password", ""))
