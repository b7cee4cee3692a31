"""Builds Debian root file systems as tar archives, with mmdebstrap on this host."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from imagebuild.errors import CommandFailed, HostError, ImageBuildError
from imagebuild.host.process import run
from imagebuild.kickstrap import mirror as mirrors
from imagebuild.kickstrap import scratch
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.scratch import within_reach, working_folder
from imagebuild.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imagebuild.progress import Progress

_WITHOUT_SYNC = Path(__file__).with_name("agent") / "without_sync.py"
LISTS = "./var/lib/apt/lists"
"""apt's package lists in a root archive that was made with ``keep_lists``."""
_PIPE = 1 << 20
"""Bytes that are read from a pipe at a time."""
Read = TypeVar("Read")
TIMEOUT = 3600.0
"""Seconds after which a slow mirror is abandoned."""

_PHASES = (
    ("I: running apt-get update", "reading package lists", 0.02),
    ("I: downloading packages", "downloading packages", 0.10),
    ("I: extracting archives", "unpacking the base system", 0.35),
    ("I: installing essential packages", "configuring the base system", 0.45),
    ("I: installing remaining packages", "installing packages", 0.60),
    ("I: cleaning package lists", "cleaning up", 0.85),
    ("I: creating tarball", "writing the archive", 0.88),
)
# The time that initramfs-tools writes into an initramfs for everything newer. Otherwise each build has
# another one with the same files in it, and a delta between two builds 10 MB more. Only update-initramfs
# may see it: mmdebstrap would give it to all files.
_CONFIGURATION = "etc/initramfs-tools/conf.d"
_EPOCH = f"{_CONFIGURATION}/imagebuild-epoch"
# And an initramfs is made once, at the end: otherwise the kernel's package makes one, and the trigger of all packages
# that add something another one. mkinitramfs reads this file when it knows where to write, and before it writes.
_LATER = f"{_CONFIGURATION}/imagebuild-later"
_SETUP = (
    f'mkdir -p "$1/{_CONFIGURATION}"',
    f'echo SOURCE_DATE_EPOCH=1 > "$1/{_EPOCH}"',
    f"""echo ': > "$outfile"; exit 0' > "$1"/{_LATER}""",
)
# mmdebstrap copies both of these from the host: they reveal where the image was built, and a stale
# resolv.conf breaks name resolution in a guest.
_CUSTOMIZE = (
    (
        f'rm "$1/{_LATER}" && for empty in $(find "$1/boot" -maxdepth 1 -name "initrd.img-*" -type f -empty); do'
        ' env --unset=TMPDIR chroot "$1" update-initramfs -c -k "${empty##*/initrd.img-}" || exit; done'
    ),
    f'cd "$1" && rm {_EPOCH} && [ -e usr/sbin/mkinitramfs ] || rmdir -p --ignore-fail-on-non-empty {_CONFIGURATION}',
    'rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
    # if the mirror comes from a file, mmdebstrap numbers the file that it writes
    (
        'cd "$1/etc/apt" && if [ -e sources.list.d/0000debian.sources ]; then'
        " rm -f sources.list; mv sources.list.d/0000debian.sources sources.list.d/debian.sources; fi"
    ),
    # one key for everybody who installs from this archive; the installation makes others
    'rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub',
    # these options are for this run, not for the resulting system
    'rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"',
)


class PackagesUnknown(ImageBuildError):
    """The archive has no package with a name that the kickstart requests."""

    exit_code = 2

    def __init__(self, names: Sequence[str], suite: str) -> None:
        self.names = tuple(names)
        what = "package" if len(names) == 1 else "packages"
        super().__init__(
            f"Debian {suite} has no {what} {', '.join(names)}",
            "check the spelling, and that installer.components includes the component with the package",
        )


@dataclass(frozen=True)
class Bootstrap:
    """What to install: the packages of ``variant`` (see mmdebstrap(1)) and ``packages``."""

    suite: str
    mirror: Mirror = field(default_factory=Mirror)
    components: tuple[str, ...] = ("main",)
    variant: str = "required"
    packages: tuple[str, ...] = ()
    recommends: bool = False
    arch: str = "amd64"
    dpkg_options: tuple[str, ...] = ()
    """Options that apply while this root is built, and are not left in it."""
    epoch: int | None = None
    """SOURCE_DATE_EPOCH: no file is newer, in seconds since 1970; None for the time of the run."""
    over: Path | None = None
    """A root archive by ``make`` to continue from; its packages count as installed."""
    lists: Path | None = None
    """A root archive with package lists, which are used instead of the mirror's current ones."""
    keep_lists: bool = False
    """Leave the package lists in the archive."""


