"""Starting libguestfs's appliance with a guest's disks: the only place that imports ``guestfs``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from imagebuild.accel import EMULATED_KERNEL_ARGUMENTS
from imagebuild.errors import HostError
from imagebuild.guest.disk import GuestDisk
from imagebuild.guest.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from imagebuild.disk_image import Format
    from imagebuild.guest.encryption import Key


@contextmanager
def opened(
    disk: Path,
    fmt: Format,
    *,
    accel: Literal["kvm", "tcg"],
    tmpdir: Path,
    network: bool = False,
    more: Sequence[Path] = (),
    keys: Sequence[Key] = (),
) -> Iterator[GuestDisk]:
    """The guest on ``disk`` and its further disks ``more``, mounted for writing as its /etc/fstab says, in an appliance.

    They must be copies that may be thrown away: nothing is flushed to them before the end, and after an
    exception their content is undefined. ``keys`` open what is encrypted. Temporary files go to ``tmpdir``. Raises HostError when the
    appliance does not start, GuestError when there is no guest or it cannot be written.
    """
    handle = _handle()
    try:
        handle.set_backend("direct")
        handle.set_tmpdir(str(tmpdir))
        if accel == "tcg":
            handle.set_backend_setting("force_tcg", "1")
            handle.set_append(" ".join(EMULATED_KERNEL_ARGUMENTS))
            # Measured under emulation: 8.2 s to start with two processors, 9.4 s with one.
            handle.set_smp(2)
        session = Session(handle, (disk, *more), fmt, keys=keys, network=network)
        session.launch()
        session.mount()
        yield GuestDisk(session)
        # Only a shutdown tells whether the last writes arrived; close() would hide that.
        session.g.shutdown()
    finally:
        handle.close()


def _handle() -> Any:
    try:
        import guestfs
    except ImportError as error:
        raise HostError(
            "libguestfs's Python binding is not there",
            "run `make setup`; the virtual environment must see the system's packages (python3-guestfs)",
        ) from error
    return guestfs.GuestFS(python_return_dict=True)
