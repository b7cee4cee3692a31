"""Starting libguestfs's appliance with a guest's disks: the only place that imports ``guestfs``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from imagebuild.accel import EMULATED_KERNEL_ARGUMENTS
from imagebuild.errors import HostError
from imagebuild.guest.calls import Translated
from imagebuild.guest.disk import GuestDisk
from imagebuild.guest.encryption import Key, open_all
from imagebuild.guest.layout import Root, find_root, mount

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
    keys: Sequence[Key] = (),
) -> Iterator[GuestDisk]:
    """The guest on ``disk`` and its further disks ``more``, mounted for writing as its /etc/fstab says, in an appliance.

    They must be copies that may be thrown away: nothing is flushed to them before the end, and after an
    exception their content is undefined. ``keys`` open what is encrypted. Temporary files go to ``tmpdir``. Raises HostError when the
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
        session = _Session(handle, (disk, *more), fmt, keys)
        session.launch()
        session.mount()
        yield GuestDisk(guestfs, (disk, *more), session.mount, session.restart, session.places)
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


class _Session:
    """An appliance with a guest's disks, which can be started again."""

    def __init__(self, handle: Any, disks: Sequence[Path], fmt: Format, keys: Sequence[Key]) -> None:
        self._handle = handle
        self._disks = disks
        self._fmt = fmt
        self._keys = keys
        self._root: Root | None = None
        self.places: dict[str, str] = {}
        """The device that is mounted at each place."""

    def launch(self) -> None:
        guestfs = Translated(self._handle)
        for path in self._disks:
            guestfs.add_drive_opts(str(path), format=self._fmt, discard="enable", cachemode="unsafe")
        _launch(self._handle)

    def restart(self) -> None:
        Translated(self._handle).shutdown()
        self._root = None
        self.launch()

    def mount(self) -> None:
        guestfs = Translated(self._handle)
        if self._root is None:
            self._keys = open_all(guestfs, self._keys)  # by device: that is how they fit if the UUIDs are others later
            self._root = find_root(guestfs)
        self.places |= mount(guestfs, self._root)


def _launch(handle: Any) -> None:
    try:
        handle.launch()
    except RuntimeError as error:
        told = str(error).strip().splitlines() or ["no reason given"]
        raise HostError(
            f"libguestfs's appliance did not start: {told[0]}",
            "it needs a kernel that is readable in /boot, and its modules; `libguestfs-test-tool` tells more",
        ) from error
