"""What the list of a guest's files shows by itself: kernels, enabled units, where the space goes."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from imagebuild.contents.inventory import EnabledUnit, FileRecord, FolderSize

_DEEPEST = 3
_LEAST = 64 << 10
"""Folders down to this depth are listed, if they occupy at least this number of bytes."""
_MODULES = re.compile(r"/(?:usr/)?lib/modules/([^/]+)")
_IMAGE = re.compile(r"/boot/(?:vmlinuz|vmlinux|Image|kernel)-([^/]+)")
_WANTS = re.compile(r"/(etc|usr/lib|lib)/systemd/system/([^/]+)\.(?:wants|requires)/([^/]+)")
_OWN = re.compile(r"/etc/systemd/system/([^/]+)")
_OPENRC = re.compile(r"/etc/runlevels/([^/]+)/([^/]+)")
_SYSV = re.compile(r"/etc/rc([2-5])\.d/S\d\d([^/]+)")


def kernels(files: Iterable[FileRecord]) -> tuple[str, ...]:
    """The versions of which there is a kernel image in /boot or a folder of modules, sorted."""
    found = set()
    for one in files:
        match = _IMAGE.fullmatch(one.path) if one.kind == "f" else _MODULES.fullmatch(one.path)
        if match and one.kind in "fd" and "rescue" not in match[1]:
            found.add(match[1])
    return tuple(sorted(found))


def units(files: Sequence[FileRecord]) -> tuple[EnabledUnit, ...]:
    """The units that start at boot, by name: of systemd, and services of OpenRC and System V init
    where there is no systemd. Masked units are left out."""
    own: dict[str, set[str]] = defaultdict(set)
    vendor: dict[str, set[str]] = defaultdict(set)
    masked = set()
    for one in files:
        if one.kind == "l" and (match := _OWN.fullmatch(one.path)) and one.target == "/dev/null":
            masked.add(match[1])
        if one.kind in "lf" and (match := _WANTS.fullmatch(one.path)):
            (own if match[1] == "etc" else vendor)[match[3]].add(match[2])
    if not own and not vendor:
        for one in files:
            if one.kind in "lf" and (match := _OPENRC.fullmatch(one.path) or _SYSV.fullmatch(one.path)):
                own[match[2]].add(match[1])
    nothing: set[str] = set()
    return tuple(
        EnabledUnit(name, tuple(sorted(own.get(name, nothing) | vendor.get(name, nothing))), vendor=name not in own)
        for name in sorted({*own, *vendor} - masked)
    )


def folders(blocks: Mapping[str, int]) -> tuple[FolderSize, ...]:
    """The sizes of folders, from the bytes that each path occupies on the disk."""
    sizes: dict[str, int] = defaultdict(int)
    for path, size in blocks.items():
        sizes["/"] += size
        above, depth = posixpath.dirname(path), path.count("/")
        while depth > _DEEPEST + 1:
            above, depth = posixpath.dirname(above), depth - 1
        while above != "/":
            sizes[above] += size
            above = posixpath.dirname(above)
    return tuple(FolderSize(path, size) for path, size in sorted(sizes.items()) if size >= _LEAST or path == "/")
