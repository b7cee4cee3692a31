"""What libvirt reports of pools, volumes and domains, as values; read from its XML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imagebuild.host import safe_xml


@dataclass(frozen=True)
class Pool:
    """A storage pool; ``path`` is its folder on the host, ``available`` in bytes (0 if not active)."""

    name: str
    type: str
    path: str
    active: bool
    available: int


@dataclass(frozen=True)
class PoolVolume:
    """A volume; sizes in bytes. ``capacity`` is the disk's, ``physical`` the file's, ``backing`` the
    path of its backing file, which is empty without one."""

    name: str
    path: str
    format: str
    capacity: int
    physical: int
    backing: str
    backing_format: str


@dataclass(frozen=True)
class DefinedDomain:
    """A domain: ``texts`` are all its definitions: the persistent one, that of the running machine, and
    those of snapshots and a saved state. ``inactive`` is the persistent one, empty if there is none.
    """

    name: str
    uuid: str
    active: bool
    inactive: str
    texts: tuple[str, ...]


def pool_of(found: Any) -> Pool:
    """What a pool of libvirt's binding is."""
    root = safe_xml.parsed(found.XMLDesc(0), "the description of a pool", root="pool", what="storage pool")
    active = bool(found.isActive())
    available = int(root.findtext("available") or 0) if active else 0
    return Pool(str(found.name()), root.get("type", ""), root.findtext("target/path") or "", active, available)


def volume_of(found: Any) -> PoolVolume:
    """What a volume of libvirt's binding is."""
    root = safe_xml.parsed(found.XMLDesc(0), "the description of a volume", root="volume", what="volume")
    kind, below = root.find("target/format"), root.find("backingStore/format")
    return PoolVolume(
        str(found.name()),
        root.findtext("target/path") or str(found.path()),
        "" if kind is None else kind.get("type", ""),
        int(root.findtext("capacity") or 0),
        int(root.findtext("physical") or 0),
        root.findtext("backingStore/path") or "",
        "" if below is None else below.get("type", ""),
    )
