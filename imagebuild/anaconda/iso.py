"""ISO 9660 images: what is in them, and making a small one. xorriso does it, as for virt-install itself.

xorriso is also what writes images; bsdtar would read them only, and a mount on this host's kernel is out of the question
for a file that came from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagebuild.errors import CommandFailed, ImageBuildError
from imagebuild.host.process import run

_DESCRIPTOR = 16 * 2048
"""Where the volume descriptors begin."""
_LIMIT = 1800.0
_HINT = "the package xorriso brings it; run `make setup`"


def check(path: Path) -> None:
    """Raise ImageBuildError for a file that is no ISO image: without a volume descriptor, ECMA-119 section 8.4."""
    with path.open("rb") as file:
        file.seek(_DESCRIPTOR)
        if file.read(6) != b"\x01CD001":
            raise ImageBuildError(f"{path} is no ISO image: there is no volume descriptor in it")


def extract(iso: Path, wanted: Sequence[tuple[str, Path]]) -> None:
    """Copy files, or whole folders, out of an image; ``wanted`` are paths in it and where they go. Raises CommandFailed."""
    argv: list[str | Path] = ["xorriso", "-osirrox", "on", "-indev", f"stdio:{iso}"]
    for inside, outside in wanted:
        argv += ["-extract", f"/{inside.lstrip('/')}", outside]
    run([*argv, "-end"], timeout=_LIMIT, hint=_HINT)
    for _, outside in wanted:
        for path in (outside, *(outside.rglob("*") if outside.is_dir() else ())):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else 0o644)


def has(iso: Path, inside: str) -> bool:
    """Whether there is such a file in the image."""
    argv = ["xorriso", "-indev", f"stdio:{iso}", "-find", f"/{inside.lstrip('/')}", "-maxdepth", "0", "-exec", "echo"]
    try:
        return f"'/{inside.lstrip('/')}'" in run(argv, timeout=300, hint=_HINT).stdout
    except CommandFailed:
        return False


def make(path: Path, volume: str, folder: Path) -> None:
    """An image of what is in ``folder``, with this label; files may be larger than 4 GiB. Raises CommandFailed."""
    argv: list[str | Path] = ["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-R", "-V", volume]
    run([*argv, "-o", path, folder], timeout=_LIMIT, hint=_HINT)
    path.chmod(0o644)
