"""A bill as SPDX 2.3, in JSON (SPDX specification 2.3, clauses 6, 7, 10 and 11).

A file of no package is a package with the purpose FILE: SPDX's own files must have a SHA-1, and a
file that not everybody in the guest may read has no digest at all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from imagebuild import __version__
from imagebuild.printable import one_line
from imagebuild.sbom import licences
from imagebuild.sbom.bill import Bill, BilledFile, BilledPackage, is_address

_UNKNOWN = "NOASSERTION"
_ID = re.compile(r"[^A-Za-z0-9.-]+")
_DOCUMENT, _IMAGE, _SYSTEM = "SPDXRef-DOCUMENT", "SPDXRef-image", "SPDXRef-system"
_NAMESPACE = "urn:uuid:"


def text(bill: Bill) -> str:
    """The document."""
    return json.dumps(_document(bill), indent=1, ensure_ascii=True) + "\n"


def _document(bill: Bill) -> dict[str, Any]:
    packages = {_id("package", one.record.name, one.purl): _package(one) for one in bill.packages}
    files = {_id("file", one.path.rpartition("/")[2], one.quoted): _file(one) for one in bill.files}
    found = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": " ".join(filter(None, (bill.image.name, bill.image.version))),
        "documentNamespace": f"{_NAMESPACE}{bill.serial}",
        "creationInfo": {
            "created": bill.image.made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: imagebuild-{__version__}"],
        },
        "packages": [
            _image(bill), _system(bill), *({"SPDXID": name, **one} for name, one in (packages | files).items())
        ],
        "hasExtractedLicensingInfos": _extracted(bill.packages),
        "relationships": [
            _relation(_DOCUMENT, "DESCRIBES", _IMAGE),
            _relation(_IMAGE, "CONTAINS", _SYSTEM),
            *(_relation(_SYSTEM, "CONTAINS", name) for name in packages),
            *(_relation(_IMAGE, "CONTAINS", name) for name in files),
        ],
    }  # fmt: skip
    if bill.missing:
        found["comment"] = " ".join(bill.missing)
    if not found["hasExtractedLicensingInfos"]:
        del found["hasExtractedLicensingInfos"]
    return found


def _relation(what: str, how: str, other: str) -> dict[str, str]:
    return {"spdxElementId": what, "relationshipType": how, "relatedSpdxElement": other}


def _id(kind: str, name: str, exact: str) -> str:
    """An id, which has only letters, digits, dots and hyphens: the digest tells two of the same name apart."""
    readable = _ID.sub("-", name).strip("-")[:60]
    return f"SPDXRef-{kind}-{readable}-{hashlib.sha256(exact.encode()).hexdigest()[:16]}"


def _common(name: str, version: str, purpose: str, licence: str = "") -> dict[str, Any]:
    return {
        "name": name,
        **({"versionInfo": version} if version else {}),
        "primaryPackagePurpose": purpose,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": licence or _UNKNOWN,
        "copyrightText": _UNKNOWN,
    }


def _image(bill: Bill) -> dict[str, Any]:
    about = bill.image
    return {
        "SPDXID": _IMAGE,
        **_common(about.name, about.version, "OPERATING_SYSTEM"),
        "packageFileName": about.file,
        "checksums": [_checksum(about.digest)],
    }


def _system(bill: Bill) -> dict[str, Any]:
    about = bill.system
    described = {"description": about.name} if about.name else {}
    return {"SPDXID": _SYSTEM, **_common(about.id or "unknown", about.version, "OPERATING_SYSTEM"), **described}


def _package(one: BilledPackage) -> dict[str, Any]:
    record = one.record
    found = _common(record.name, record.version, "LIBRARY", one.licence)
    if record.vendor:
        found["supplier"] = f"Organization: {_actor(record.vendor)}"
    if is_address(record.homepage):
        found["homepage"] = record.homepage
    if record.source:
        found["sourceInfo"] = f"built from the source package {record.source} {record.source_version}".rstrip()
    found["externalRefs"] = [
        {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": one.purl}
    ]
    return found


def _actor(vendor: str) -> str:
    """A maintainer as SPDX writes one, ``name (address)``: dpkg has angle brackets, and parentheses
    in a name would be read as an address."""
    match = re.fullmatch(r"(.*?)\s*<([^<>()\s]+)>", vendor)
    name, address = (match[1], f" ({match[2]})") if match else (vendor, "")
    return f"{re.sub('[()]', '', name).strip() or _UNKNOWN}{address}"


def _file(one: BilledFile) -> dict[str, Any]:
    checksums = {"checksums": [_checksum(one.digest)]} if one.digest else {}
    return {**_common(one.path, "", "FILE"), "packageFileName": one.path, **checksums}


def _checksum(digest: str) -> dict[str, str]:
    return {"algorithm": "SHA256", "checksumValue": digest}


def _extracted(packages: Iterable[BilledPackage]) -> list[dict[str, str]]:
    """The licences that are not in SPDX's list. Their texts are in the guest, and are not copied."""
    found = {name for one in packages for name in licences.references(one.licence)}
    return [
        {
            "licenseId": name,
            "name": one_line(licences.name_of(name)),
            "extractedText": f"The packages with this licence call it {one_line(licences.name_of(name))}. "
            "Its text is in the image, in the packages' own files.",
        }
        for name in sorted(found)
    ]
