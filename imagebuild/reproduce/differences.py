"""What differs between an image and its rebuild, each with the reason why it may."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imagebuild.contents.compare import ImageDiff, account_changes, file_changes
from imagebuild.reproduce import expected
from imagebuild.reproduce.disk_comparison import TABLE, PartDifference
from imagebuild.reproduce.expected import Condition


@dataclass(frozen=True)
class Difference:
    """``kind`` is what differs, ``name`` where, ``detail`` how; ``reason`` is why that is expected,
    empty if it is not.
    """

    kind: str
    name: str
    detail: str
    reason: str = ""


def of_contents(diff: ImageDiff, conditions: frozenset[Condition], *, random_identifiers: bool) -> Iterator[Difference]:
    """The differences of two inventories. Files that have an identifier of a disk in them differ if the
    identifiers are random.
    """
    yield from (Difference("system", one.name, f"{one.old or '-'} → {one.new or '-'}") for one in diff.system)
    packages = diff.packages
    if not packages.known:
        yield Difference("package", "all packages", "not compared: those of one of the images are not known")
    yield from (Difference("package", name, f"added, {version}") for name, version in packages.added.items())
    yield from (Difference("package", name, f"removed, {version}") for name, version in packages.removed.items())
    for one in (*packages.upgraded, *packages.downgraded, *packages.rewritten):
        yield Difference("package", one.name, f"{one.old} → {one.new}")
    yield from (Difference("account", one.name, "added") for one in diff.accounts.added)
    yield from (Difference("account", one.name, "removed") for one in diff.accounts.removed)
    for old, new in diff.accounts.changed:
        yield Difference("account", new.name, ", ".join(account_changes(old, new)))
    yield from (Difference("unit", one.name, "added") for one in diff.units.added)
    yield from (Difference("unit", one.name, "removed") for one in diff.units.removed)
    yield from (Difference("unit", new.name, "changed") for _, new in diff.units.changed)

    def reason(path: str) -> str:
        if random_identifiers and path in _WITH_IDENTIFIERS:
            return expected.RANDOM_IDENTIFIERS
        return expected.reason_for(path, conditions)

    yield from (Difference("file", one.path, "added", reason(one.path)) for one in diff.files.added)
    yield from (Difference("file", one.path, "removed", reason(one.path)) for one in diff.files.removed)
    for before, after in diff.files.changed:
        what = file_changes(before, after)
        # another owner, mode or type is never a matter of chance
        known = reason(after.path) if set(what) <= {"content", "size"} else ""
        yield Difference("file", after.path, ", ".join(what), known)


_WITH_IDENTIFIERS = frozenset(
    {"/etc/fstab", "/boot/grub/grub.cfg", "/boot/efi/EFI/debian/grub.cfg", "/etc/mdadm/mdadm.conf",
     "/boot/grub/i386-pc/load.cfg", "/boot/grub/i386-pc/core.img"}
)  # fmt: skip


def of_disks(parts: Sequence[PartDifference], *, random_identifiers: bool) -> Iterator[Difference]:
    """The differences of two disks. Blocks of file systems may differ, those of the partition table
    only if the identifiers are random.
    """
    for part in parts:
        for name, (old, new) in part.identifiers.items():
            why = expected.RANDOM_IDENTIFIERS if random_identifiers else ""
            yield Difference("identifier", f"{part.name}: {name}", f"{old or '-'} → {new or '-'}", why)
        if part.different:
            why = expected.BLOCKS if part.name != TABLE else expected.RANDOM_IDENTIFIERS if random_identifiers else ""
            yield Difference("blocks", part.name, f"{part.different} of {part.blocks} blocks of 4 KiB", why)
