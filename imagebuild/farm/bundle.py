"""The project's files that a build needs, by content: they travel to the workers.

Only recipes, kickstart templates and the files that recipes name travel. Secrets never do: a worker
reads those that a recipe names in its own environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from imagebuild import fingerprint
from imagebuild.customise import host_inputs as named_inputs
from imagebuild.customise.host_inputs import HostPath
from imagebuild.errors import UsageError
from imagebuild.printable import shell_word
from imagebuild.recipe.folders import shipped
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.section import MIB

_LARGEST = 256 * MIB
_FOLDERS = ("recipes", "kickstart")


def packed(recipes: Sequence[Recipe], root: Path) -> dict[str, bytes]:
    """The content of each file below ``root``, the project's folder, by its path relative to it.

    Raises UsageError for a recipe elsewhere, and for too much.
    """
    root = root.resolve()
    found: dict[str, bytes] = {}
    size = 0
    for path in sorted({*_sources(recipes, root), *_named(recipes, root)}):
        content = path.read_bytes()
        size += len(content)
        if size > _LARGEST:
            raise UsageError(
                f"the project's files for these images have more than {_LARGEST // MIB} MiB",
                "put large files where all workers can read them, and name them by absolute paths",
            )
        found[path.relative_to(root).as_posix()] = content
    return found


def _sources(recipes: Sequence[Recipe], root: Path) -> Iterator[Path]:
    for recipe in recipes:
        path = Path(recipe.source).resolve()
        if _is_shipped(path):
            continue
        if not path.is_relative_to(root):
            raise UsageError(f"{path} is not below the project's folder {root}", "run this in the project's folder")
        yield path
    for name in _FOLDERS:
        yield from (path.resolve() for path in (root / name).rglob("*") if _is_own(path, root))


def _named(recipes: Sequence[Recipe], root: Path) -> Iterator[Path]:
    """The files that operations name by relative paths."""
    for recipe in recipes:
        for at, call in enumerate(recipe.operations):
            for route, name in named_inputs.references(call.params):
                if not isinstance(name, HostPath) or Path(name).expanduser().is_absolute():
                    continue
                place = recipe.place(("operations", at, call.name, *route))
                path = (Path(place.file).absolute().parent / name).resolve()
                if not path.is_relative_to(root):
                    raise UsageError(
                        f"{place.file} names {shell_word(str(name))}, which is outside the project's folder",
                        "move it there, or name it by an absolute path that all workers have",
                    )
                inner = path.rglob("*") if path.is_dir() else [path]
                yield from (one.resolve() for one in inner if _is_own(one, root))


def _is_own(path: Path, root: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(root)


def _is_shipped(path: Path) -> bool:
    base = shipped("recipes")
    return base is not None and path.is_relative_to(base.resolve())


def word(recipe: Recipe, root: Path) -> str:
    """How a build in an unpacked bundle names the recipe's file."""
    path = Path(recipe.source).resolve()
    return path.stem if _is_shipped(path) else f"./{path.relative_to(root.resolve()).as_posix()}"


def digest(files: Mapping[str, bytes]) -> str:
    """The digest of a bundle."""
    return fingerprint.of({name: fingerprint.text(content.hex()) for name, content in files.items()})


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files below a new ``folder``. Raises UsageError for a path that leads elsewhere."""
    folder.mkdir()
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise UsageError(f"a bundle has the path {shell_word(name)}")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
