"""Starting libguestfs's appliance with a guest's disks: the only place that imports ``guestfs``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from imagebuild.accel import EMULATED_KERNEL_ARGUMENTS
from imagebuild.errors import HostError
from imagebuild.guest.calls import Translated
from imagebuild.guest.disk import GuestDisk
from imagebuild.guest.layout import find_root, mount
from imagebuild.guest.network import Network

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from imagebuild.disk_image import Format


@contextmanager
def opened(
    disk: Path,
    fmt: Format,
    *,
    accel: Literal["kvm", "tcg"],
    tmpdir: Path,
    network: bool = False,
    more: Sequence[Path] = (),
) -> Iterator[GuestDisk]:
    """The guest on ``disk`` and its further disks ``more``, mounted for writing as its /etc/fstab says, in an appliance.

    They must be copies that may be thrown away: nothing is flushed to them before the end, and after an
    exception their content is undefined. Temporary files go to ``tmpdir``. Raises HostError when the
    appliance does not start, GuestError when there is no guest or it cannot be written.
    """
    handle = _handle()
    try:
        guestfs = Translated(handle)
        handle.set_backend("direct")
        handle.set_tmpdir(str(tmpdir))
        if accel == "tcg":
            handle.set_backend_setting("force_tcg", "1")
            handle.set_append(" ".join(EMULATED_KERNEL_ARGUMENTS))
            # Measured under emulation: 8.2 s to start with two processors, 9.4 s with one.
            handle.set_smp(2)
        handle.set_network(network)
        for path in (disk, *more):
            guestfs.add_drive_opts(str(path), format=fmt, discard="enable", cachemode="unsafe")
        _launch(handle)
        root = find_root(guestfs)
        mount(guestfs, root)
        yield GuestDisk(guestfs, (disk, *more), lambda: mount(guestfs, root), Network(guestfs) if network else None)
        # Only a shutdown tells whether the last writes arrived; close() would hide that.
        guestfs.shutdown()
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


def _launch(handle: Any) -> None:
    try:
        handle.launch()
    except RuntimeError as error:
        told = str(error).strip().splitlines() or ["no reason given"]
        raise HostError(
            f"libguestfs's appliance did not start: {told[0]}",
            "it needs a kernel that is readable in /boot, and its modules; `libguestfs-test-tool` tells more",
        ) from error
