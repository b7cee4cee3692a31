"""A bill as CycloneDX 1.6, in JSON (ECMA-424)."""

from __future__ import annotations

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from imagebuild import __version__
from imagebuild.contents.inventory import PackageRecord
from imagebuild.sbom.bill import Bill, BilledFile, BilledPackage, is_address

_TRIVY = "aquasecurity:trivy:"
_OURS = "imagebuild:"


def text(bill: Bill) -> str:
    """The document."""
    image, system = _image(bill), _system(bill)
    packages = [_package(one, bill.package_format) for one in bill.packages]
    files = [_file(one) for one in bill.files]
    bom = Bom(
        serial_number=bill.serial,
        metadata=BomMetaData(
            timestamp=bill.image.made,
            component=image,
            tools=ToolRepository(components=[_tool()]),
            properties=[Property(name=f"{_OURS}missing", value=one) for one in bill.missing],
        ),
        components=[system, *packages, *files],
        dependencies=[
            Dependency(image.bom_ref, [Dependency(one.bom_ref) for one in (system, *files)]),
            Dependency(system.bom_ref, [Dependency(one.bom_ref) for one in packages]),
        ],
    )
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _tool() -> Component:
    return Component(name="imagebuild", version=__version__, type=ComponentType.APPLICATION, bom_ref="tool")


def _image(bill: Bill) -> Component:
    about = bill.image
    return Component(
        type=ComponentType.OPERATING_SYSTEM,
        name=about.name,
        version=about.version or None,
        bom_ref=BomRef("image"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=about.digest)],
        properties=[Property(name=f"{_OURS}file", value=about.file)],
    )


def _system(bill: Bill) -> Component:
    """What os-release(5) says: Trivy finds the distribution of the packages by a component like this."""
    return Component(
        type=ComponentType.OPERATING_SYSTEM,
        name=bill.system.id or "unknown",
        version=bill.system.version or None,
        description=bill.system.name or None,
        bom_ref=BomRef("system"),
    )


def _package(one: BilledPackage, package_format: str) -> Component:
    record = one.record
    properties = {f"{_TRIVY}{name}": value for name, value in _source(record, package_format).items()}
    if record.architecture:
        properties[f"{_OURS}architecture"] = record.architecture
    if record.size:
        properties[f"{_OURS}installed-size"] = str(record.size)
    return Component(
        type=ComponentType.LIBRARY,
        name=record.name,
        version=record.version or None,
        bom_ref=BomRef(one.purl),
        purl=PackageURL.from_string(one.purl),
        supplier=OrganizationalEntity(name=record.vendor) if record.vendor else None,
        licenses=_licences(one.licence),
        external_references=_homepage(record.homepage),
        properties=[Property(name=name, value=value) for name, value in properties.items()],
    )


def _source(record: PackageRecord, package_format: str) -> dict[str, str]:
    """The source package in the properties that Trivy reads: its version is split."""
    if not record.source:
        return {}
    epoch, colon, rest = record.source_version.partition(":")
    rest, epoch = (rest, epoch) if colon else (record.source_version, "")
    version, release = rest, ""
    if package_format != "apk" and "-" in rest:
        version, _, release = rest.rpartition("-")
    found = {"SrcEpoch": epoch, "SrcName": record.source, "SrcRelease": release, "SrcVersion": version}
    return {name: value for name, value in found.items() if value}


def _licences(expression: str) -> list[DisjunctiveLicense | LicenseExpression]:
    """An expression beside other licences would be refused when it is written, so there is one entry."""
    if not expression:
        return []
    if is_supported_id(expression):
        return [DisjunctiveLicense(id=expression, acknowledgement=LicenseAcknowledgement.DECLARED)]
    return [LicenseExpression(expression, acknowledgement=LicenseAcknowledgement.DECLARED)]


def _homepage(address: str) -> list[ExternalReference]:
    return [ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(address))] if is_address(address) else []


def _file(one: BilledFile) -> Component:
    return Component(
        type=ComponentType.FILE,
        name=one.path,
        bom_ref=BomRef(f"file:{one.quoted}"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one.digest)] if one.digest else [],
    )
