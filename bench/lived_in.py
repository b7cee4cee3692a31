"""A small used guest: each place in ``markers.yaml`` contains a value that occurs nowhere else.

The kernel of libguestfs's appliance fills the file systems. Then some files are rewritten to new
blocks, as editors do, and others are removed, so that there are free blocks between used ones
before anything is scrubbed.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from imagebuild.guest import launch
from imagebuild.guest.shell import Shell
from imagebuild.host import accelerator
from imagebuild.store.store import Store

FILE_SYSTEMS: dict[str, tuple[str, dict[str, int]]] = {
    "ext4-1k": ("ext4", {"blocksize": 1024}),
    "ext4-4k": ("ext4", {"blocksize": 4096}),
    "xfs": ("xfs", {}),
}
HOST = "mkhost-7c3e1d.example"
_SIZE = 512 << 20
_HOMES = {"root": "/root", "ann": "/home/ann"}
_VALUE = re.compile(
    rb"mk[0-9a-f]{12}|02:4d:4b(?::[0-9a-f]{2}){3}|4d4b[0-9a-f]{4}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|4d4b[0-9a-f]{28}"
)
"""Matches the values: words, hardware addresses, UUIDs, machine ids."""
_REMOVED_BEFORE = tuple(
    f"{folder}/before-{number}" for folder in ("/etc", "/var/lib", "/root", "/home/ann") for number in range(15)
)
_REWRITTEN = 5
"""One file in this many is rewritten."""
_BASE = {
    # If the guest were Debian, virt-sysprep would not touch Fedora's ifcfg files, and would do nothing else instead.
    "/etc/os-release": "NAME=Fedora\nID=fedora\nVERSION_ID=40\n",
    "/etc/fedora-release": "Fedora release 40 (Forty)\n",
    "/etc/fstab": "/dev/vda / auto defaults 0 1\n",
    "/etc/passwd": (
        "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n"
        "oracle:x:54321:54321::/u01/app/oracle:/bin/bash\n"
    ),
    "/etc/shadow": "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\noracle:*:19000:0:99999:7:::\n",
    "/etc/group": "root:x:0:\nann:x:1000:\noracle:x:54321:\n",
    "/usr/lib/systemd/systemd": "",
    "/usr/bin/sh": "",
    "/usr/sbin/NetworkManager": "",
    "/usr/share/doc/README": "lived in\n",
}  # fmt: skip


@dataclass(frozen=True)
class Marker:
    """A value that belongs to one machine or person, at one place."""

    path: str
    family: str
    value: bytes
    content: bytes


@dataclass(frozen=True)
class Guest:
    """Content of the guest: markers, files that must stay, and values that were removed before scrubbing."""

    markers: tuple[Marker, ...]
    controls: dict[str, bytes]
    before: dict[str, bytes]


def working_accelerator(folder: Path) -> accelerator.Accelerator:
    """The accelerator that works here, cached in the store that scrubs in ``folder`` use, too.

    Without the cache the probe takes up to 15 s.
    """
    store = Store(folder / "store")
    store.root.mkdir(mode=0o700, exist_ok=True)
    return accelerator.verdict(store.probe_cache).accelerator


def table() -> Guest:
    """The guest that ``markers.yaml`` describes, with the same values each time."""
    document = yaml.safe_load(Path(__file__).with_name("markers.yaml").read_text())
    markers = [
        _marker(path, family["family"], text)
        for family in document["families"]
        for pattern, text in (dict.fromkeys(family["paths"], "") | family.get("files", {})).items()
        for path in _expanded(pattern)
    ]
    controls = {path: f"stays: {path}\n".encode() for one in document["controls"] for path in _expanded(one)}
    return Guest(tuple(markers), controls, {path: _plain(_word(path)).encode() for path in _REMOVED_BEFORE})


def values(content: bytes | Any) -> set[bytes]:
    """The values in some bytes."""
    return {found[0] for found in _VALUE.finditer(content)}


def _expanded(pattern: str) -> list[str]:
    return [home + pattern[1:] for home in _HOMES.values()] if pattern.startswith("~/") else [pattern]


def _marker(path: str, family: str, text: str) -> Marker:
    digest = hashlib.sha256(path.encode()).hexdigest()
    made = {
        "token": _word(path),
        "mac": "02:4d:4b:" + ":".join(re.findall("..", digest[:6])),
        "uuid": f"4d4b{digest[:4]}-{digest[4:8]}-4{digest[8:11]}-a{digest[11:14]}-{digest[14:26]}",
        "hex": f"4d4b{digest[:28]}",
        "host": HOST,
    }
    if not text:
        return Marker(path, family, made["token"].encode(), _plain(made["token"]).encode())
    used = re.search(r"(?<!\{)\{(\w+)\}", text)
    if used is None:
        raise ValueError(f"{path}: the text contains no value")
    return Marker(path, family, made[used[1]].encode(), text.format_map(made).encode())


def _word(path: str) -> str:
    return "mk" + hashlib.sha256(path.encode()).hexdigest()[:12]


def _plain(word: str) -> str:
    """Content of one to a few blocks with the value at its beginning and its end."""
    return f"{word}\n" + "what else is in there\n" * (int(word[2:5], 16) % 260) + f"{word}\n"


def make(guest: Guest, folder: Path, names: list[str]) -> dict[str, Path]:
    """Create raw images with the guest on each of the file systems, in one launch."""
    images = {name: folder / f"{name}.raw" for name in names}
    for image in images.values():
        with image.open("wb") as file:
            file.truncate(_SIZE)
    archive = folder / "guest.tar"
    archive.write_bytes(_archive(guest))
    with launch.started(list(images.values()), "raw", accel=working_accelerator(folder), tmpdir=folder) as session:
        for name, device in zip(names, session.g.list_devices(), strict=True):
            fstype, options = FILE_SYSTEMS[name]
            session.g.mkfs(fstype, device, **options)
            session.g.mount(device, "/")
            session.g.tar_in(str(archive), "/")
            session.g.sync()
            _live_in(session.g, guest)
            session.g.umount_all()
    return images


def _live_in(g: Any, guest: Guest) -> None:
    """Rewrite some files, as editors do, and remove others."""
    again = [marker.path for marker in guest.markers][::_REWRITTEN]
    lines = [
        f"cp -p {_quoted(path)} {_quoted(path + '.new')} && sync -f . && mv {_quoted(path + '.new')} {_quoted(path)}"
        for path in again
    ]
    lines += [f"rm {_quoted(path)}" for path in guest.before]
    g.write("/live-in.sh", "cd /sysroot || exit\n" + "\n".join(lines) + "\nrm live-in.sh\n")
    Shell(g).line("sh -e /sysroot/live-in.sh")
    g.sync()


def _quoted(path: str) -> str:
    return "'." + path.replace("'", "'\\''") + "'"


def _archive(guest: Guest) -> bytes:
    """The guest's files as a tar archive, in which those to be removed and those that stay alternate."""
    files = {path: text.encode() for path, text in _BASE.items()} | guest.controls
    files |= {marker.path: marker.content for marker in guest.markers} | guest.before
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in sorted(files.items()):
            member = tarfile.TarInfo(f".{path}")
            member.size = len(content)
            member.mode = (
                0o755
                if path.startswith(("/usr/bin/", "/usr/sbin/", "/usr/lib/systemd/"))
                else 0o600
                if "key" in path
                else 0o644
            )
            archive.addfile(member, io.BytesIO(content))
        for name, target in (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")):
            link = tarfile.TarInfo(f"./{name}")
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name in ("tmp", "var/tmp"):
            sticky = tarfile.TarInfo(f"./{name}")
            sticky.type, sticky.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(sticky)
    return buffer.getvalue()


def read(images: list[Path], folder: Path) -> list[dict[str, bytes]]:
    """The files of each of the raw images, read in one launch."""
    found: list[dict[str, bytes]] = []
    archive = folder / "read.tar"
    with launch.started(images, "raw", accel=working_accelerator(folder), tmpdir=folder) as session:
        for device in session.g.list_devices():
            session.g.mount_ro(device, "/")
            session.g.tar_out("/", str(archive))
            session.g.umount_all()
            with tarfile.open(archive) as files:
                found.append(
                    {one.name.removeprefix("."): files.extractfile(one).read() for one in files if one.isfile()}
                )  # type: ignore[union-attr]
    return found
