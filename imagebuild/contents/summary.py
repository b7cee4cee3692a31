"""An image for people: the lines that ``imagebuild inspect`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from imagebuild.contents import picture
from imagebuild.contents.columns import aligned
from imagebuild.contents.described import DescribedImage
from imagebuild.contents.inventory import DiskArea, DiskLayout, EnabledUnit, FolderSize, GuestAccount, Inventory
from imagebuild.contents.partition_types import type_name
from imagebuild.contents.sizes import human
from imagebuild.printable import one_line

_MOST_FOLDERS = 12
_FIRST_PERSON = 1000


def lines(image: DescribedImage, *, everything: bool = False) -> Iterator[str]:
    """The whole description. Long lists are shortened, unless ``everything`` is wanted."""
    inventory = image.inventory
    yield from aligned(_head(image), indent="")
    for number, disk in enumerate(inventory.disks, start=1):
        yield ""
        yield f"disk {number}: {human(disk.size)}, {picture.table_name(disk)}"
        yield f"  {picture.text(disk)}"
        yield from aligned(_partitions(disk), right=(1, 2, 6))
    if inventory.volumes:
        yield from ("", "volumes")
        yield from aligned([_volume(one) for one in inventory.volumes], right=(1,))
    yield from _section("largest folders", _folders(inventory.folders, everything=everything))
    yield from _section("accounts that can log in", _accounts(inventory.accounts, everything=everything))
    yield from _section("enabled units", _units(inventory.units, everything=everything))
    yield from _section("listening units", aligned([(one.name, _listens(one)) for one in inventory.listening]))
    yield from _section("files with privileges", _privileged(inventory))
    yield from _section("operations", _operations(image, everything=everything))
    if everything and inventory.packages is not None:
        yield from _section("packages", aligned(sorted(inventory.packages.items())))


def _section(title: str, content: Sequence[str]) -> Iterator[str]:
    if content:
        yield from ("", title, *content)


def _head(image: DescribedImage) -> Iterator[tuple[str, str]]:
    inventory, system = image.inventory, image.inventory.system
    yield "image", f"{image.image} ({image.format}, {human(image.file_size)}, disk of {human(image.virtual_size)})"
    if image.recipe:
        yield "built from", f"{image.recipe}, version {image.version}"
    yield (
        "system",
        f"{system.name or system.id or 'not known'}{f' ({system.architecture})' if system.architecture else ''}",
    )
    yield "kernel", ", ".join(inventory.kernels) or "none"
    number = "not known" if inventory.packages is None else str(len(inventory.packages))
    yield "packages", f"{number}{f' ({inventory.package_format})' if inventory.package_format else ''}"
    yield "files", f"{len(inventory.files)}, {human(inventory.used)} used"
    yield "read from", "the inventory beside the image" if image.source == "inventory" else "the disk"


def _partitions(disk: DiskLayout) -> Iterator[tuple[str, ...]]:
    yield ("", "start", "size", "type", "file system", "mounted at", "used")
    for one in disk.areas:
        yield (str(one.number or "-"), human(one.start), human(one.size), *_contents(one))


def _volume(one: DiskArea) -> tuple[str, ...]:
    return (one.name, human(one.size), *_contents(one))


def _contents(one: DiskArea) -> tuple[str, ...]:
    label = f" ({one.filesystem_label})" if one.filesystem_label else ""
    used = "" if one.used is None else human(one.used)
    return type_name(one.type), f"{one.filesystem or '-'}{label}", one.mountpoint or "-", used


def largest_folders(folders: Sequence[FolderSize], most: int | None = _MOST_FOLDERS) -> list[FolderSize]:
    """The largest folders. One whose space is nearly all in a single folder inside it is left out."""
    sizes = {one.path: one.size for one in folders}
    inner = {path: [size for other, size in sizes.items() if other.rpartition("/")[0] == path] for path in sizes}
    own = [one for one in folders if one.path != "/" and max(inner[one.path], default=0) < 0.9 * one.size]
    return sorted(own, key=lambda one: (-one.size, one.path))[:most]


def _folders(folders: Sequence[FolderSize], *, everything: bool) -> list[str]:
    largest = largest_folders(folders, None) if everything else largest_folders(folders)
    return aligned([(human(one.size), one.path) for one in largest], right=(0,))


def _accounts(accounts: Sequence[GuestAccount], *, everything: bool) -> list[str]:
    wanted = [one for one in accounts if everything or one.login or (one.uid >= _FIRST_PERSON and one.name != "nobody")]
    if not wanted:
        return [f"  none of {len(accounts)}"] if accounts else []
    return aligned([(one.name, str(one.uid), ", ".join(one.login) or "no login", one.shell) for one in wanted])


def _units(units: Sequence[EnabledUnit], *, everything: bool) -> list[str]:
    wanted = [one for one in units if everything or not one.vendor]
    return aligned([(one.name, ", ".join(one.wanted_by)) for one in wanted])


def _listens(one: EnabledUnit) -> str:
    return ", ".join(one.listens) or "address not known"


def _privileged(inventory: Inventory) -> list[str]:
    rows = [
        (f"{one.mode:04o}", f"{one.uid}:{one.gid}", ", ".join(one.privileges), one.path) for one in inventory.privileged
    ]
    return aligned(rows)


def _operations(image: DescribedImage, *, everything: bool) -> list[str]:
    if image.operations is None:
        return []
    if everything:
        return aligned(
            [(one.name, f"{one.changes} changes" if one.changes else one.status) for one in image.operations]
        )
    numbers = Counter(one.status for one in image.operations)
    changed = ", ".join(one_line(one.name) for one in image.operations if one.changes)
    return [f"  {len(image.operations)}: {', '.join(f'{number} {status}' for status, number in numbers.items())}"] + (
        [f"  changed something: {changed}"] if changed else []
    )
