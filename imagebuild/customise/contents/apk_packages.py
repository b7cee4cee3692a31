"""The packages of an Alpine guest, and the files that belong to them. Pure.

apk-tools documents the fields of its database in apk-package(5) and apk-v2(5): paragraphs of lines
with one letter.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.contents.inventory import PackageRecord
from imagebuild.customise.contents.field_limits import MOST_PACKAGES, clipped, number


def records(text: str) -> list[PackageRecord]:
    """The installed packages in the text of the database, in its order."""
    found = []
    for paragraph in text.split("\n\n"):
        # F, R, a, M and Z are of files, and repeated
        lines = (line for line in paragraph.split("\n") if line[1:2] == ":" and line[0] not in "FRaMZ")
        fields = {line[0]: clipped(line[2:]) for line in lines}
        if "P" not in fields:
            continue
        found.append(
            PackageRecord(
                fields["P"],
                fields.get("V", ""),
                fields.get("A", ""),
                fields.get("o", "") or fields["P"],
                fields.get("V", ""),
                fields.get("m", ""),
                fields.get("U", ""),
                number(fields.get("I", "")),
                (fields["L"],) if fields.get("L") else (),
            )
        )
        if len(found) == MOST_PACKAGES:
            break
    return found


def owned(text: str) -> Iterator[str]:
    """The paths of all files of all packages."""
    folder = ""
    for line in text.split("\n"):
        if line.startswith("F:"):
            folder = f"/{line[2:]}" if line[2:] else ""
        elif line.startswith("R:"):
            yield f"{folder}/{line[2:]}"
