"""The target of an entry of the project's file."""

from __future__ import annotations

from pathlib import Path

from imagebuild.project.model import StorageTarget
from imagebuild.publish.protocol import TemplateTarget
from imagebuild.publish.targets.local_folder import FolderTarget
from imagebuild.publish.targets.s3 import S3Target
from imagebuild.publish.targets.sftp import SftpTarget


def storage_target(name: str, entry: StorageTarget, folder: Path) -> TemplateTarget:
    """The target ``name``; paths in its entry are relative to ``folder``, that of the project's file.

    Nothing is connected before the target is used.
    """
    place = entry.parsed
    if place.kind == "sftp":
        return SftpTarget(name, entry, folder)
    if place.kind == "s3":
        return S3Target(name, entry, folder)
    return FolderTarget(name, folder / Path(place.path).expanduser())
