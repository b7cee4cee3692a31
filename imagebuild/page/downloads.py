"""The files of an artifact that a page offers: known kinds only, regular files in the folder itself.

An artifact may come from anywhere, and its files are served from the page's own address: what a
browser would run there is not offered.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from imagebuild.contents.encoding import INVENTORY
from imagebuild.errors import UsageError
from imagebuild.host import safe_xml
from imagebuild.page.facts import Download
from imagebuild.store import beside
from imagebuild.store.artifact import BUNDLE, CHECKSUMS, MANIFEST, PROVENANCE
from imagebuild.store.beside import ManifestError

_LARGEST_SUMS = 4 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\\\x00]+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,199}")
_IMAGES = (".qcow2", ".raw", ".raw.zst", ".vmdk", ".vhdx", ".vhd", ".img", ".img.zst")
_KINDS: tuple[tuple[str, str], ...] = (
    (MANIFEST, "manifest"),
    (INVENTORY, "inventory"),
    (".cdx.json", "SBOM, CycloneDX"),
    (".spdx.json", "SBOM, SPDX"),
    (PROVENANCE, "provenance, in-toto"),
    (BUNDLE, "provenance, sigstore"),
    (f"{CHECKSUMS}.asc", "signature, OpenPGP"),
    (f"{CHECKSUMS}.sig", "signature, SSH"),
    (CHECKSUMS, "checksums"),
    ("verify.json", "results of the verification"),
    ("verify.xml", "results of the verification, JUnit"),
    (".xml", "libvirt domain definition"),
)
"""Ends of names, and what such a file is: the first one counts."""
SIGNATURES: Mapping[str, str] = {
    PROVENANCE: "provenance",
    BUNDLE: "sigstore",
    f"{CHECKSUMS}.asc": "OpenPGP",
    f"{CHECKSUMS}.sig": "SSH",
}
_ACTIVE = ("http://www.w3.org/",)
"""Namespaces of what browsers run in an XML file: XHTML, SVG, MathML, XSLT."""


def found(folder: Path) -> list[Download]:
    """The files that are there: images first, then the others in the order of their kinds."""
    sums = checksums(folder)
    downloads = [one for path in sorted(folder.iterdir()) if (one := _download(path, sums)) is not None]
    order = {what: at for at, what in enumerate(("image", *(what for _, what in _KINDS)))}
    return sorted(downloads, key=lambda one: (order[one.what], one.name))


def checksums(folder: Path) -> dict[str, str]:
    """The digests in SHA256SUMS by file name; empty if it cannot be used."""
    try:
        content = beside.content_of(folder / CHECKSUMS, _LARGEST_SUMS) or b""
    except ManifestError:
        return {}
    lines = (_LINE.fullmatch(line) for line in content.decode(errors="replace").splitlines())
    return {line[2]: line[1] for line in lines if line is not None}


def _download(path: Path, sums: Mapping[str, str]) -> Download | None:
    what = _kind(path.name)
    status = path.lstat()
    if what is None or not stat.S_ISREG(status.st_mode):
        return None
    refused = "" if path.suffix != ".xml" or what == "image" else _active(path)
    return Download(path, what, status.st_size, sums.get(path.name, ""), refused)


def _kind(name: str) -> str | None:
    if not _NAME.fullmatch(name):
        return None
    if name.endswith(_IMAGES):
        return "image"
    return next(
        (what for ending, what in _KINDS if name == ending or (ending[0] == "." and name.endswith(ending))), None
    )


def _active(path: Path) -> str:
    """Why an XML file is not offered: a browser may run what is in it. Empty if nothing is."""
    try:
        text = (beside.content_of(path, safe_xml.LONGEST) or b"").decode()
        root = safe_xml.any_root(text, path.name)
    except (ManifestError, UnicodeDecodeError, UsageError):
        return "it is not plain XML"
    tags: Iterator[str] = (str(one.tag) for one in root.iter())
    if "<?xml-stylesheet" in text or any(tag.startswith(tuple(f"{{{one}" for one in _ACTIVE)) for tag in tags):
        return "a browser would run what is in it"
    return ""
