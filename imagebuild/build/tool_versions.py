"""The versions of the programs that are used, for fingerprints and for the manifest."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path

from imagebuild.host.process import environment, run
from imagebuild.step import Tools

_VERSION = re.compile(r"\d+[\w.+~:-]*")


def deciding() -> Tools:
    """The versions that affect the results of steps. Raises HostError if a program is missing."""
    return Tools(
        mmdebstrap=_asked("mmdebstrap", "--version"),
        libguestfs=_asked("guestfish", "--version"),
        qemu=_asked("qemu-img", "--version"),
    )


def deciding_depends_on() -> list[Path]:
    """The programs that :func:`deciding` runs."""
    path = environment()["PATH"]
    found = (shutil.which(name, path=path) for name in ("mmdebstrap", "guestfish", "qemu-img"))
    return [Path(name).resolve() for name in found if name]


def every(tools: Tools) -> dict[str, str]:
    """All versions that a manifest records."""
    return {
        "imagebuild": metadata.version("imagebuild"),
        "pykickstart": metadata.version("pykickstart"),
        "virt-install": _asked("virt-install", "--version"),
        "libvirt": metadata.version("libvirt-python"),
        **vars(tools),
    }


def _asked(program: str, option: str) -> str:
    first = run([program, option], timeout=30).stdout.splitlines()[:1]
    match = _VERSION.search(first[0]) if first else None
    return match[0] if match else "unknown"