def command(spec: Bootstrap, target: Path, sources: Path | None, keyring: Path, mode: str) -> list[str]:
    """The mmdebstrap command line that writes ``target``; ``sources`` is a deb822 file."""
    argv = [
        "mmdebstrap",
        f"--mode={mode}",
        "--format=tar",
        f"--variant={spec.variant}",
        f"--architectures={spec.arch}",
        f"--components={','.join(spec.components)}",
        f"--keyring={keyring}",
        f'--aptopt=APT::Install-Recommends "{str(spec.recommends).lower()}"',
        '--aptopt=Acquire::Languages "none"',
        "--aptopt=Acquire::Retries 3",
        # debconf asks all questions before the packages are unpacked, and again later, where nobody can answer anyway
        "--aptopt=#clear DPkg::Pre-Install-Pkgs",
    ]
    if spec.mirror.dated:
        argv.append('--aptopt=Acquire::Check-Valid-Until "false"')
    argv += [f"--dpkgopt={option}" for option in spec.dpkg_options]
    if spec.lists is not None:
        argv.append("--skip=update")
    if spec.keep_lists:
        argv.append("--skip=cleanup/apt/lists")
    if spec.packages:
        argv.append(f"--include={','.join(spec.packages)}")
    argv += [f"--setup-hook={hook}" for hook in (*_unpacked(spec), *_SETUP)]
    argv += [f"--customize-hook={hook}" for hook in _CUSTOMIZE]
    argv += [spec.suite, str(target)]
    if sources is not None:
        argv.append(str(sources))
    return argv


def _unpacked(spec: Bootstrap) -> Iterator[str]:
    """Hooks that fill the root before the first package: with what is there, mmdebstrap finds the
    essential packages installed and goes on to the others.
    """
    tar = 'tar --extract --directory "$1" --numeric-owner --xattrs --xattrs-include="*"'
    if spec.over is not None:
        # mmdebstrap has written the list of archives already, and as root the device nodes; as another user it mounts
        # them later, if there is a folder for them
        yield f"{tar} --exclude='./dev/*' --exclude=./etc/apt/sources.list.d --file {shlex.quote(str(spec.over))}"
    if spec.lists is not None and spec.lists != spec.over:
        yield f"{tar} --file {shlex.quote(str(spec.lists))} {LISTS}"


def make(spec: Bootstrap, target: Path, progress: Progress) -> None:
    """Write the root file system of ``spec`` as an uncompressed tar archive to ``target``.

    Works as root and as an ordinary user (in a user namespace). Leaves nothing behind if it is
    interrupted. Raises PackagesUnknown, or HostError for an unreachable mirror or a full disk.
    """

    with working_folder(target.parent) as folder:
        try:
            try:
                _run(spec, target, folder, progress, in_memory=scratch.has_memory())
            except _Full:
                logger.info("%s is made on disk: it does not fit in memory", target)
                _run(spec, target, folder, progress, in_memory=False)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def streamed(spec: Bootstrap, beside: Path, progress: Progress, read: Callable[[BinaryIO], Read]) -> Read:
    """What ``read`` makes of the root archive of ``spec``, which is stored nowhere: it comes through a pipe.

    ``read`` runs in a thread, and again from the beginning if the root does not fit in memory.
    mmdebstrap works in a folder in ``beside``. Raises the ImageBuildError of ``read``, and what ``make``
    raises.
    """
    with working_folder(beside) as folder:
        try:
            return _streamed(spec, folder, progress, read, in_memory=scratch.has_memory())
        except _Full:
            logger.info("a root is made on disk: it does not fit in memory")
            return _streamed(spec, folder, progress, read, in_memory=False)


def _streamed(
    spec: Bootstrap, folder: Path, progress: Progress, read: Callable[[BinaryIO], Read], *, in_memory: bool
) -> Read:
    pipe = folder / "root.tar"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o600)
    source = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    kept = os.open(pipe, os.O_WRONLY)  # so that the pipe does not end before mmdebstrap opens it
    os.set_blocking(source, True)

    def reading() -> Read:
        with os.fdopen(source, "rb", buffering=_PIPE) as stream:
            made = read(stream)
            while stream.read(_PIPE):  # what tar adds to the end of an archive
                pass
        return made

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(reading)
        try:
            try:
                _run(spec, pipe, folder, progress, in_memory=in_memory)
            finally:
                os.close(kept)
        except ImageBuildError as error:
            if isinstance(why := result.exception(), ImageBuildError):
                raise why from error  # mmdebstrap could not write to a pipe that nobody read any more
            raise
        try:
            return result.result()
        except tarfile.ReadError as error:
            raise CommandFailed(f"mmdebstrap wrote no archive: {error}", command="mmdebstrap") from error


