"""Package URLs of installed packages (package-url specification; types deb, rpm and apk).

The qualifier ``distro`` is the specification's; ``upstream``, with the source package, is Syft's,
which Grype reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.contents.inventory import PackageRecord, SystemRelease
from imagebuild.printable import one_line

if TYPE_CHECKING:
    from packageurl import PackageURL

_TYPES = {"dpkg": "deb", "rpm": "rpm", "apk": "apk"}
_NAMESPACES = {"dpkg": "debian", "apk": "alpine"}
"""The usual ones, for a guest that does not say what it is."""


def purl(package: PackageRecord, package_format: str, system: SystemRelease) -> PackageURL:
    """The package URL of a package of this system."""
    from packageurl import PackageURL

    vendor = one_line(system.id).lower() or _NAMESPACES.get(package_format)
    version, epoch = package.version, ""
    if package_format == "rpm" and ":" in version:
        epoch, _, version = version.partition(":")
    qualifiers = {
        "arch": one_line(package.architecture),
        "distro": "-".join(filter(None, (vendor, one_line(system.version)))),
        "epoch": one_line(epoch),
        "upstream": _upstream(package, package_format),
    }
    return PackageURL(
        _TYPES.get(package_format, "generic"),
        vendor,
        one_line(package.name),
        one_line(version) or None,
        {name: value for name, value in qualifiers.items() if value},
    )


def _upstream(package: PackageRecord, package_format: str) -> str:
    if not package.source:
        return ""
    if package_format == "rpm":
        return one_line(f"{package.source}-{package.source_version}.src.rpm")
    name = package.source if package.source != package.name else ""
    version = package.source_version if package.source_version != package.version else ""
    if not name and not version:
        return ""
    return one_line(f"{package.source}@{version}" if version else name)
