"""What on a libvirt host uses the files of a template. Pure.

libvirt deletes a volume under the overlays that need it, so this is checked here: every volume's
backing file in every pool, every domain's disks and their backing chains, snapshots, saved states. A
file counts as used if a path has its name, in whatever folder and spelling: names of published files
have a digest in them. ``resolved`` says what paths really are where the host can be asked.
"""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from imagebuild.host import safe_xml
from imagebuild.host.pools import DefinedDomain, Pool, PoolVolume

FOLDERS = ("dir", "fs", "netfs")
"""Types of pools that are folders."""
_SOURCES = ("file", "dev", "name", "volume")
"""Attributes of ``source`` that can name a volume or its file (libvirt's formatdomain.html)."""


@dataclass(frozen=True)
class Inventoried:
    """All pools, with the volumes of each active one, and all domains; ``pointers`` are the names of
    those that are templates.
    """

    pools: Sequence[Pool]
    volumes: Mapping[str, Sequence[PoolVolume]]
    domains: Sequence[DefinedDomain]
    pointers: frozenset[str]


def paths(seen: Inventoried) -> dict[str, list[str]]:
    """Every path that something on the host refers to → what refers to it."""
    found: dict[str, list[str]] = {}
    for pool, volumes in seen.volumes.items():
        for volume in volumes:
            if volume.backing:
                path = posixpath.join(posixpath.dirname(volume.path), volume.backing)
                found.setdefault(path, []).append(f"the volume {volume.name} in the pool {pool}")
    for domain in seen.domains:
        # the pointer's own definition says only what is current
        texts = [text for text in domain.texts if text != domain.inactive or domain.name not in seen.pointers]
        for path in dict.fromkeys(path for text in texts for path in _in_domain(text)):
            found.setdefault(path, []).append(f"the domain {domain.name}")
    return found


def _in_domain(text: str) -> Iterator[str]:
    """All files that a definition names, of the machine or of its snapshots."""
    for source, _ in _sources(text):
        yield from (value for key in _SOURCES if (value := source.get(key)) is not None)


def _sources(text: str) -> Iterator[tuple[ET.Element, bool]]:
    """The sources of disks and their backing files, each with whether its format is raw."""
    for parent in safe_xml.any_root(text, "the definition of a domain").iter():
        driver = parent.find("driver") if parent.tag == "disk" else parent.find("format")
        for source in parent.findall("source"):
            yield source, driver is not None and driver.get("type") == "raw"


def users(files: Iterable[str], seen: Inventoried, resolved: Mapping[str, str] | None = None) -> dict[str, str]:
    """The files that something uses → what it is, in a few words."""
    wanted = frozenset(files)
    found: dict[str, str] = {}
    for path, by in paths(seen).items():
        for spelling in {path, (resolved or {}).get(path, path)}:
            name = posixpath.basename(posixpath.normpath(spelling))
            if name in wanted:
                found.setdefault(name, by[0] if len(by) == 1 else f"{by[0]} and {len(by) - 1} more")
    return found


def unknown_pools(seen: Inventoried) -> list[str]:
    """Pools whose volumes cannot be listed, so that nobody knows what they use."""
    return [pool.name for pool in seen.pools if not pool.active]


def unknown_files(seen: Inventoried, files: Iterable[str]) -> dict[str, str]:
    """Images that are referred to, may have a backing file, and lie in no known pool → what refers to
    them. An image that is missing in a known pool's folder is not there at all.

    ``files`` are the names of published ones, which have none.
    """
    ours = frozenset(files)
    known = {volume.path for volumes in seen.volumes.values() for volume in volumes}
    folders = {posixpath.normpath(pool.path) for pool in seen.pools if pool.active and pool.type in FOLDERS}
    found: dict[str, str] = {}
    for pool, volumes in seen.volumes.items():
        for volume in volumes:
            if volume.backing and volume.backing_format != "raw":
                path = posixpath.join(posixpath.dirname(volume.path), volume.backing)
                found.setdefault(path, f"the volume {volume.name} in the pool {pool}")
    for domain in seen.domains:
        for source, raw in (source for text in domain.texts for source in _sources(text)):
            if not raw and (path := _file(source)):
                found.setdefault(path, f"the domain {domain.name}")
    return {
        path: by
        for path, by in found.items()
        if path not in known
        and posixpath.basename(path) not in ours
        and posixpath.dirname(posixpath.normpath(path)) not in folders
    }


def disks(text: str) -> list[str]:
    """The files of a definition's disks."""
    root = safe_xml.any_root(text, "the definition of a domain")
    return [path for source in root.findall("devices/disk/source") if (path := source.get("file"))]


def _file(source: ET.Element) -> str:
    """The file or the block device of a source."""
    return source.get("file") or source.get("dev") or ""
