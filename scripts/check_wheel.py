"""Exit with status 0 if a wheel contains everything that imagebuild needs at run time.

    python scripts/check_wheel.py dist/imagebuild-0.1.0-py3-none-any.whl

What it must contain is read from this checkout: every file of the package, the shipped recipes and
templates, the man page and the completion scripts.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
# Folder of the checkout → where an installed imagebuild, a shell or man looks below the environment.
SHARED = {
    "recipes": "share/imagebuild/recipes",
    "kickstart": "share/imagebuild/kickstart",
}
FILES = {
    "docs/imagebuild.1": "share/man/man1",
    "completion/imagebuild": "share/bash-completion/completions",
    "completion/_imagebuild": "share/zsh/site-functions",
    "completion/imagebuild.fish": "share/fish/vendor_completions.d",
}


def tracked(folder: str) -> Iterator[PurePosixPath]:
    """The files of a folder that git knows, relative to the checkout."""
    done = subprocess.run(["git", "ls-files", "-z", "--", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    yield from (PurePosixPath(name) for name in done.stdout.split("\0") if name)


def wanted() -> set[str]:
    """The names that the wheel must have; ``DATA/`` stands for the folder of its data files."""
    names = {str(path) for path in tracked("imagebuild")}
    for folder, place in SHARED.items():
        names |= {f"DATA/{place}/{path.relative_to(folder)}" for path in tracked(folder)}
    return names | {f"DATA/{place}/{PurePosixPath(file).name}" for file, place in FILES.items()}


def contained(wheel: Path) -> set[str]:
    """The names in a wheel, as ``wanted`` writes them."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    return {f"DATA/{name.partition('.data/data/')[2]}" if ".data/data/" in name else name for name in names}


def main() -> None:
    """Print what is missing."""
    missing = sorted(wanted() - contained(Path(sys.argv[1])))
    for name in missing:
        print(f"{sys.argv[1]}: {name} is missing; see package-data and data-files in pyproject.toml", file=sys.stderr)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
