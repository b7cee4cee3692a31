"""Parses ``.treeinfo``: the files of an install tree by architecture, and their digests. Pure.

The format is productmd's (treeinfo-1.0 to 1.2) and the older compatible one of CentOS 7: an INI
file with ``[images-ARCH]``, ``[stage2]`` and ``[checksums]``. The library productmd is not used,
because it checks much that may be wrong on a mirror and that an installation does not need.
"""

from __future__ import annotations

import configparser
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from imagebuild.fetch import Digest

NAMES = (".treeinfo", "treeinfo")
"""The file's names; some mirrors do not store names with a leading dot."""
KERNEL, INITRD = "images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"
STAGE2 = ("images/install.img", "LiveOS/squashfs.img")
"""Where Anaconda looks for its runtime image by default."""
_BESIDE = ("images/updates.img", "images/product.img")
"""Files that Anaconda also loads from the folder of its runtime image, if they exist."""
_PATH = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9_.+~-]+(?:/[A-Za-z0-9_.+~-]+)*")


@dataclass(frozen=True)
class Treeinfo:
    """Paths are relative to the tree; ``checksums`` has the paths with a secure digest."""

    family: str
    version: str
    kernel: str
    initrd: str
    stage2: str
    beside: tuple[str, ...]
    checksums: Mapping[str, Digest]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The files that an installation needs before it fetches packages."""
        return (self.kernel, self.initrd, self.stage2, *self.beside)

    def without_digest(self) -> tuple[str, ...]:
        """The needed files without a digest."""
        return tuple(path for path in self.wanted if path not in self.checksums)


def parse(text: str, arch: str) -> Treeinfo:
    """Parse a ``.treeinfo`` for ``arch``. Raises ValueError with a sentence if it is unusable."""
    ini = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    ini.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        ini.read_string(text)
    except configparser.Error as error:
        raise ValueError(f"it is not an INI file: {' '.join(str(error).split())}") from error
    images = f"images-{arch}"
    if images not in ini:
        there = sorted(name.removeprefix("images-") for name in ini.sections() if name.startswith("images-"))
        raise ValueError(f"it has no installer for {arch}" + (f", only for {', '.join(there)}" if there else ""))
    checksums = _checksums(ini)
    listed = next((path for path in STAGE2 if path in checksums), STAGE2[0])
    return Treeinfo(
        family=ini.get("release", "name", fallback=ini.get("general", "family", fallback="")),
        version=ini.get("release", "version", fallback=ini.get("general", "version", fallback="")),
        kernel=_path(ini, images, "kernel"),
        initrd=_path(ini, images, "initrd"),
        stage2=_inside(ini.get("stage2", "mainimage", fallback="") or listed, "stage2"),
        beside=tuple(path for path in _BESIDE if path in checksums),
        checksums=checksums,
    )


def _checksums(ini: configparser.ConfigParser) -> dict[str, Digest]:
    found = {}
    for path, value in ini.items("checksums") if ini.has_section("checksums") else ():
        algorithm, _, digest = value.partition(":")
        with suppress(ValueError):  # MD5 and SHA-1 are no longer secure
            found[path] = Digest(algorithm.strip().lower(), digest.strip().lower())
    return found


def _path(ini: configparser.ConfigParser, section: str, key: str) -> str:
    value = ini.get(section, key, fallback="")
    if not value:
        raise ValueError(f"it names no {key} in [{section}]")
    return _inside(value, key)


def _inside(value: str, what: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError(f"its {what} is {value!r}, which is not a path inside the tree")
    return value


def own(arch: str) -> str:
    """The ``.treeinfo`` for virt-install of a folder that contains only KERNEL and INITRD."""
    ini = configparser.ConfigParser()
    ini["general"] = {"arch": arch, "family": "imagebuild", "version": "1"}
    ini[f"images-{arch}"] = {"kernel": KERNEL, "initrd": INITRD}
    out = io.StringIO()
    ini.write(out)
    return out.getvalue()
