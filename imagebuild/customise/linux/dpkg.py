"""What dpkg's database says is installed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

STATUS = "/var/lib/dpkg/status"


@dataclass(frozen=True)
class DpkgPackage:
    """An installed package; ``provides`` are the names of the virtual packages that it stands for."""

    name: str
    version: str
    architecture: str
    provides: tuple[str, ...] = ()


def installed(status: str) -> Iterator[DpkgPackage]:
    """The installed packages in the text of a status file (deb822 paragraphs; dpkg-query(1) has the states)."""
    for paragraph in status.split("\n\n"):
        lines = (line for line in paragraph.splitlines() if ": " in line and not line.startswith(" "))
        fields = dict(line.split(": ", 1) for line in lines)
        if "Package" in fields and fields.get("Status", "").split()[-1:] == ["installed"]:
            provided = (one.split()[0] for one in fields.get("Provides", "").split(",") if one.strip())
            yield DpkgPackage(
                fields["Package"], fields.get("Version", ""), fields.get("Architecture", ""), tuple(provided)
            )


def versions(status: str) -> dict[str, str]:
    """Installed packages and their versions, sorted by name."""
    return dict(sorted((one.name, one.version) for one in installed(status)))
