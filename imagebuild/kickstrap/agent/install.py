"""The installation, step by step. Nothing is changed before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import accounts, bootloader, grub_password, inclusion, network, packages, payload, scripts, storage, system
from .errors import InstallError, StorageError
from .identity import RANDOM
from .plan import Liveimg
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from .command import CommandRunner
    from .console import EventConsole
    from .identity import DiskIdentity
    from .plan import InstallPlan

SYSROOT = Path("/mnt/sysimage")
"""The same path as in Anaconda; %post --nochroot scripts rely on it."""


class Stage(NamedTuple):
    """A part of the installation; ``until`` is the percentage of the whole after it."""

    text: str
    until: int
    work: Callable[[], None]


class Installation:
    """Performs the installation of a plan."""

    def __init__(
        self,
        plan: InstallPlan,
        console: EventConsole,
        commands: CommandRunner,
        root: Path = SYSROOT,
        identity: DiskIdentity = RANDOM,
        read_again: Callable[[], InstallPlan] | None = None,
    ) -> None:
        """If the kickstart includes files, ``read_again`` returns the plan with them, after %pre has run."""
        self._plan = plan
        self._read_again = read_again
        self._console = console
        self._commands = commands
        self._root = root
        self._target = Target(root, commands.inside(root))
        self._disks = storage.TargetDisks(commands, plan.storage, root, identity)
        self._identity = identity
        self._percent = 0

    def steps(self) -> list[Stage]:
        """The steps, in order; percentages were measured with an uncompressed root archive, and with a prepared
        root file system.
        """
        plan, adopted = self._plan, self._disks.adopted
        from_archive = isinstance(plan.payload, Liveimg)
        filled = "use the host's root file system" if adopted else "unpack the root archive"
        steps = [
            Stage("run %pre", 1, self._pre) if plan.pre else None,
            Stage("partition and format the disks", 5, self._storage),
            Stage("run %pre-install", 5, self._pre_install) if plan.pre_install else None,
            Stage(filled if from_archive else "install packages", 15 if adopted else 65, self._payload),
            Stage("configure the system", 20 if adopted else 72, self._configure),
            Stage("install GRUB", 92 if adopted else 90, self._bootloader) if plan.bootloader.install else None,
            Stage("run %post", 97 if adopted else 96, self._post) if plan.post else None,
            Stage("unmount the file systems", 100, self._release),
        ]
        return [step for step in steps if step is not None]

    def run(self) -> None:
        """Perform all steps. Raises InstallError; file systems then remain mounted."""
        done = 0
        while done < len(steps := self.steps()):  # what is included may add some
            step = steps[done]
            done += 1
            self._console.step(done, len(steps), step.text)
            step.work()
            self._percent = step.until
            self._console.progress(step.until, step.text)

    def _pre(self) -> None:
        scripts.run_all(self._plan.pre, self._commands, root=None, section="%pre")
        if self._read_again is not None:
            self._plan = self._read_again()
            self._disks = storage.TargetDisks(self._commands, self._plan.storage, self._root, self._identity)

    def _pre_install(self) -> None:
        scripts.run_all(self._plan.pre_install, self._commands, root=None, section="%pre-install")

    def _storage(self) -> None:
        try:
            self._disks.prepare(Path("/proc/cmdline").read_text(encoding="ascii", errors="replace"))
        except StorageError as error:
            raise InstallError(f"{inclusion.place(self._plan.origins, error.line)}: {error.sentence}") from error
        self._disks.adopt(self._plan)
        self._root.mkdir(parents=True, exist_ok=True)
        self._disks.make()

    def _payload(self) -> None:
        chosen, begin = self._plan.payload, self._percent
        doing = "unpacking" if isinstance(chosen, Liveimg) else "installing packages"

        def progress(fraction: float) -> None:
            self._console.progress(begin + int(fraction * (64 - begin)), doing)

        if self._disks.adopted:
            self._console.log("the root archive has been unpacked by the host")
        elif isinstance(chosen, Liveimg):
            payload.unpack(
                chosen,
                self._root,
                room=self._disks.free_bytes(),
                log=self._console.log,
                progress=progress,
                computed=self._identity.payload if chosen.path == payload.HOST_PAYLOAD else "",
            )
        else:
            packages.install(self._commands, chosen, self._root, progress)
        storage.bind_kernel(self._commands, self._root)

    def _configure(self) -> None:
        system.configure(self._target, self._plan, self._disks.mounted)
        self._disks.describe(self._target)
        network.configure(self._target, self._plan.interfaces, self._plan.firewall.trusted)
        accounts.configure(self._target, self._plan)
        if self._identity.host_keys:
            accounts.make_host_keys(self._target)

    def _bootloader(self) -> None:
        if self._plan.bootloader.password.text:
            grub_password.set_password(self._target, self._plan.bootloader.password, self._identity)
        bootloader.install(self._target, self._plan.bootloader, self._disks.start, self._disks.boot_disks)

    def _post(self) -> None:
        scripts.run_all(self._plan.post, self._commands, root=self._root, section="%post")

    def _release(self) -> None:
        self._disks.release()
