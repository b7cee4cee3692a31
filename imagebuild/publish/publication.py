"""What is published, and how: a release with the definition that goes into the records."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from imagebuild.publish import definition
from imagebuild.publish.release import Release
from imagebuild.publish.state import Published


@dataclass(frozen=True)
class Publication:
    """What is published, and how.

    ``verify_stored`` reads back the digests also where the version is current already; ``repair``
    sends a file again that was altered at a target. With ``rising``, no version becomes current that is
    older than the current one: that is what a rollback is for.
    """

    release: Release
    version: Published
    verify_stored: bool = True
    repair: bool = False
    rising: bool = False


def publication(release: Release, *, verify_stored: bool = True, repair: bool = False) -> Publication:
    """The release, with a definition that names only its files.

    Raises UsageError or ImageBuildError for a definition that imagebuild does not write.
    """
    files = [one.stored.name for one in release.files]
    machine = definition.machine(release.published(release.definition), files, kvm=True)
    named = ET.tostring(machine, encoding="unicode")
    return Publication(release, release.published(named), verify_stored, repair)
