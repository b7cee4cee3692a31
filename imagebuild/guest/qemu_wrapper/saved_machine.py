"""Runs QEMU for libguestfs, from the saved state of an appliance that has already started.

    python saved_machine.py QEMU FOLDER ARGUMENTS...

A program of its own: libguestfs starts it in place of QEMU (``QEMU WRAPPERS`` in guestfs(3)), so it
imports only the standard library. The first machine of a kind is started twice: once without the
guest's disks, until its init script waits for them (``lean_start``), when its state is written to
FOLDER; and then, like all later ones, from that state. Whatever is not as expected, QEMU gets
libguestfs's own arguments.

The state contains no random numbers that matter: it is only saved while the kernel's generator is
not initialised, which the init script checks; it is seeded by the host in each machine.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

WORDS = "imagebuild_wait=1 random.trust_cpu=off random.trust_bootloader=off"
"""What the kernel's command line gets: the first is for the init script."""
READY, REFUSED = b"imagebuild: waiting for disks", b"imagebuild: cannot be saved"
"""Lines of the init script (``waiting``)."""
APPLIANCE = "id=appliance"
_AGAIN = 600.0
"""Seconds until a machine that could not be saved is tried again."""
_PATIENCE = 120.0
"""Seconds until a machine that is to be saved must be ready; usually it takes 5 to 20."""
_KEPT = 4
"""The number of states that are kept, about 200 MiB each: with one and two processors, with and
without a network."""
TRANSLATED = 56
"""MiB of translated code that QEMU keeps; its own choice is an eighth of the host's memory, at most 1 GiB,
of which a short run fills 200 MiB."""
_PR_SET_PDEATHSIG = 1


class UnexpectedError(Exception):
    """The machine is not one that can be saved."""


Options = list[tuple[str, str]]
"""QEMU's options, each with its value or with an empty one."""


def options(arguments: list[str]) -> Options:
    """QEMU's command line as pairs."""
    pairs: Options = []
    for word in arguments:
        if word.startswith("-"):
            pairs.append((word, ""))
        elif pairs and not pairs[-1][1]:
            pairs[-1] = (pairs[-1][0], word)
        else:
            raise UnexpectedError(f"{word!r} belongs to no option")
    return pairs


def is_emulated(pairs: Options) -> bool:
    return "accel=tcg" in dict(pairs).get("-machine", "").split(",")


def lighter(pairs: Options) -> Options:
    """An emulated machine that copies memory quickly, without the CPU feature
    ``imagebuild.host.accelerator.SLOW_EMULATED``, and with a smaller buffer for translated code."""
    found: Options = []
    for name, value in pairs:
        first, *fields = value.split(",")
        if name == "-cpu" and first == "max":
            found.append((name, f"{value},erms=off"))
        elif name == "-machine":
            # QEMU takes either accel= or -accel
            kept = ",".join(one for one in (first, *fields) if one != "accel=tcg")
            found += [*([(name, kept)] if kept else []), ("-accel", f"tcg,tb-size={TRANSLATED}")]
        else:
            found.append((name, value))
    return found


def arguments(pairs: Options) -> list[str]:
    """The command line of these options."""
    return [word for pair in pairs for word in pair if word]


def divided(pairs: Options) -> tuple[Options, Options]:
    """The machine without the guest's disks, and these. Raises UnexpectedError if there is no emulated machine
    of libguestfs."""
    machine: Options = []
    disks: Options = []
    appliances = 0
    for name, value in pairs:
        fields = value.split(",")
        if name == "-drive" and APPLIANCE not in fields:
            disks.append((name, value))
        elif name == "-device" and fields[0] == "scsi-hd":
            if "drive=appliance" in fields:
                appliances += 1
                # After all others, which are numbered from 0. As no time of a rotating disk is random, the kernel's
                # generator stays uninitialised.
                machine.append((name, f"{value},scsi-id=255,rotation_rate=1"))
            else:
                disks.append((name, value))
        elif name == "-append":
            machine.append((name, f"{value} {WORDS}"))
        else:
            machine.append((name, value))
    given = dict(pairs)
    if appliances != 1 or not disks or not {"-kernel", "-initrd", "-append"} <= set(given):
        raise UnexpectedError("not an appliance of libguestfs with disks")
    if not is_emulated(pairs) or "guestfs_verbose=1" in given["-append"]:
        raise UnexpectedError("a machine with KVM, or one whose messages are of interest")
    return machine, disks


