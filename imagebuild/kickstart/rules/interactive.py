"""Something makes the installer ask, or leaves it something to ask for.

Nobody sits at the console of a build: a question there is an installation that hangs until its time is up. So no
`graphical`, `vnc`, `interactive`, `autostep` or `ignoredisk --interactive`; for Anaconda a language, a time zone, a root
password (or `rootpw --lock`), where to install (`part`, `autopart`, …), a disk that may be cleared (`clearpart` with `--all`,
`--drives` or `--list`, unless `--none` is meant, and `zerombr` for a disk without a partition table). Write `cmdline`, or
`text --non-interactive`, and what is missing. `firstboot --enable` asks when the guest starts.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parse import Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "error"
_STORAGE = ("part", "partition", "autopart", "logvol", "raid", "volgroup", "btrfs", "mount", "stratisfs", "stratispool")
_ASKING = {
    "interactive": "it has Anaconda ask everything",
    "autostep": "it walks through Anaconda's screens",
    "vnc": "it has somebody look at Anaconda's screens",
    "rdp": "it has somebody look at Anaconda's screens",
}
_NEEDED = (
    (("lang",), "no language (lang)"),
    (("timezone",), "no time zone (timezone)"),
    (("keyboard",), "no keyboard (keyboard)"),
    (("rootpw", "user"), "no password of root and no user (rootpw, user)"),
    (_STORAGE, "nothing that says where to install to (part, autopart)"),
)


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """Commands that ask, and what Anaconda would ask for."""
    yield from _asking(kickstart)
    # What %include brings is not known.
    if not target.asks or any(kickstart.includes()):
        return
    for names, missing in _NEEDED:
        if not any(kickstart.named(*names)):
            yield Said(None, f"there is {missing}: Anaconda asks for it", f"write {names[0]}")
    yield from _cleared(kickstart)


def _asking(kickstart: Kickstart) -> Iterator[Said]:
    for command in kickstart.named(*_ASKING):
        yield Said(command.line, f"{command.name}: {_ASKING[command.name]}", "remove it, and write cmdline")
    for command in kickstart.named("graphical"):
        if not command.has("--non-interactive"):
            yield Said(command.line, "graphical shows screens and may ask", "write cmdline")
    for command in kickstart.named("ignoredisk"):
        if command.has("--interactive"):
            yield Said(command.line, "ignoredisk --interactive asks for the disks", "name them with --only-use")
    for command in kickstart.named("firstboot"):
        if command.has("--enable", "--enabled", "--reconfig"):
            yield Said(command.line, "firstboot asks when the guest starts", "write firstboot --disable")


def _cleared(kickstart: Kickstart) -> Iterator[Said]:
    """Partitions that need room, and no word that there may be some."""
    needs_room = next(kickstart.named("autopart", "part", "partition"), None)
    clears = any(True for _ in kickstart.named("clearpart"))
    existing = any(
        command.has("--onpart", "--usepart", "--noformat", "--useexisting") for command in kickstart.commands
    )
    if needs_room and not clears and not existing:
        message = f"{needs_room.name} without clearpart: Anaconda asks where the disk is not empty"
        yield Said(needs_room.line, message, "write zerombr and clearpart --all --initlabel")
