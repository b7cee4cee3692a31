"""Verifies an image: boots two clones of it, has all checks look at them, and compares them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from imagebuild.errors import BootFailed, BootStalled, EmulatorFault, GuestError, HostError
from imagebuild.host.accelerator import Accelerator
from imagebuild.host.hypervisor import SYSTEM, Hypervisor
from imagebuild.host.process import environment
from imagebuild.progress import Progress
from imagebuild.verify import clone as running
from imagebuild.verify import clone_disks, clone_seed, clone_xml, dhcp, identities, judging, registry, screenshot
from imagebuild.verify.check import CheckResult
from imagebuild.verify.clone import BootOptions, Clone
from imagebuild.verify.clone_xml import CloneXml
from imagebuild.verify.clones import Clones
from imagebuild.verify.subject import Subject
from imagebuild.verify.verification import BOOT, Verification, boot_version

BOOT_LIMIT = {"kvm": 300.0, "tcg": 1200.0}
"""Seconds within which a clone must be usable, by accelerator."""
_ATTEMPTS = 3
_LEAST_MEMORY = 512 << 20
_MEMORY_SHARE = 0.4
"""Of the host's available memory, what one of two clones may have."""
_IDENTITIES = "identities of the clones"


@dataclass(frozen=True)
class Setting:
    """Where and how an image is verified.

    ``work`` is the folder of the run, which QEMU's user can pass; what is to be kept (consoles,
    screenshots) goes to ``evidence``. ``name`` and ``description`` mark the domains as this run's.
    """

    hypervisor: Hypervisor
    accelerator: Accelerator
    work: Path
    evidence: Path
    name: str
    description: str
    boot_limit: float


def verify(subject: Subject, setting: Setting, progress: Progress) -> Verification:
    """Boot clones of an image and check them.

    An emulated guest occasionally hangs while booting; it is then started again. Raises HostError
    if this host cannot boot it. A guest that does not boot is a result, not an error.
    """
    began, begin = datetime.now(UTC), time.monotonic()
    clone_disks.check_room(setting.work)
    done = _booted_at_last(subject, setting, progress)
    return Verification(
        image=subject.name,
        sha256=subject.sha256,
        accelerator=setting.accelerator,
        seconds_to_login=done.seconds_to_login,
        results=tuple(sorted(done.results, key=lambda one: (one.name != BOOT, one.name))),
        replaced=(*done.replaced, *subject.notes),
        console=done.console,
        began=began.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - begin, 1),
    )


def _booted_at_last(subject: Subject, setting: Setting, progress: Progress) -> _Done:
    """What the clones showed. Emulated ones that hang are started once more, and those that fail for
    the emulator's fault twice.
    """
    tried = 0
    while True:
        tried += 1
        try:
            return _once(subject, setting, progress)
        except BootStalled as error:
            fault = isinstance(error, EmulatorFault)
            if setting.accelerator == "tcg" and tried < (_ATTEMPTS if fault else 2):
                progress.update("the emulated guest hangs; starting again")
            elif fault:
                message = f"the emulated guest failed to boot {tried} times: {error.message}"
                raise HostError(message, "the host is too busy to emulate a machine; try again later") from error
            else:
                return _not_booted(subject, error)
        except (BootFailed, GuestError) as error:
            return _not_booted(subject, error)


@dataclass(frozen=True)
class _Done:
    results: Sequence[CheckResult]
    seconds_to_login: float | None = None
    replaced: Sequence[str] = ()
    console: tuple[str, ...] = ()


def _not_booted(subject: Subject, error: BootFailed | GuestError) -> _Done:
    """The result for a guest that did not boot: nothing else can be checked."""
    failed = CheckResult(BOOT, "failed", (error.message,), version=boot_version())
    rest = [
        CheckResult(
            call.name, "not checkable", reason="the guest did not boot", version=registry.get(call.name).version
        )
        for call in subject.checks
    ]
    return _Done([failed, *rest], console=error.console if isinstance(error, BootFailed) else ())


def _once(subject: Subject, setting: Setting, progress: Progress) -> _Done:
    """Boot, check, end. Raises BootFailed, or GuestError if no command can be run in the guest."""
    try:
        return _booted(subject, setting, progress, serial=not subject.agent)
    except GuestError:
        if not subject.agent:
            raise
        progress.update("the guest agent runs no commands; starting again with a shell on a serial port")
        return _booted(subject, setting, progress, serial=True)