def drive_of(machine: Options) -> tuple[Path, int]:
    """The appliance's file system image, and the position of its drive."""
    for position, (name, value) in enumerate(machine):
        fields = value.split(",")
        if name == "-drive" and APPLIANCE in fields and "snapshot=on" in fields and "format=raw" in fields:
            return Path(next(one for one in fields if one.startswith("file=")).removeprefix("file=")), position
    raise UnexpectedError("the appliance's drive is not known")


def name_of(qemu: Path, machine: Options, root: Path) -> str:
    """A name for the state of this machine: another one whenever anything changes that it depends on.

    libguestfs touches the appliance's files at each start. supermin gives each one that it builds another UUID,
    which is in the kernel's command line.
    """
    given = dict(machine)
    files = [qemu, Path(given["-kernel"]), Path(given["-initrd"]), root]
    stats = [(str(one), (status := one.stat()).st_size, status.st_ino) for one in files]
    stats.append((str(qemu), qemu.stat().st_mtime_ns, 0))
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")  # nothing is synced to the disk
    kept = [pair for pair in machine if not (pair[0] == "-chardev" and pair[1].startswith("socket,"))]
    return hashlib.sha256(repr((1, boot, stats, kept)).encode()).hexdigest()[:32]


def with_drive(machine: Options, position: int, value: str) -> Options:
    return [*machine[:position], ("-drive", value), *machine[position + 1 :]]


def resumed(machine: Options, disks: Options, position: int, folder: Path, state: int) -> list[str]:
    """The arguments for a machine that continues from the open file ``state``."""
    drive = f"file={folder / 'root'},snapshot=on,id=appliance,cache=unsafe,if=none,format=qcow2"
    changed = with_drive(machine, position, drive)
    at = next(number for number, (name, value) in enumerate(changed) if name == "-drive" and value == drive)
    return arguments([*changed[:at], *disks, *changed[at:], ("-incoming", f"fd:{state}")])


