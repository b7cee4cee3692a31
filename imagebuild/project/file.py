"""The name of the project's file, without what is needed to read it."""

from __future__ import annotations

from pathlib import Path

from imagebuild.host.looked_at import note_place

FILE = "imagebuild.yaml"


def is_there() -> bool:
    """Whether this folder has a project's file, if only a link to nothing."""
    file = Path(FILE)
    note_place(file)
    return file.exists() or file.is_symlink()
