"""``.treeinfo``: what an install tree holds for which machine, and the digests of it. Pure.

The format is productmd's (treeinfo-1.0 to 1.2) and the older one that it is compatible with, which CentOS 7 has: an INI
file with ``[images-ARCH]``, ``[stage2]`` and ``[checksums]``. It is read here and not with the library productmd, which
checks much that a mirror may have wrong and an installation does not need.
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
"""The file's names; some mirrors do not keep names with a dot."""
KERNEL, INITRD = "images/pxeboot/vmlinuz", "images/pxeboot/initrd.img"
STAGE2 = ("images/install.img", "LiveOS/squashfs.img")
"""Where Anaconda looks for its runtime image where nothing else is said."""
_BESIDE = ("images/updates.img", "images/product.img")
"""What Anaconda takes from beside its runtime image, if it is there."""
_PATH = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9_.+~-]+(?:/[A-Za-z0-9_.+~-]+)*")


@dataclass(frozen=True)
class Treeinfo:
    """Paths are those in the tree; ``checksums`` has those of them with a digest that proves something."""

    family: str
    version: str
    kernel: str
    initrd: str
    stage2: str
    beside: tuple[str, ...]
    checksums: Mapping[str, Digest]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The files that an installation needs before it reaches for packages."""
        return (self.kernel, self.initrd, self.stage2, *self.beside)

    def unproved(self) -> tuple[str, ...]:
        """Those of them of which it gives no digest."""
        return tuple(path for path in self.wanted if path not in self.checksums)


def parse(text: str, arch: str) -> Treeinfo:
    """Read a ``.treeinfo`` for machines of ``arch``. Raises ValueError with a sentence where it does not serve."""
    ini = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    ini.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        ini.read_string(text)
    except configparser.Error as error:
        raise ValueError(f"it is no INI file: {' '.join(str(error).split())}") from error
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
        with suppress(ValueError):  # MD5 and SHA-1 prove nothing any more
            found[path] = Digest(algorithm.strip().lower(), digest.strip().lower())
    return found


def _path(ini: configparser.ConfigParser, section: str, key: str) -> str:
    value = ini.get(section, key, fallback="")
    if not value:
        raise ValueError(f"it names no {key} in [{section}]")
    return _inside(value, key)


def _inside(value: str, what: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError(f"its {what} is {value!r}, which is no path inside the tree")
    return value


def own(arch: str) -> str:
    """The ``.treeinfo`` of a folder with just a kernel and an initrd at KERNEL and INITRD, for virt-install."""
    ini = configparser.ConfigParser()
    ini["general"] = {"arch": arch, "family": "imagebuild", "version": "1"}
    ini[f"images-{arch}"] = {"kernel": KERNEL, "initrd": INITRD}
    out = io.StringIO()
    ini.write(out)
    return out.getvalue()
