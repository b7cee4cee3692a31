"""Which software builds: two machines share work only if both would build the same images.

A fingerprint covers the code of a step and the versions of some programs. A worker with others would
build something else under the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import imagebuild
from imagebuild import fingerprint
from imagebuild.build import tool_versions
from imagebuild.store.store import Store


@dataclass(frozen=True)
class Software:
    """The version of imagebuild, the digest of its code, and the versions of programs that decide
    what images contain.
    """

    version: str
    code: str
    mmdebstrap: str
    libguestfs: str
    qemu: str


def installed(store: Store) -> Software:
    """The software of this machine. Raises HostError if a program is missing."""
    return Software(imagebuild.__version__, _code(), **vars(tool_versions.deciding(store.probe_cache)))


@cache
def _code() -> str:
    """The digest of imagebuild as this process has loaded it: read once, at the start."""
    return fingerprint.code("")


def difference(wanted: Software, found: Software) -> str:
    """Why ``found`` cannot do the work of ``wanted``, as the end of a sentence; empty if it can. Pure."""
    if found.version != wanted.version:
        return f"it runs imagebuild {found.version}, and this order needs {wanted.version}"
    if found.code != wanted.code:
        return f"its imagebuild {found.version} has other code ({found.code[:12]}, not {wanted.code[:12]})"
    for name in ("mmdebstrap", "libguestfs", "qemu"):
        if (has := getattr(found, name)) != (needs := getattr(wanted, name)):
            return f"it has {name} {has}, and this order needs {needs}"
    return ""
