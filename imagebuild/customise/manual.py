"""The manual of the operations, generated from their docstrings and parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise import registry
from imagebuild.schema import parameters

if TYPE_CHECKING:
    from imagebuild.customise.operation import Operation

_INTRODUCTION = """\
# Operations

An operation changes a guest's disk offline, through libguestfs. A recipe lists operations by name under
`operations:`; an operation with parameters is a mapping from its name to its parameters. All operations of a recipe
share one launch of libguestfs. They run in the order of their phases (customise, configure, scrub, seal), and within a
phase in the recipe's order. Operations can be repeated: one that finds nothing to do changes nothing.

The **default set** turns any image into a template: `imagebuild scrub` applies it. **House rules** are settings that
the shipped recipes add to it; `imagebuild scrub --house-rules` applies them to an existing image.

This page is generated from the operations' source files in `imagebuild/customise/operations/`
(`pytest tests/customise/test_operations_manual.py --regenerate`).
"""

_BESIDE_SYSPREP = """\
## Comparison with virt-sysprep

The operations of virt-sysprep (version 1.48, `virt-sysprep --list-operations`) and their counterparts in imagebuild:
"""

SYSPREP = (
    "abrt-data", "backup-files", "bash-history", "blkid-tab", "ca-certificates", "crash-data", "cron-spool",
    "customize", "dhcp-client-state", "dhcp-server-state", "dovecot-data", "firewall-rules", "flag-reconfiguration",
    "fs-uuids", "ipa-client", "kerberos-data", "kerberos-hostkeytab", "logfiles", "lvm-system-devices", "lvm-uuids",
    "machine-id", "mail-spool", "net-hostname", "net-hwaddr", "net-nmconn", "pacct-log", "package-manager-cache",
    "pam-data", "passwd-backups", "puppet-data-log", "rh-subscription-manager", "rhn-systemid", "rpm-db",
    "samba-db-log", "script", "smolt-uuid", "ssh-hostkeys", "ssh-userdir", "sssd-db-log", "tmp-files",
    "udev-persistent-net", "user-account", "utmp", "yum-uuid",
)  # fmt: skip
"""virt-sysprep's operations in version 1.48, and lvm-system-devices of later versions."""
_KINDS = {"identity": "an identity", "secret": "a secret", "trace": "a trace"}
NOT_AN_OPERATION: dict[str, str] = {
    "customize": "the operations of the phase `customise`",
}
"""The counterparts that are not an operation."""

_BESIDE_CUSTOMIZE = """\
## Comparison with virt-customize

The options of virt-customize (version 1.48, and `--chown` of later versions) and their counterparts in imagebuild. In
a recipe, list the operations in the order of the options.
"""
CUSTOMIZE: dict[str, str] = {
    "append-line": "`append-to-file`",
    "chmod": "`set-permissions`",
    "chown": "`set-permissions`",
    "commands-from-file": "a recipe's `operations:`; `imagebuild import virt-customize` translates the file",
    "copy": "`copy-file`",
    "copy-in": "`copy-in`",
    "delete": "`remove-files`",
    "edit": "`edit-line`, `set-key`; `run-command` for the guest's own sed or perl",
    "firstboot": "`run-at-first-boot`",
    "firstboot-command": "`run-at-first-boot`",
    "firstboot-install": "`install-packages-at-first-boot`",
    "hostname": "`reset-hostname`",
    "install": "`install-packages`",
    "link": "`create-link`",
    "mkdir": "`create-folder`",
    "move": "`move-file`",
    "no-logfile": "no log is written into the guest",
    "password": "`set-password`, `lock-password`",
    "password-crypto": "`set-password`: always SHA-512",
    "root-password": "`set-password`",
    "run": "`run-script`, or `run-command` with the script as its text",
    "run-command": "`run-command`; `network: true` where the command needs the network",
    "scrub": "`remove-files`, and `trim-free-space` for the data that this leaves on the disk",
    "selinux-relabel": "`relabel-selinux`, which runs automatically",
    "sm-attach": "`run-at-first-boot`: a template is not registered, its clones are",
    "sm-credentials": "`run-at-first-boot`: a template is not registered, its clones are",
    "sm-register": "`run-at-first-boot`: a template is not registered, its clones are",
    "sm-remove": "`remove-subscriptions`",
    "sm-unregister": "`remove-subscriptions`; the vendor is not notified",
    "ssh-inject": "`add-ssh-keys`",
    "timezone": "`set-timezone`",
    "touch": "`write-file` with an empty text, for a new file",
    "truncate": "`empty-files`",
    "truncate-recursive": "`empty-files`",
    "uninstall": "`remove-packages`",
    "update": "`update-packages`",
    "upload": "`copy-in`",
    "write": "`write-file`",
}
"""virt-customize's options that change a guest, and their counterparts: operations in backquotes,
or words."""


def page() -> str:
    """``docs/operations.md``: every operation with its phase and parameters."""
    return "\n".join(
        [
            _INTRODUCTION,
            _beside_sysprep(),
            _beside_customize(),
            *(section(registry.get(name)) for name in registry.names()),
        ]
    )


def _beside_sysprep() -> str:
    """The table of virt-sysprep's operations and their counterparts."""
    ours = {name: registry.get(name).replaces for name in registry.names()}
    rows = []
    for theirs in SYSPREP:
        found = ", ".join(f"[{name}](#{name})" for name, replaced in ours.items() if theirs in replaced)
        rows.append(f"| `{theirs}` | {found or NOT_AN_OPERATION[theirs]} |")
    return "\n".join([_BESIDE_SYSPREP, "| virt-sysprep | imagebuild |", "|---|---|", *rows, ""])


def _beside_customize() -> str:
    """The table of virt-customize's options and their counterparts."""
    known = registry.names()

    def linked(found: re.Match[str]) -> str:
        return f"[{found[1]}](#{found[1]})" if found[1] in known else found[0]

    rows = [f"| `--{option}` | {re.sub(r'`([a-z-]+)`', linked, ours)} |" for option, ours in CUSTOMIZE.items()]
    return "\n".join([_BESIDE_CUSTOMIZE, "| virt-customize | imagebuild |", "|---|---|", *rows, ""])


def section(operation: Operation) -> str:
    """One operation in Markdown."""
    sets = {", part of the default set": registry.TEMPLATE, ", a house rule": registry.HOUSE_RULES}
    default = "".join(text for text, names in sets.items() if operation.name in names)
    lines = [
        f"## {operation.name}",
        "",
        f"{operation.summary}. Phase: {operation.phase.name.lower()}{default}.",
        "",
        operation.description.replace("``", "`"),
    ]
    if operation.carries:
        lines += ["", f"What it removes counts as {_KINDS[operation.carries]} in `imagebuild audit`."]
    if rows := parameters.table(operation.params):
        lines += ["", "| parameter | default | meaning |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"
