"""Reads and writes ISO 9660 images with xorriso, as virt-install itself does.

xorriso can also write images, while bsdtar only reads them; mounting an untrusted file with this
host's kernel is out of the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagebuild.errors import CommandFailed, ImageBuildError
from imagebuild.host.process import run

_DESCRIPTOR = 16 * 2048
"""The offset of the volume descriptors."""
_LIMIT = 1800.0
_HINT = "install the package xorriso, or run `make setup`"


def check(path: Path) -> None:
    """Raise ImageBuildError if a file is not an ISO image: it has no volume descriptor (ECMA-119,
    section 8.4).
    """
    with path.open("rb") as file:
        file.seek(_DESCRIPTOR)
        if file.read(6) != b"\x01CD001":
            raise ImageBuildError(f"{path} is not an ISO image: it has no volume descriptor")


def extract(iso: Path, wanted: Sequence[tuple[str, Path]]) -> None:
    """Extract files or folders from an image; ``wanted`` has paths in it and their targets. Raises
    CommandFailed.
    """
    argv: list[str | Path] = ["xorriso", "-osirrox", "on", "-indev", f"stdio:{iso}"]
    for inside, outside in wanted:
        argv += ["-extract", f"/{inside.lstrip('/')}", outside]
    run([*argv, "-end"], timeout=_LIMIT, hint=_HINT)
    for _, outside in wanted:
        for path in (outside, *(outside.rglob("*") if outside.is_dir() else ())):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else 0o644)


def has(iso: Path, inside: str) -> bool:
    """Whether the image contains the file."""
    argv = ["xorriso", "-indev", f"stdio:{iso}", "-find", f"/{inside.lstrip('/')}", "-maxdepth", "0", "-exec", "echo"]
    try:
        return f"'/{inside.lstrip('/')}'" in run(argv, timeout=300, hint=_HINT).stdout
    except CommandFailed:
        return False


def make(path: Path, volume: str, folder: Path) -> None:
    """Make an image of ``folder`` with this label; files may be larger than 4 GiB. Raises
    CommandFailed.
    """
    argv: list[str | Path] = ["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-R", "-V", volume]
    run([*argv, "-o", path, folder], timeout=_LIMIT, hint=_HINT)
    path.chmod(0o644)
