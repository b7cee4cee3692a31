"""The packages of a Debian guest, and the files that belong to them. Pure.

deb822(5) has the format of dpkg's database, deb-src-control(5) that of the field ``Source``. Licences
are those of the copyright files that are in the machine-readable format ("Machine-readable
debian/copyright file", version 1.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from imagebuild.contents.inventory import PackageRecord
from imagebuild.customise.contents.field_limits import MOST_LICENCES, MOST_PACKAGES, clipped, number

INFO = "/var/lib/dpkg/info"
DIVERSIONS = "/var/lib/dpkg/diversions"
LICENCE_LINES = (
    r"LC_ALL=C grep -aiHZ -m 5000 -E '^(format|format-specification|license):' -- "
    r'"$@" | tr "\n" "\0" | gzip -1'
)
"""Prints a path and a line in turn, each with a zero byte at its end, of the copyright files that are
its parameters: they are some MiB, and these lines a few percent of that."""
_FIELD = re.compile(
    r"^(Package|Status|Version|Architecture|Source|Maintainer|Homepage|Installed-Size): *(.*?)[ \t]*$", re.MULTILINE
)
_SOURCE = re.compile(r"([^\s(]+)(?:\s*\(([^)\s]*)\))?")


def records(status: str) -> list[PackageRecord]:
    """The installed packages in the text of a status file, in its order. A package that was removed
    but for its configuration files is not installed.
    """
    found = []
    for paragraph in status.split("\n\n"):
        fields = dict(_FIELD.findall(paragraph))
        if "Package" in fields and fields.get("Status", "").split()[-1:] == ["installed"]:
            found.append(_record(fields))
            if len(found) == MOST_PACKAGES:
                break
    return found


def _record(fields: Mapping[str, str]) -> PackageRecord:
    name, version = clipped(fields["Package"]), clipped(fields.get("Version", ""))
    match = _SOURCE.match(clipped(fields.get("Source", "")))
    return PackageRecord(
        name,
        version,
        clipped(fields.get("Architecture", "")),
        match[1] if match else name,
        # a rebuild without a change of the source has a version of its own, and then names the source's
        (match[2] if match else "") or version,
        clipped(fields.get("Maintainer", "")),
        clipped(fields.get("Homepage", "")),
        number(fields.get("Installed-Size", "")) * 1024,
    )


def list_names(package: PackageRecord) -> tuple[str, str]:
    """The names that the list of a package's files in ``INFO`` may have."""
    return f"{package.name}:{package.architecture}.list", f"{package.name}.list"


def diverted(text: str) -> Iterator[tuple[str, str]]:
    """Where dpkg-divert(1) has moved files to: the path in the package, and where it is."""
    lines = text.split("\n")
    for original, moved in zip(lines[0::3], lines[1::3], strict=False):
        if original.startswith("/") and moved.startswith("/"):
            yield original, moved


def licences(output: bytes) -> dict[str, tuple[str, ...]]:
    """By path of a copyright file, the licences that it names, from the output of ``LICENCE_LINES``.

    Files in another format than the machine-readable one are left out.
    """
    parts = output.split(b"\0")
    lines: dict[str, list[str]] = {}
    for path, line in zip(parts[0::2], parts[1::2], strict=False):
        lines.setdefault(path.decode("utf-8", "surrogateescape"), []).append(line.decode("utf-8", "surrogateescape"))
    return {path: named for path, found in lines.items() if (named := _licences(found))}


def _licences(lines: Iterable[str]) -> tuple[str, ...]:
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if not any(name.startswith("format") for name, _ in fields):
        return ()
    found = dict.fromkeys(clipped(" ".join(value.split())) for name, value in fields if name == "license" and value)
    return tuple(sorted(found)[:MOST_LICENCES])
