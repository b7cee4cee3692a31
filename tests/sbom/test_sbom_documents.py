"""Both documents: valid by the official schemas, read back by other libraries, the same each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from imagebuild.contents.encoding import packed, unpacked
from imagebuild.contents.inventory import PackageRecord, SystemRelease
from imagebuild.sbom import cyclonedx_document, spdx_document
from imagebuild.sbom.bill import Bill
from imagebuild.sbom.purl import purl
from tests.sbom.bills import EVIL, FILES, PACKAGES, a_bill, guest

ROOT = Path(__file__).parents[2]
BILLS = {
    "complete": a_bill(),
    "hostile": a_bill(
        installed=(*PACKAGES, EVIL), unowned=(*FILES, *(one._replace(path="/\x1b\udcff") for one in FILES[:1]))
    ),
    "of schema 1": a_bill(installed=None, unowned=None),
    "unknown packages": a_bill(installed=None, packages=None),
    "nothing": a_bill(installed=(), unowned=()),
}
Found = set[tuple[str, str, str]]


@pytest.fixture(params=BILLS)
def bill(request: pytest.FixtureRequest) -> Bill:
    return BILLS[request.param]


@pytest.fixture
def written(bill: Bill, tmp_path: Path) -> dict[str, Path]:
    paths = {"cyclonedx": tmp_path / "web.cdx.json", "spdx": tmp_path / "web.spdx.json"}
    paths["cyclonedx"].write_text(cyclonedx_document.text(bill), encoding="ascii")
    paths["spdx"].write_text(spdx_document.text(bill), encoding="ascii")
    return paths


def expected(bill: Bill) -> Found:
    return {(one.record.name, one.record.version, one.purl) for one in bill.packages}


def test_schemas(written: dict[str, Path]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written["cyclonedx"].read_text()) is None
    # the same as schemas/spdx-schema.json of the branch support/2.3 of spdx/spdx-spec
    schema = json.loads((files("lib4sbom") / "schemas/spdx/2.3-schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(json.loads(written["spdx"].read_text()))


def test_cyclonedx_reads_it(bill: Bill, written: dict[str, Path]) -> None:
    bom = Bom.from_json(json.loads(written["cyclonedx"].read_text()))  # type: ignore[attr-defined]
    found = {(one.name, one.version or "", str(one.purl)) for one in bom.components if one.purl}
    assert found == expected(bill)
    assert len(bom.components) == 1 + len(bill.packages) + len(bill.files)
    refs = [one.bom_ref.value for one in bom.components]
    assert len(refs) == len(set(refs))
    assert bom.serial_number == bill.serial


def test_spdx_tools_reads_it(bill: Bill, written: dict[str, Path]) -> None:
    document = parse_file(str(written["spdx"]))
    assert validate_full_spdx_document(document) == []
    found = {(one.name, one.version or "", ref.locator) for one in document.packages for ref in one.external_references}
    assert found == expected(bill)
    assert len(document.packages) == 2 + len(bill.packages) + len(bill.files)


READ_BY_LIB4SBOM = """
import json, sys
from lib4sbom.parser import SBOMParser
parser = SBOMParser()
parser.parse_file(sys.argv[1])
print(json.dumps(parser.get_packages()))
"""


def test_lib4sbom_reads_it(bill: Bill, written: dict[str, Path]) -> None:
    for path in written.values():
        # in its own process: it leaves files open, of which Python would warn
        argv = [sys.executable, "-W", "ignore", "-c", READ_BY_LIB4SBOM, str(path)]
        packages = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
        found = {
            (one["name"], one.get("version", ""), ref[2])
            for one in packages
            for ref in one.get("externalreference", ())
            if ref[1] == "purl"
        }
        # it keeps one package of each name and version, whatever the architectures
        assert found <= expected(bill)
        assert {one[:2] for one in found} == {one[:2] for one in expected(bill)}


def test_the_same_bytes_in_every_environment(tmp_path: Path) -> None:
    script = (
        "import hashlib, sys; from tests.sbom.bills import a_bill; from imagebuild.sbom import writing\n"
        "for form in writing.SUFFIXES: print(hashlib.sha256(writing.text(a_bill(), form).encode()).hexdigest())"
    )
    settings = (
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "TZ": "America/Lima"},
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **one, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for one in settings
    ]
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 2


def test_cyclonedx_of_a_package() -> None:
    components = json.loads(cyclonedx_document.text(BILLS["complete"]))["components"]
    by_name = {one["name"]: one for one in components}
    bash, server = by_name["bash"], by_name["openssh-server"]
    assert bash["licenses"] == [{"expression": "GPL-3.0-or-later AND Latex2e", "acknowledgement": "declared"}]
    assert server["licenses"] == [{"license": {"id": "MIT", "acknowledgement": "declared"}}]
    properties = {one["name"].rpartition(":")[2]: one["value"] for one in server["properties"]}
    assert {
        "SrcName": "openssh",
        "SrcEpoch": "1",
        "SrcVersion": "10.0p1",
        "SrcRelease": "7~deb13u1",
    }.items() <= properties.items()
    assert "externalReferences" not in server, "its home page is no address"
    assert by_name["/etc/hostname"]["hashes"] == [{"alg": "SHA-256", "content": "aa" * 32}]
    assert "hashes" not in by_name["/etc/shadow"]
    assert by_name["debian"]["version"] == "13"


def test_cyclonedx_dependencies_and_image() -> None:
    document = json.loads(cyclonedx_document.text(BILLS["complete"]))
    image = document["metadata"]["component"]
    assert (image["name"], image["version"], image["hashes"][0]["content"]) == ("web", "2026-11-29.1", "ab" * 32)
    assert document["metadata"]["timestamp"] == "2026-11-29T20:01:02+00:00"
    graph = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert "system" in graph["image"]
    assert len(graph["system"]) == len(PACKAGES)


def test_spdx_of_a_package() -> None:
    document = json.loads(spdx_document.text(BILLS["complete"]))
    packages = {one["name"]: one for one in document["packages"]}
    server = packages["openssh-server"]
    assert server["supplier"] == "Organization: Debian OpenSSH team (team@example.org)"
    assert server["sourceInfo"].endswith("openssh 1:10.0p1-7~deb13u1")
    assert (server["licenseDeclared"], server["licenseConcluded"]) == ("MIT", "NOASSERTION")
    assert packages["libc6"]["licenseDeclared"] == "NOASSERTION"
    (extracted,) = document["hasExtractedLicensingInfos"]
    assert extracted["name"] == "weird one"
    assert extracted["licenseId"] in packages["libstdc++6"]["licenseDeclared"]
    assert document["creationInfo"]["created"] == "2026-11-29T20:01:02Z"


@pytest.mark.parametrize("write", [cyclonedx_document.text, spdx_document.text])
def test_what_is_missing_is_said(write: Callable[[Bill], str]) -> None:
    assert "source packages" in write(BILLS["of schema 1"])
    assert "could not be read" in write(BILLS["unknown packages"])
    assert "not known" not in write(BILLS["complete"])


def test_very_many_files_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagebuild.sbom.bill._MOST_FILES", 2)
    found = a_bill()
    assert [one.path for one in found.files] == ["/etc/hostname", "/etc/shadow"]
    assert found.missing == ("1 more files that belong to no package are not listed.",)


def test_hostile_texts_are_escaped() -> None:
    for text in (cyclonedx_document.text(BILLS["hostile"]), spdx_document.text(BILLS["hostile"])):
        values = json.dumps(json.loads(text), ensure_ascii=False)
        assert "\\u001b" not in text
        assert values.encode()  # no lone surrogate


def test_package_urls() -> None:
    urls = {one.purl for one in BILLS["complete"].packages}
    assert "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=debian-13&upstream=gcc-14" in urls
    assert "pkg:deb/debian/bash@5.2.37-2%2Bb3?arch=amd64&distro=debian-13&upstream=bash%405.2.37-2" in urls
    for one in BILLS["hostile"].packages:
        assert PackageURL.from_string(one.purl).to_string() == one.purl


def test_package_urls_of_rpm_and_apk() -> None:
    rpm = PackageRecord("NetworkManager", "1:1.48-2.el9", "x86_64", "NetworkManager", "1.48-2.el9")
    assert purl(rpm, "rpm", SystemRelease("rocky", "9.5")).to_string() == (
        "pkg:rpm/rocky/NetworkManager@1.48-2.el9?arch=x86_64&distro=rocky-9.5&epoch=1&upstream=NetworkManager-1.48-2.el9.src.rpm"
    )
    apk = PackageRecord("libcrypto3", "3.3.2-r1", "x86_64", "openssl", "3.3.2-r1")
    assert purl(apk, "apk", SystemRelease("alpine", "3.21.0")).to_string() == (
        "pkg:apk/alpine/libcrypto3@3.3.2-r1?arch=x86_64&distro=alpine-3.21.0&upstream=openssl"
    )


def test_an_inventory_has_what_a_bill_needs() -> None:
    found = unpacked(packed(guest(installed=(*PACKAGES, EVIL))))
    assert found == guest(installed=(*PACKAGES, EVIL))
