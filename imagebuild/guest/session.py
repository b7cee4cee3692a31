"""A running appliance with a guest's disks: starting and restarting it, mounting its guest, opening
and closing its network."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from imagebuild.errors import HostError
from imagebuild.guest import at_rest, host_wipe, thin_pools, unused, warm_start
from imagebuild.guest.calls import Translated
from imagebuild.guest.encryption import Key, open_all
from imagebuild.guest.ext4.superblock import UnsupportedExt4Error
from imagebuild.guest.layout import RootFilesystem, find_root, mount, swap_files, types
from imagebuild.guest.network import ApplianceNetwork
from imagebuild.guest.sectors import sector_size
from imagebuild.guest.shell import Shell
from imagebuild.image import layers, qemu_img
from imagebuild.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imagebuild.guest.ext4.superblock import Read
    from imagebuild.image.disk_image import Format

PATIENCE = (300.0, 300.0, 600.0)
"""The seconds allowed for each attempt to start the appliance. It takes 3 s with KVM and 10 to 60 s
without; building it, the first time on a host, takes a minute more."""

_HINT = "it needs a readable kernel in /boot, and its modules; run `libguestfs-test-tool` for details"


class Session:
    """``handles`` creates libguestfs handles, configured and without disks. ``handle`` is the
    current one, and ``g`` the same with imagebuild's errors.

    ``keys`` unlock encrypted devices; with ``network`` the appliance has a card, which is down
    except within ``network()``.
    """

    def __init__(
        self,
        handles: Callable[[], Any],
        disks: Sequence[Path],
        fmt: Format,
        *,
        keys: Sequence[Key] = (),
        network: bool = False,
    ) -> None:
        self.handle = handles()
        self.g: Any = Translated(self.handle)
        self.disks = tuple(disks)
        self.places: dict[str, str] = {}
        """The device that is mounted at each place."""
        self._handles = handles
        self._fmt = fmt
        self._given = self._keys = keys
        self._has_network = network
        self._network: ApplianceNetwork | None = None
        self._root: RootFilesystem | None = None
        self._others = False
        """Whether ``disks`` may be others than those that the appliance has now."""
        self._unmounted = False
        self._ended = False
        """Whether the appliance was shut down to wipe the images, and is started again if it is needed."""
        self._retried = False
        self._types: dict[str, str] = {}

    def launch(self) -> None:
        """Start the appliance, and once more if it hangs: an emulated kernel may, about once in
        some hundred starts on a busy host.

        Raises HostError if it does not start.
        """
        for seconds in PATIENCE[:-1]:
            if self._launched(seconds):
                break
            logger.warning("the libguestfs appliance did not start; starting it again")
            self._start_over()
        else:
            if not self._launched(PATIENCE[-1]):
                raise HostError(f"the libguestfs appliance did not start within {PATIENCE[-1]:.0f} s", _HINT)
        if self._has_network:
            self._network = ApplianceNetwork(self.g)

    def _start_over(self) -> None:
        """Get a new handle, for a start from the beginning."""
        self.handle.close()
        self.handle = self._handles()
        self.g = Translated(self.handle)
        warm_start.discard(self.handle)
        self._retried = True

    def _launched(self, seconds: float) -> bool:
        """Whether the appliance starts in this time. HostError if it fails earlier."""
        sectors = {path: self._sector_size(path) for path in self.disks}
        # A guest may discard single sectors: QEMU's default unit is 4 KiB, so a free block of 1 KiB would stay.
        # It must not be less than a sector, and the property applies to all disks.
        self.g.config("-global", f"scsi-hd.discard_granularity={max(sectors.values())}")
        for path, size in sectors.items():
            large = {"blocksize": size} if size != 512 else {}
            self.g.add_drive_opts(str(path), format=self._fmt, discard="enable", cachemode="unsafe", **large)
        self.handle.set_network(self._has_network)
        with _ended_after(seconds) as ended:
            try:
                self.handle.launch()
            except RuntimeError as error:
                if ended.is_set() or (not self._retried and warm_start.discard(self.handle)):
                    return False
                lines = str(error).strip().splitlines() or ["no reason given"]
                raise HostError(f"the libguestfs appliance did not start: {lines[0]}", _HINT) from error
        return True

    def _sector_size(self, path: Path) -> int:
        """An overlay's is that of the raw file below it, which is read without starting a program."""
        disk = layers.below(path, self._fmt)
        return sector_size(path, self._fmt) if disk is None else sector_size(disk.files[0], "raw")

    def close(self) -> None:
        """End the appliance, whatever it is doing."""
        self.handle.close()

    def settle(self) -> None:
        """Let the disks have what a machine that starts from them needs, as after its own shutdown."""
        if "LVM2_member" in self._types.values():
            thin_pools.settle(Shell(self.g))

    def flush(self) -> None:
        """Have QEMU write the tables of the images that it keeps in memory."""
        shell = Shell(self.g)
        shell.line(self._flushing(shell))

    def _flushing(self, shell: Shell) -> str:
        if self._fmt == "raw":
            return "true"
        return shlex.join(
            ["sync", *(shell.device(f"/dev/sd{letter}") for letter in ascii_lowercase[: len(self.disks)])]
        )

    @contextmanager
    def root_at_rest(self) -> Iterator[Read | None]:
        """What reads the blocks of the guest's only file system while it is frozen: see ``at_rest``."""
        self.mounted()
        partition = at_rest.only_partition(self.places, self.types())
        disk = layers.below(self.disks[partition[0]], self._fmt) if partition and not self._others else None
        if disk is None or partition is None:
            yield None
            return
        shell = Shell(self.g)
        with at_rest.frozen(shell, partition[1], self._flushing(shell)) as found, ExitStack() as files:
            if found is None:
                yield None
                return
            reader = files.enter_context(layers.opened(disk, in_use=True))
            yield found.checked(lambda at, length: reader.read(found.start + at, length))

    def end(self) -> None:
        """Shut the appliance down. Only this reports whether the last writes arrived."""
        if self._ended:
            return
        self.settle()
        self.g.shutdown()

    def restart(self) -> None:
        """Start the appliance again, with nothing mounted or unlocked."""
        self.end()
        self._root = None
        self._types = {}
        self.launch()

    def forget(self) -> None:
        """Start from the beginning, with nothing mounted or unlocked: the appliance may have other
        disks now."""
        self._others = True
        self._root = None
        self._types = {}
        self.places = {}
        self._keys = self._given

    def types(self) -> dict[str, str]:
        """What is on each device; determined once, when everything that there is a key for is
        unlocked."""
        self._types = self._types or types(self.g)
        return self._types

    def mount(self) -> None:
        """Unlock everything that there is a key for, and mount the guest's file systems. Raises
        GuestError if there is no guest."""
        if self._root is None:
            self._keys = open_all(self.g, self._keys)  # by device, so that they still match if the UUIDs change later
            self._root = find_root(self.g, self.types())
        self.places |= mount(self.g, self._root, self.types())
        self._unmounted = False

    def mounted(self) -> Any:
        """``g``, with the guest's file systems mounted again if :meth:`wipe_unused` has unmounted
        them."""
        if self._ended:
            self._ended = False
            self._root, self._types = None, {}
            self.launch()
        if self._unmounted:
            self.mount()
        return self.g

    def wipe_unused(self) -> list[str]:
        """Zero the unused space on the guest's disks. Returns what could not be wiped, and why, one
        line each.

        The file systems are unmounted for it, and mounted again only when they are needed: usually
        this is the last step.
        """
        self.mounted()
        if self._wiped_on_host():
            return []
        punches = all(qemu_img.can_punch(disk.parent) for disk in self.disks)
        images = self.disks if self._fmt == "raw" else ()
        unit = 0 if self._fmt == "raw" else max(map(layers.cluster_size, self.disks))
        left = unused.wipe(self.g, images, self.places, self.types(), swap_files(self.g), punches=punches, unit=unit)
        self._unmounted = True
        return left

    def _wiped_on_host(self) -> bool:
        """Whether this host could wipe the image, for which the appliance is ended; the others are as before."""
        only = at_rest.only_partition(self.places, self.types())
        if only is None or self._others or len(self.types()) > 1 or len(self.disks) > 1 or swap_files(self.g):
            return False
        disk = layers.below(self.disks[0], self._fmt)
        plan = host_wipe.prepared(Shell(self.g), only[1], disk) if disk is not None else None
        if plan is None:
            return False
        self.g.umount_all()
        self.end()
        self._unmounted = self._ended = True
        try:
            plan.carry_out()
        except UnsupportedExt4Error as error:
            logger.warning("the guest's file system is wiped in the appliance: %s", error)
            self.mounted()
            return False
        return True

    def network(self) -> AbstractContextManager[None]:
        """Enable the network while a block runs, if the appliance has a card."""
        return self._network.open() if self._network is not None else nullcontext()


@contextmanager
def _ended_after(seconds: float) -> Iterator[threading.Event]:
    """Kill the processes that this thread starts in a block that takes longer than ``seconds``; the
    event is set if that was done."""
    task = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = task.read_text().split()
    ended = threading.Event()

    def end() -> None:
        ended.set()
        for pid in set(task.read_text().split()).difference(before):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield ended
    finally:
        timer.cancel()
