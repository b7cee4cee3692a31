"""Several guests in one appliance, one after the other.

Copies of one template have the same UUIDs and names of volume groups, and then neither LVM nor
mount knows which is which. So at any time the kernel of the appliance has the disks of one guest
only: the others are detached from their SCSI bus, and attached again when it is their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from string import ascii_lowercase
from typing import Literal

from imagebuild import guest
from imagebuild.errors import GuestError
from imagebuild.guest import GuestDisk, Key, inventory, launch
from imagebuild.guest.session import Session
from imagebuild.guest.shell import LIST_DISKS, Shell, disks
from imagebuild.image.disk_image import Format
from imagebuild.log import logger

Use = Callable[[GuestDisk], None]
_STOP = (
    "lvm vgchange -an; for m in /dev/mapper/*; do "
    'test "$m" = /dev/mapper/control || cryptsetup close "${m##*/}"; done; lvm vgchange -an; mdadm --stop --scan'
)
_START = "mdadm -As --auto=yes --run; lvm pvscan --cache; lvm vgchange -aay; udevadm settle"


def each(
    guests: Sequence[Sequence[Path]],
    fmt: Format,
    use: Use,
    *,
    accel: Literal["kvm", "tcg"],
    tmpdir: Path,
    keys: Sequence[Key] = (),
) -> None:
    """Call ``use`` with each guest, given as its disks, opened like ``guest.opened``.

    It is one launch for all of them, unless the appliance's kernel names the disks in an unusual
    order: then one for each.
    """
    if len(guests) > 1 and _together(guests, fmt, use, accel=accel, tmpdir=tmpdir, keys=keys):
        return
    for number, (first, *more) in enumerate(guests, start=1):
        with (
            _about(number) if len(guests) > 1 else nullcontext(),
            guest.opened(first, fmt, accel=accel, tmpdir=tmpdir, more=more, keys=keys) as opened,
        ):
            use(opened)


def _together(
    guests: Sequence[Sequence[Path]],
    fmt: Format,
    use: Use,
    *,
    accel: Literal["kvm", "tcg"],
    tmpdir: Path,
    keys: Sequence[Key],
) -> bool:
    """Whether one launch was enough; if not, nothing has been done."""
    everything = [disk for one in guests for disk in one]
    with launch.started(everything, fmt, accel=accel, tmpdir=tmpdir, keys=keys) as session:
        bus = _Bus(session, len(everything))
        if not bus.in_order():
            logger.info("each guest is opened in an appliance of its own")
            return False
        at = 0
        for number, one in enumerate(guests, start=1):
            with _about(number), bus.only(range(at, at + len(one))):
                use(GuestDisk(session))
            at += len(one)
    return True


@contextmanager
def _about(number: int) -> Iterator[None]:
    """Errors say which of the images they are about."""
    try:
        yield
    except GuestError as error:
        raise GuestError(f"image {number}: {error.message}", error.hint) from error


class _Bus:
    """The SCSI bus of an appliance with the disks of several guests, ``count`` in all."""

    def __init__(self, session: Session, count: int) -> None:
        self._session = session
        self._shell = Shell(session.g)
        self._count = count
        self._has_volumes = inventory.plain(session.g) is None

    def in_order(self) -> bool:
        """Whether the kernel has named the disks in libguestfs's order: a disk that is attached gets the
        first free name, so only then the names stay right."""
        *listed, own = self._listed()
        return listed == _first_names(self._count, own)

    @contextmanager
    def only(self, targets: Sequence[int]) -> Iterator[None]:
        """Only these disks are attached while the block runs, with the first names, and their guest is
        mounted."""
        self._detach_all()
        for target in targets:
            scan = f"for h in /sys/class/scsi_host/host*/scan; do echo '0 {target} 0' >$h; done; udevadm settle"
            self._quietly(scan)
        self._quietly(f"btrfs device scan; {_START if self._has_volumes else 'true'}")
        *listed, own = self._listed()
        if listed != _first_names(len(targets), own):
            raise GuestError("the appliance does not find the disks of this guest again")
        self._session.forget()
        self._session.mount()
        yield
        self._session.g.umount_all()

    def _detach_all(self) -> None:
        if self._has_volumes:
            self._quietly(_STOP)
        own = self._listed()[-1]
        self._quietly(
            f'for d in /sys/block/sd*; do test "$d" = /sys/block/{own} || echo 1 >"$d/device/delete"; done; '
            "udevadm settle; btrfs device scan --forget"
        )

    def _listed(self) -> list[str]:
        """The kernel's names of the attached disks by their places on the bus; the appliance's own
        disk is the last one."""
        return disks(self._shell.line(LIST_DISKS))

    def _quietly(self, line: str) -> None:
        self._shell.line(f"{{ {line}; }} >/dev/null 2>&1; true")


def _first_names(count: int, own: str) -> list[str]:
    """The kernel's first names for disks when the appliance's own disk has the name ``own``: in an appliance that
    continues from a saved state, that is the first one."""
    return [name for name in (f"sd{letter}" for letter in ascii_lowercase) if name != own][:count]