def save(qemu: Path, machine: Options, root: Path, position: int, folder: Path) -> None:
    """Start a machine without a guest's disks, and write its state into ``folder``. OSError and
    UnexpectedError if that fails."""
    overlay = folder / "root"
    image = str(root).replace('"', "")
    program = qemu.with_name("qemu-img")
    _ended(_spawned([str(program), "create", "-q", "-f", "qcow2", "-b", image, "-F", "raw", str(overlay)], {}))
    without = with_drive(machine, position, f"file={overlay},id=appliance,cache=unsafe,if=none,format=qcow2")
    state = os.open(folder / "state", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    ours, theirs = socket.socketpair()
    output, console = os.pipe()
    with ours, theirs, os.fdopen(state, "wb"), os.fdopen(output, "rb"):
        os.set_inheritable(theirs.fileno(), True)  # noqa: FBT003
        monitor = (
            ("-chardev", f"socket,id=monitor,fd={theirs.fileno()}"),
            ("-mon", "chardev=monitor,mode=control"),
        )
        argv = arguments([*(_unconnected(name, value) for name, value in without), *monitor])
        try:
            pid = _spawned([str(qemu), *argv], {1: console, 2: console})
        finally:
            os.close(console)
        theirs.close()
        try:
            _until_ready(output)
            _migrate(ours, state)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _unconnected(name: str, value: str) -> tuple[str, str]:
    """An option, with no one at the other end of libguestfs's channel."""
    if name == "-chardev" and value.startswith("socket,"):
        return name, ",".join(["null", *(one for one in value.split(",") if one.startswith("id="))])
    return name, value


def _spawned(argv: list[str], streams: dict[int, int]) -> int:
    """Start a program that ends with this process. ``streams`` are its descriptors."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(streams.get(number, nothing), number)
        if os.getppid() == parent:
            os.execv(argv[0], argv)  # noqa: S606
    finally:
        os._exit(127)


def _ended(pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    if status:
        raise UnexpectedError(f"a program ended with {status}")


def _until_ready(output: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    seen = b""
    while READY not in seen:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([output], [], [], left)[0]:
            raise UnexpectedError("the machine is not ready in time")
        some = os.read(output, 65536)
        if not some:
            raise UnexpectedError("the machine ended")
        seen = (seen + some)[-65536:]
        if REFUSED in seen and b"." in (why := seen.partition(REFUSED)[2]):
            raise UnexpectedError(f"the machine cannot be saved{why.partition(b'.')[0].decode('utf-8', 'replace')}")


def _migrate(monitor: socket.socket, state: int) -> None:
    """Have QEMU write the state of its machine, which keeps running until then."""
    monitor.settimeout(_PATIENCE)
    lines = monitor.makefile("r", encoding="utf-8")

    def execute(command: str, passed: int | None = None, **values: object) -> dict[str, object]:
        text = json.dumps({"execute": command, "arguments": values}).encode()
        if passed is None:
            monitor.sendall(text)
        else:
            socket.send_fds(monitor, [text], [passed])
        for line in lines:
            answer = json.loads(line)
            if "error" in answer:
                raise UnexpectedError(str(answer["error"]))
            if "return" in answer:
                return dict(answer["return"])
        raise UnexpectedError("QEMU ended")

    execute("qmp_capabilities")
    execute("migrate-set-parameters", **{"max-bandwidth": 1 << 40, "downtime-limit": 20_000})
    execute("getfd", state, fdname="state")
    execute("migrate", uri="fd:state")
    deadline = time.monotonic() + _PATIENCE
    while (status := execute("query-migrate").get("status")) != "completed":
        if status in ("failed", "cancelled") or time.monotonic() > deadline:
            raise UnexpectedError(f"saving the machine: {status}")
        time.sleep(0.02)
    execute("quit")


def prepare(qemu: Path, machine: Options, root: Path, position: int, place: Path) -> None:
    """Make ``place``, a folder with the state of the machine, unless another process is doing it."""
    with (place.parent / "lock").open("a") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UnexpectedError("another process is saving a state") from error
        new = place.parent / "new"
        _remove(new)
        new.mkdir(mode=0o700)
        try:
            try:
                save(qemu, machine, root, position, new)
            except UnexpectedError as error:
                sys.stderr.write(f"{error}\n")
                for file in new.iterdir():
                    file.unlink()  # an empty folder: see _AGAIN
            for old in sorted(_states(place.parent), key=lambda one: one.stat().st_mtime)[: -(_KEPT - 1)]:
                _remove(old)
            _remove(place)
            new.rename(place)
        finally:
            _remove(new)


def _failed_recently(place: Path) -> bool:
    return place.is_dir() and time.time() - place.stat().st_mtime < _AGAIN


def _states(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_dir() and not one.is_symlink()]


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def main(qemu: Path, folder: Path, given: list[str]) -> list[str]:
    """The arguments that QEMU gets."""
    usual = given
    try:
        pairs = options(given)
        if is_emulated(pairs) and "-kernel" in given:  # otherwise libguestfs asks QEMU what it can do
            usual = arguments(lighter(pairs))
        machine, disks = divided(pairs)
        machine = lighter(machine)
        root, position = drive_of(machine)
        place = folder / name_of(qemu, machine, root)
        if not (place / "state").exists() and not _failed_recently(place):
            prepare(qemu, machine, root, position, place)
        try:
            state = os.open(place / "state", os.O_RDONLY)
        except FileNotFoundError as error:
            raise UnexpectedError("this machine could not be saved") from error
        os.utime(place)  # the ones that were used last are kept
        os.set_inheritable(state, True)  # noqa: FBT003
        return resumed(machine, disks, position, place, state)
    except (UnexpectedError, OSError) as error:
        if "-kernel" in given:
            sys.stderr.write(f"started from the beginning: {error}\n")
        return usual


if __name__ == "__main__":
    program = Path(sys.argv[1])
    os.execv(program, [str(program), *main(program, Path(sys.argv[2]), sys.argv[3:])])  # noqa: S606
