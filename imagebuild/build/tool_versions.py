"""The versions of the programs that are used, for fingerprints and for the manifest."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path

from imagebuild.host import probe_cache
from imagebuild.host.process import environment, run
from imagebuild.step import Tools

_VERSION = re.compile(r"\d+[\w.+~:-]*")


def deciding(answers: Path) -> Tools:
    """The versions that affect the results of steps; ``answers`` is the host's probe cache.

    Raises HostError if a program is missing.
    """
    state = _state("mmdebstrap", "guestfish", "qemu-img")
    return Tools(**probe_cache.kept(answers, "tools", state, _deciding))


def every(answers: Path) -> dict[str, str]:
    """All versions that a manifest records."""
    return {
        "imagebuild": metadata.version("imagebuild"),
        "pykickstart": metadata.version("pykickstart"),
        "virt-install": probe_cache.kept(answers, "virt-install", _state("virt-install"), _virt_install),
        "libvirt": metadata.version("libvirt-python"),
        **vars(deciding(answers)),
    }


def _deciding() -> dict[str, str]:
    return {
        "mmdebstrap": _asked("mmdebstrap", "--version"),
        "libguestfs": _asked("guestfish", "--version"),
        "qemu": _asked("qemu-img", "--version"),
    }


def _virt_install() -> str:
    return _asked("virt-install", "--version")


def _state(*programs: str) -> str:
    """A state that changes with the programs: to ask all of them takes a second."""
    path = environment()["PATH"]
    found = (shutil.which(name, path=path) for name in programs)
    return probe_cache.of_files([Path(name).resolve() for name in found if name])


def _asked(program: str, option: str) -> str:
    first = run([program, option], timeout=30).stdout.splitlines()[:1]
    match = _VERSION.search(first[0]) if first else None
    return match[0] if match else "unknown"