class _Full(Exception):
    """The root does not fit in memory."""


def _run(spec: Bootstrap, target: Path, folder: Path, progress: Progress, *, in_memory: bool) -> None:
    """Run mmdebstrap in ``folder``. Raises _Full, and what ``make`` raises."""

    def tell(line: str) -> None:
        for start, detail, fraction in _PHASES:
            if line.startswith(start):
                progress.update(detail, fraction)

    sources = None
    if (text := spec.mirror.sources(spec.suite, spec.components)) is not None:
        sources = folder / "debian.sources"
        sources.write_text(text)
        sources.chmod(0o644)
    root = folder / "root"
    root.mkdir(mode=0o755, exist_ok=True)
    root.chmod(0o755)
    spec = replace(spec, over=within_reach(spec.over, folder), lists=within_reach(spec.lists, folder))
    mode = "root" if os.geteuid() == 0 else "unshare"
    prefix = [*scratch.prefix(root, in_memory=in_memory), sys.executable, "-I", str(_WITHOUT_SYNC)]
    # dpkg-deb's threads take memory for whole blocks: 100 MB for a kernel's package, and 63 MB without, in the same
    # time of the processors, both of which have other work
    env = {"TMPDIR": str(root), "DPKG_DEB_THREADS_MAX": "1"}
    if spec.epoch is not None:
        env["SOURCE_DATE_EPOCH"] = str(spec.epoch)
    try:
        argv = [*prefix, *command(spec, target, sources, mirrors.keyring(), mode)]
        run(argv, timeout=TIMEOUT, env=env, on_line=tell)
    except CommandFailed as error:
        if in_memory and "No space left on device" in error.output:
            raise _Full from error
        raise explain(error, spec) from error


_EXPIRED = re.compile(r"Release file for \S+ is expired \(invalid since ([^)]*?)(?: \d+s)?\)")
_UNREACHABLE = re.compile(
    r"Could not resolve|Could not connect|Connection (refused|timed out|failed)|Unable to connect|Network is "
    r"unreachable"
    r"|Temporary failure resolving|Failed to fetch"
)


def explain(error: CommandFailed, spec: Bootstrap) -> ImageBuildError:
    """The cause of mmdebstrap's failure, from its output."""
    output = error.output
    where = spec.mirror.main or "mmdebstrap's default mirror"
    unknown = re.findall(r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate", output)
    if unknown:
        return PackagesUnknown(sorted({a or b for a, b in unknown}), spec.suite)
    if re.search(r"E: unshare(\(\)| syscall) failed", output):  # it may say that there is no space left
        return HostError(
            "this user may not make user namespaces here, in which mmdebstrap works",
            "`imagebuild doctor` shows what this host lacks; or build as root",
        )
    if "No space left on device" in output:
        return HostError("no space left while building the root file system", "free some disk space and try again")
    if re.search(r"NO_PUBKEY|is not signed|not signed by|EXPKEYSIG|Missing key", output):
        return HostError(
            f"the keys on this host cannot verify the archive of Debian {spec.suite} at {where}",
            "install a newer debian-archive-keyring",
        )
    if expired := _EXPIRED.search(output):
        return HostError(
            f"the index of Debian {spec.suite} at {where} has expired: the mirror is behind by {expired[1].strip()}",
            "set installer.mirror in the recipe to a mirror that is up to date, or check this host's clock",
        )
    if re.search(r"does not have a Release file|404 +Not Found", output):
        return HostError(f"{where} has no Debian {spec.suite}", "check installer.mirror and os.codename in the recipe")
    if _UNREACHABLE.search(output):
        return HostError(f"cannot reach {where}", "check the network, the proxy, or installer.mirror in the recipe")
    if re.search(r"newuidmap|unshare|uid_map|subuid", output):
        return HostError(
            "mmdebstrap cannot run as an ordinary user here",
            "install uidmap and give this user a range in /etc/subuid and /etc/subgid, or run as root",
        )
    message = re.sub(r"^(unshare|python\S*) ", "mmdebstrap ", error.message)
    return CommandFailed(message, command=error.command, output=output, hint=error.hint)
