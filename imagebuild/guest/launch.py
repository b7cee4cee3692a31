"""Starting the libguestfs appliance with a guest's disks: the only module that imports ``guestfs``."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from imagebuild.errors import HostError
from imagebuild.guest import lean_start
from imagebuild.guest.disk import GuestDisk
from imagebuild.guest.session import Session
from imagebuild.host import system_packages
from imagebuild.host.accelerator import EMULATED_KERNEL_ARGUMENTS, others_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from imagebuild.guest.encryption import Key
    from imagebuild.image.disk_image import Format


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
    """The guest on ``disk`` and its other disks ``more``, mounted for writing according to its
    /etc/fstab, in an appliance.

    The disks must be throwaway copies: nothing is flushed to them before the end, and after an
    exception their content is undefined. ``keys`` unlock encrypted devices. Temporary files go to
    ``tmpdir``. Raises HostError if the appliance does not start, and GuestError if there is no
    guest or it cannot be written.
    """
    with started((disk, *more), fmt, accel=accel, tmpdir=tmpdir, network=network, keys=keys) as session:
        session.mount()
        yield GuestDisk(session)


@contextmanager
def started(
    disks: Sequence[Path],
    fmt: Format,
    *,
    accel: Literal["kvm", "tcg"],
    tmpdir: Path,
    network: bool = False,
    keys: Sequence[Key] = (),
) -> Iterator[Session]:
    """An appliance with these disks, with nothing mounted or unlocked. Otherwise like ``opened``."""
    session = Session(partial(_handle, accel, tmpdir), disks, fmt, keys=keys, network=network)
    try:
        session.launch()
        yield session
        session.end()  # close() would hide whether the last writes arrived
    finally:
        session.close()


def _handle(accel: Literal["kvm", "tcg"], tmpdir: Path) -> Any:
    """A libguestfs handle that is configured but not launched."""
    try:
        import guestfs
    except ImportError as error:
        raise HostError(
            "this Python cannot import guestfs, libguestfs's binding", system_packages.install_binding("guestfs")
        ) from error
    handle = guestfs.GuestFS(python_return_dict=True)
    handle.set_backend("direct")
    handle.set_tmpdir(str(tmpdir))
    lean_start.use(handle, emulated=accel == "tcg")
    if accel == "tcg":
        handle.set_backend_setting("force_tcg", "1")
        # Not clearing memory before each use saves a twentieth of a file system's work;
        # nothing else shares this machine.
        handle.set_append(" ".join((*EMULATED_KERNEL_ARGUMENTS, "init_on_alloc=0")))
        # Measured under emulation on 2 processors: 8.2 s to start with two, 9.4 s with one. On a busy host a second one
        # mostly waits for the first: six starts, two at a time, took 38 to 48 s with one and 57 s with two.
        handle.set_smp(1 if others_run() else 2)
    return handle