def _booted(subject: Subject, setting: Setting, progress: Progress, *, serial: bool) -> _Done:
    compares = [call for call in subject.checks if registry.get(call.name).compare is not None]
    names = ("clone-1", "clone-2") if compares else ("clone-1",)
    discard(setting.work, names)
    disks = clone_disks.readable(subject.disks, setting.work, setting.hypervisor.qemu_uid())
    overlays = {name: clone_disks.overlays(subject, disks, setting.work, name) for name in names}
    if serial:
        progress.update("adding a shell to the clones' overlays")
        first, *others = names
        inventory = clone_disks.with_operations(
            overlays[first],
            clone_disks.shell_operations(),
            accelerator=setting.accelerator,
            work=setting.work,
            progress=progress,
        )
        subject = subject.informed(inventory)
        for other in others:
            for source, target in zip(overlays[first], overlays[other], strict=True):
                shutil.copyfile(source.path, target.path)
    options = BootOptions(setting.accelerator, setting.boot_limit, shell=serial)
    uid = setting.hypervisor.qemu_uid()
    seeds = (
        {name: clone_seed.new(setting.work, name, uid, subject.seeded_device) for name in names}
        if subject.seeded
        else {}
    )
    isos = {name: seed.path for name, seed in seeds.items()}
    definitions = {
        name: definition(subject, setting, name, overlays[name], serial=serial, seed=isos.get(name)) for name in names
    }
    progress.update("booting two clones" if len(names) > 1 else "booting a clone")
    with ThreadPoolExecutor(len(names)) as pool, ExitStack() as stack:
        clones = []
        for name in names:
            log = setting.work / f"{name}.log"
            started = running.started(setting.hypervisor, _domain(setting, name), definitions[name], options, log)
            clones.append(stack.enter_context(_kept(setting, name, started)))
            clones[-1].seed = seeds[name].values if name in seeds else None
        for booted in [pool.submit(clone.wait_until_usable) for clone in clones]:
            booted.result()
        for name, clone in zip(names, clones, strict=True):
            _keep_screen(setting, name, clone)
        progress.update(f"login after {clones[0].seconds_to_login:.0f} s; checking")
        results = _checked(subject, clones, pool)
    boot = CheckResult(BOOT, "passed", seconds=round(clones[0].seconds_to_login, 1), version=boot_version())
    return _Done([boot, *results], clones[0].seconds_to_login, definitions[names[0]].replaced)


@contextmanager
def _kept(setting: Setting, name: str, started: AbstractContextManager[Clone]) -> Iterator[Clone]:
    """A started clone whose console, and screen if it has one, are kept as evidence."""
    try:
        with started as clone:
            try:
                yield clone
            except BaseException:
                _keep_screen(setting, name, clone)  # most likely it did not boot
                raise
    finally:
        with suppress(OSError):
            shutil.copyfile(setting.work / f"{name}.log", setting.evidence / f"{name}.log")


def _keep_screen(setting: Setting, name: str, clone: Clone) -> None:
    if clone.definition.display and (picture := clone.domain.screenshot()) is not None:
        with suppress(ValueError):
            (setting.evidence / f"{name}.png").write_bytes(screenshot.png(picture))


def _checked(subject: Subject, clones: Sequence[Clone], pool: ThreadPoolExecutor) -> list[CheckResult]:
    """The results of all checks. The last clone reboots while the first one is still looked at."""
    first, last = clones[0], clones[-1]
    others = pool.submit(judging.probed, last, {_IDENTITIES: identities.PROBES}) if last is not first else None
    seen = judging.probed(first, {**judging.probes_of(subject.checks), _IDENTITIES: identities.PROBES})
    results = [judging.judged(call, seen[call.name]) for call in subject.checks if call.name in seen]
    rebooting = None
    if others is not None:
        sides = [(first, seen[_IDENTITIES]), (last, others.result()[_IDENTITIES])]
        results += judging.compared(subject.checks, lambda: _compared(subject, sides))
        rebooting = pool.submit(judging.acted, subject.checks, "reboot", last)
    results += judging.acted(subject.checks, "running", first)
    results += judging.acted(subject.checks, "reboot", first) if rebooting is None else []
    results += judging.acted(subject.checks, "shutdown", first)
    results += rebooting.result() if rebooting is not None else []
    return judging.settled(results)


def _compared(subject: Subject, sides: Sequence[tuple[Clone, judging.Seen]]) -> Clones:
    """What is known of the two clones. Raises NotCheckable."""
    first, second = (identities.state(seen, dhcp.identities(list(clone.frames))) for clone, seen in sides)
    return Clones(first, second, subject.seeds, all(dhcp.asked(list(clone.frames)) for clone, _ in sides))


def definition(
    subject: Subject,
    setting: Setting,
    name: str,
    overlays: list[clone_xml.Overlay],
    *,
    serial: bool,
    seed: Path | None = None,
) -> CloneXml:
    """The domain definition of a clone; ``serial`` adds a second serial port, ``seed`` a CD-ROM."""
    return clone_xml.clone(
        subject.machine,
        name=_domain(setting, name),
        description=setting.description,
        disks=overlays,
        accelerator=setting.accelerator,
        console_log=setting.work / f"{name}.log",
        nvram=setting.work / f"{name}.fd",
        memory=max(_LEAST_MEMORY, int(_available_memory() * _MEMORY_SHARE)),
        tpm=shutil.which("swtpm", path=environment()["PATH"]) is not None,
        shell=serial,
        own_daemon=setting.hypervisor.uri != SYSTEM,
        old_cpu=subject.old_cpu,
        seed=seed,
    )


def _available_memory() -> int:
    """Bytes that the host can give to programs now."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) << 10


def _domain(setting: Setting, clone: str) -> str:
    return setting.name if clone == "clone-1" else f"{setting.name}-{clone}"


def discard(work: Path, names: Sequence[str]) -> None:
    """Remove what an earlier attempt left."""
    for name in names:
        for path in (
            *work.glob(f"{name}-disk*.qcow2"),
            work / f"{name}.log",
            work / f"{name}.fd",
            work / f"{name}-seed.iso",
            *work.glob("image-*"),
        ):
            path.unlink(missing_ok=True)
