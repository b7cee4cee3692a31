"""The installer's runtime: Debian packages of the guest's suite, provided as an install tree.

It has two parts: the *base* (kernel, modules, squashfs, from packages) is slow to build and rarely
changes; the *tree* (the base, the agent and pykickstart, ``.treeinfo``) is quick to build and
changes with every edit. The tree is passed to ``virt-install --location``.
"""

from __future__ import annotations

import configparser
import io
import re
import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild import files
from imagebuild.customise.linux import dpkg
from imagebuild.errors import HostError
from imagebuild.host.process import run
from imagebuild.kernel import cpio, vmlinux
from imagebuild.kickstrap import base_root, bootstrap, e2fsprogs, modules, squashfs
from imagebuild.kickstrap.base_root import BaseRoot, BaseSpec
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.scratch import working_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagebuild.progress import Progress

_HERE = Path(__file__).parent
_ROOTFS = _HERE / "rootfs"
E2FSPROGS = "e2fsprogs"
"""The folder of a base with the programs that write ext4 on this host."""
_HOME = "usr/lib/kickstrap"
"""The agent's folder in the runtime."""

PACKAGES = (
    "linux-image-cloud-amd64", "busybox-static", "udhcpc", "kmod", "iproute2",
    "python3", "fdisk", "parted", "e2fsprogs", "xfsprogs", "btrfs-progs", "dosfstools", "lvm2", "mdadm", "tar",
    "cryptsetup-bin", "thin-provisioning-tools", "zstd", "mount",
    "mmdebstrap", "debian-archive-keyring", "ca-certificates",
    "libarchive13",  # with it mke2fs reads tar archives, on the host
)  # fmt: skip

_FIRST = ("virtio_pci", "virtio_blk", "virtio_rng", "virtio_console", "squashfs", "overlay")
"""Modules that are needed to reach the runtime and to send the log (a module up to Debian 12)."""
_OTHERS = ("virtio_scsi", "ahci", "ata_piix", "sd_mod")
"""Modules for a target disk that is not a virtio disk; loaded only if no virtio disk is the target.
"""
_MEDIUM = ("isofs", "loop", "sr_mod")
"""Modules for a runtime in an ISO image; loaded, after the others, only if inst.stage2= names one.
"""
KERNEL_ARGS = ("quiet", "panic=-1", "mitigations=off")
"""Arguments for the tree's kernel, in addition to inst.ks=, console= and the guest's firmware.

quiet: kernel messages do not mix with the agent's events, and a slow serial console has less to
write. panic=-1: a panic resets immediately, which ends the domain, instead of hanging until the
time limit. mitigations=off: nothing untrusted runs in the installer, and retpolines are slow under
emulation.
"""


def kernel_arguments(firmware: str, *, host_keys: bool = True, syntax: str | None = None) -> tuple[str, ...]:
    """Arguments for the tree's kernel for a guest with this firmware, for which the agent prepares
    the disks; ``host_keys`` makes it create the SSH host keys that a root archive lacks, and it reads
    the kickstart with ``syntax``.
    """
    named = () if firmware == "bios" else (f"kickstrap.firmware={firmware}",)
    read_as = (f"kickstrap.syntax={syntax}",) if syntax else ()
    return (*KERNEL_ARGS, *named, *read_as, *(() if host_keys else ("kickstrap.ssh_host_keys=no",)))


def identity_arguments(identity: str, epoch: int, payload: str = "") -> tuple[str, ...]:
    """Arguments with which the agent derives the identifiers of disks from ``identity``, a SHA-256, and
    gives ``epoch`` to its tools; 0 for none. It does not compute the SHA-256 ``payload`` of the root
    archive again.
    """
    known = {"identity": identity, "epoch": epoch, "payload": payload}
    return tuple(f"kickstrap.{name}={value}" for name, value in known.items() if value)


_APPLETS = (
    "sh", "mount", "insmod", "cat", "dd", "printf", "tail", "tr", "sleep", "mkdir", "ln", "cp", "switch_root",
    "poweroff",
)  # fmt: skip


@dataclass(frozen=True)
class RuntimeSpec:
    """The suite of the runtime, and the source of its packages."""

    suite: str
    mirror: Mirror = field(default_factory=Mirror)
    components: tuple[str, ...] = ("main",)


@dataclass(frozen=True)
class Base:
    """The content of ``base.json``: the kernel's version, digests, and packages with versions."""

    suite: str
    kernel: str
    python: str
    install_img_sha256: str
    packages: dict[str, str]


def base_sources() -> tuple[Path, ...]:
    """The code that determines a base: its fingerprint covers these files."""
    own = ("e2fsprogs", "modules", "runtime", "squashfs")
    return (
        *(_HERE / f"{name}.py" for name in (*own, *base_root.CODE)),
        _HERE.parent / "customise" / "linux" / "dpkg.py",
        *(_HERE.parent / "kernel" / name for name in ("cpio.py", "lz4_legacy.py", "vmlinux.py")),
    )


