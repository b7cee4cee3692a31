"""The versions of the programs that are used, for fingerprints and for the manifest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.host import probe_cache
from imagebuild.host.process import run

if TYPE_CHECKING:
    from pathlib import Path

    from imagebuild.step import Tools

PROBE = "tools"
"""The name of their versions in the probe cache."""
_VERSION = re.compile(r"\d+[\w.+~:-]*")


def deciding(answers: Path) -> Tools:
    """The versions that affect the results of steps; ``answers`` is the host's probe cache.

    Raises HostError if a program is missing.
    """
    return probe_cache.once(("tools", answers), lambda: _tools(answers))


def _tools(answers: Path) -> Tools:
    from imagebuild.step import Tools  # late: whoever needs only the state starts quickly

    return Tools(**probe_cache.kept(answers, PROBE, deciding_state(), _deciding))


def deciding_state() -> str:
    """What the answer of this probe belongs to: to ask all programs takes a second."""
    return probe_cache.of_programs("mmdebstrap", "guestfish", "qemu-img")


def every(answers: Path) -> dict[str, str]:
    """All versions that a manifest records."""
    from importlib import metadata

    return {
        "imagebuild": metadata.version("imagebuild"),
        "pykickstart": metadata.version("pykickstart"),
        "virt-install": probe_cache.kept(
            answers, "virt-install", probe_cache.of_programs("virt-install"), _virt_install
        ),
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


def _asked(program: str, option: str) -> str:
    first = run([program, option], timeout=30).stdout.splitlines()[:1]
    match = _VERSION.search(first[0]) if first else None
    return match[0] if match else "unknown"
