"""The installer would ask a question.

Nobody watches the console of a build: an installation that asks a question hangs until it times
out. So do not use `graphical`, `vnc`, `interactive`, `autostep` or `ignoredisk --interactive`.
Anaconda needs a language, a time zone, a root password (or `rootpw --lock`), a place to install to
(`part`, `autopart`, …) and a disk that it may clear (`clearpart` with `--all`, `--drives` or
`--list`, unless `--none` is intended, and `zerombr` for a disk without a partition table). Write
`cmdline`, or `text --non-interactive`, and add what is missing. Encryption (`--encrypted`) needs a
`--passphrase`, or Anaconda asks for one. `firstboot --enable` asks when the
guest starts.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_STORAGE = ("part", "partition", "autopart", "logvol", "raid", "volgroup", "btrfs", "mount", "stratisfs", "stratispool")
_ASKING = {
    "interactive": "Anaconda would ask for everything",
    "autostep": "Anaconda would step through its screens",
    "vnc": "Anaconda's screens need somebody to watch them",
    "rdp": "Anaconda's screens need somebody to watch them",
}
_NEEDED = (
    (("lang",), "no language (lang)"),
    (("timezone",), "no time zone (timezone)"),
    (("keyboard",), "no keyboard (keyboard)"),
    (("rootpw", "user"), "no root password and no user (rootpw, user)"),
    (_STORAGE, "no place to install to (part, autopart)"),
)


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Commands that ask questions, and missing commands for which Anaconda would ask."""
    yield from _asking(kickstart)
    # The content of %include is not known, and neither is what includes a fragment.
    if not target.asks or any(kickstart.includes()) or (kickstart.is_fragment and not target.of_recipe):
        return
    for names, missing in _NEEDED:
        if not any(kickstart.named(*names)):
            yield Said(None, f"{missing}: Anaconda would ask for it", f"write {names[0]}")
    yield from _cleared(kickstart)


def _asking(kickstart: Kickstart) -> Iterator[Said]:
    for command in kickstart.named(*_ASKING):
        yield Said(command.line, f"{command.name}: {_ASKING[command.name]}", "remove it, and write cmdline")
    for command in kickstart.named("graphical"):
        if not command.has("--non-interactive"):
            yield Said(command.line, "graphical shows screens and may ask questions", "write cmdline")
    for command in kickstart.named("ignoredisk"):
        if command.has("--interactive"):
            yield Said(command.line, "ignoredisk --interactive asks for the disks", "name them with --only-use")
    for command in kickstart.named("firstboot"):
        if command.has("--enable", "--enabled", "--reconfig"):
            yield Said(command.line, "firstboot asks when the guest starts", "write firstboot --disable")

    for command in kickstart.commands:
        if command.has("--encrypted") and not command.option("--passphrase", "--hw-passphrase", "--clevis-pin"):
            message = f"{command.name} --encrypted without a passphrase: Anaconda asks for it"
            yield Said(command.line, message, "encrypt after cloning: remove --encrypted")


def _cleared(kickstart: Kickstart) -> Iterator[Said]:
    """Partitions that need space, without a command that clears the disk."""
    needs_room = next(kickstart.named("autopart", "part", "partition"), None)
    clears = any(True for _ in kickstart.named("clearpart"))
    existing = any(
        command.has("--onpart", "--usepart", "--noformat", "--useexisting") for command in kickstart.commands
    )
    if needs_room and not clears and not existing:
        message = f"{needs_room.name} without clearpart: Anaconda asks if the disk is not empty"
        yield Said(needs_room.line, message, "write zerombr and clearpart --all --initlabel")