def tree_sources() -> tuple[Path, ...]:
    """The files that a tree adds to its base: its fingerprint covers these."""
    return tuple(sorted(path for folder in (_HERE / "agent", _ROOTFS) for path in folder.rglob("*") if path.is_file()
                        and "__pycache__" not in path.parts))  # fmt: skip


def root_of(spec: RuntimeSpec, epoch: int | None = None) -> BaseSpec:
    """The root that a runtime is made over; ``epoch`` is the mirror's date in seconds since 1970."""
    return BaseSpec(suite=spec.suite, mirror=spec.mirror, components=tuple(spec.components), epoch=epoch)


def build_base(spec: RuntimeSpec, into: Path, progress: Progress, root: BaseRoot | None = None) -> Base:
    """Build the base of an install tree, the slow part, in the folder ``into``, over ``root``.

    Raises HostError and CommandFailed.
    """
    into.mkdir(parents=True, exist_ok=True)
    with working_folder(into) as scratch:
        root = root or base_root.build(root_of(spec), scratch, progress)
        wanted = replace(
            root_of(spec).bootstrap(),
            packages=PACKAGES,
            over=root.path,
            lists=root.path,
            # the runtime boots from its own initrd: without the kernel's hooks no other is generated
            dpkg_options=("path-exclude=/etc/kernel/*",),
        )
        now = int(time.time())
        parts = bootstrap.streamed(
            wanted, into, progress, lambda archive: squashfs.pack(archive, into / "install.img", now)
        )
    base = _write_base(spec, parts, into)
    files.write_record(into / "base.json", base)
    _make_readable(into)
    return base


def _write_base(spec: RuntimeSpec, parts: squashfs.Parts, work: Path) -> Base:
    kernel = parts.matching(r"boot/vmlinuz-")[-1]
    version = kernel.removeprefix("boot/vmlinuz-")
    bzimage = work / "bzImage"
    bzimage.write_bytes(parts.files[kernel])
    if vmlinux.extract(bzimage, work / "vmlinuz"):
        bzimage.unlink()
    else:
        bzimage.rename(work / "vmlinuz")
    with (work / "initrd.img").open("wb") as out:
        cpio.write(_initrd_entries(parts, version), out)
    interpreter = parts.matching(r"usr/bin/python3\.\d+$")[-1]
    _unpack_interpreter(parts, work / "python")
    e2fsprogs.unpack(parts, work / E2FSPROGS)
    return Base(
        suite=spec.suite,
        kernel=version,
        python=interpreter,
        install_img_sha256=files.sha256(work / "install.img"),
        packages=dpkg.versions(parts.files["var/lib/dpkg/status"].decode()),
    )


def _initrd_entries(parts: squashfs.Parts, version: str) -> Iterator[cpio.CpioMember]:
    folder = f"usr/lib/modules/{version}"
    index = modules.parse_index(
        parts.files[f"{folder}/modules.dep"].decode(), parts.files[f"{folder}/modules.builtin"].decode()
    )
    # in case the kernel's built-in archive has none: without it PID 1 would have no output
    yield cpio.character_device("dev/console", 5, 1)
    yield cpio.file("bin/busybox", parts.files["usr/bin/busybox"], executable=True)
    for applet in _APPLETS:
        yield cpio.symlink(f"bin/{applet}", "busybox")
    for mountpoint in ("proc", "sys"):
        yield cpio.directory(mountpoint)
    seen: set[str] = set()
    # not every cloud kernel has drivers for real hardware
    others, medium = (tuple(name for name in names if index.has(name)) for names in (_OTHERS, _MEDIUM))
    for name, wanted in (("first", _FIRST), ("others", others), ("medium", medium)):
        order = [path for path in index.load_order(wanted) if path not in seen]
        seen.update(order)
        yield cpio.file(f"modules/{name}", "".join(f"{modules.name_of(path)}\n" for path in order).encode())
        for path in order:
            yield cpio.file(f"modules/{modules.name_of(path)}.ko", modules.plain(path, parts.files[f"{folder}/{path}"]))


_PYTHONS = "ld-linux-x86-64|libc|libm|libresolv|libz|libexpat"
"""The libraries of Python."""


def _unpack_interpreter(parts: squashfs.Parts, into: Path) -> None:
    """Unpack the runtime's Python, to compile the agent for it: it runs on this host through its
    own loader.
    """
    libraries = "usr/lib/x86_64-linux-gnu"
    paths = parts.matching(r"usr/(bin/python3\.|lib/python3\.)")
    paths += [path for path in (*parts.files, *parts.links) if re.match(rf"{libraries}/({_PYTHONS})\.so", path)]
    for path in paths:
        place = into / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(parts.read(path))
        if "/bin/" in path or "/ld-linux" in path:
            place.chmod(0o755)


def build_tree(base: Path, into: Path) -> None:
    """Build the install tree in the folder ``into`` from the folder ``base`` made by build_base;
    takes a second.

    Large files are hard links to the base's if the file system supports it. Everything is
    world-readable, because QEMU runs as another user. Raises HostError and CommandFailed.
    """
    about = read_base(base)
    pxeboot = into / "images" / "pxeboot"
    pxeboot.mkdir(parents=True)
    _link(base / "vmlinuz", pxeboot / "vmlinuz")
    _link(base / "install.img", into / "images" / "install.img")
    with (pxeboot / "initrd.img").open("wb") as out:
        out.write((base / "initrd.img").read_bytes())
        cpio.write(_agent_entries(base, about), out)
    digests = {
        "images/pxeboot/vmlinuz": files.sha256(pxeboot / "vmlinuz"),
        "images/pxeboot/initrd.img": files.sha256(pxeboot / "initrd.img"),
        "images/install.img": about.install_img_sha256,
    }
    (into / ".treeinfo").write_text(treeinfo(about.suite, digests))
    _make_readable(into)


def link_e2fsprogs(base: Path, into: Path) -> None:
    """Provide the programs that write ext4 in the new folder ``into``, from the folder ``base``."""
    into.mkdir()
    for path in sorted((base / E2FSPROGS).iterdir()):
        _link(path, into / path.name)
        shutil.copymode(path, into / path.name)
    _make_readable(into)


def _link(source: Path, target: Path) -> None:
    """Hard-link ``source`` to ``target``, or copy it if the file system has no hard links."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _make_readable(folder: Path) -> None:
    """Set files to 0644 (programs 0755) and folders to 0755, whatever the umask: QEMU runs as
    another user.
    """
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def read_base(base: Path) -> Base:
    """The description of ``base`` by build_base."""
    return files.read_record(base / "base.json", Base)


def _agent_entries(base: Path, about: Base) -> Iterator[cpio.CpioMember]:
    yield cpio.file("init", (_ROOTFS / "init").read_bytes(), executable=True)
    for name in ("start", "list-harddrives"):
        yield cpio.file(f"{_HOME}/{name}", (_ROOTFS / name).read_bytes(), executable=True)
    with tempfile.TemporaryDirectory(prefix="kickstrap-") as scratch:
        home = Path(scratch)
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so", "*.mo", "locale")
        shutil.copytree(_HERE / "agent", home / "agent", ignore=ignore)
        shutil.copytree(_pykickstart(), home / "lib" / "pykickstart", ignore=ignore)
        shutil.copytree(_ROOTFS / "requests", home / "lib" / "requests", ignore=ignore)
        _compile(base, about, home)
        for path in sorted(home.rglob("*")):
            # only the compiled form of the libraries: half the bytes to unpack
            if path.is_file() and not (path.suffix == ".py" and "lib" in path.relative_to(home).parts[:1]):
                yield cpio.file(f"{_HOME}/{path.relative_to(home)}", path.read_bytes())


def _compile(base: Path, about: Base, home: Path) -> None:
    """Byte-compile ``home`` with the runtime's Python; unchecked, so file times do not matter."""
    root = base / "python"
    libraries = root / "usr/lib/x86_64-linux-gnu"
    python: list[str | Path] = [
        libraries / "ld-linux-x86-64.so.2",
        "--library-path",
        libraries,
        root / about.python,
        "-S",
        "-s",
        "-B",
    ]
    common: list[str | Path] = [
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        home,
        "-p",
        f"/{_HOME}",
    ]
    env = {"PYTHONHOME": str(root / "usr")}
    run([*python, *common, home / "agent"], timeout=300, env=env)
    run([*python, *common, "-b", home / "lib"], timeout=300, env=env)


def _pykickstart() -> Path:
    found = find_spec("pykickstart")
    if found is None or found.origin is None:
        raise HostError(
            "the Python package pykickstart is not installed", "install imagebuild again with its dependencies"
        )
    return Path(found.origin).parent


def treeinfo(suite: str, digests: dict[str, str]) -> str:
    """The text of ``.treeinfo``; ``digests`` maps paths in the tree to SHA-256. See productmd's
    treeinfo-1.0.
    """
    text = configparser.ConfigParser()
    text.optionxform = str  # type: ignore[assignment, method-assign]
    kernel, initrd, image = "images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", "images/install.img"
    text["header"] = {"type": "productmd.treeinfo", "version": "1.2"}
    text["general"] = {
        "arch": "x86_64", "family": "kickstrap", "name": f"kickstrap {suite}", "version": suite, "platforms": "x86_64",
    }  # fmt: skip
    text["release"] = {"name": "kickstrap", "short": "kickstrap", "version": suite}
    text["tree"] = {"arch": "x86_64", "platforms": "x86_64"}
    text["images-x86_64"] = {"kernel": kernel, "initrd": initrd}
    text["stage2"] = {"mainimage": image}
    text["checksums"] = {path: f"sha256:{digest}" for path, digest in sorted(digests.items())}
    out = io.StringIO()
    text.write(out)
    return out.getvalue()
