"""Puts a finished export into its folder: complete, or not at all.

It is made in ``.NAME.<random>.partial`` in the same folder, fsynced and renamed. What a killed
process has left there is recognised by its free lock, and removed by the next export of that name.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagebuild.errors import HostError, UsageError
from imagebuild.files import remove_tree, sync, sync_tree
from imagebuild.host import locks

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = "replaced"


@contextmanager
def placed(folder: Path, name: str, *, force: bool, marker: str = "") -> Iterator[Path]:
    """A path at which the block makes a file or a folder, which becomes ``folder/name`` at its end.

    ``marker`` is a file without which an existing folder is not replaced, as it is none of ours. An
    exception leaves nothing behind. Raises UsageError if ``folder/name`` exists, unless ``force``.
    """
    final = folder / name
    _check_free(final, force=force, marker=marker)
    made = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make {folder}: {error.strerror}", "choose another folder") from error
    try:
        _remove_dead(folder, name)
        with _aside(folder, name) as aside:
            yield aside / name
            sync_tree(aside)
            _check_free(final, force=force, marker=marker)
            _move(aside, final, force=force)
            sync(folder)
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.rmdir()  # only if nothing else is in it
        raise


def check_room(folder: Path, needed: int, temporary: int) -> None:
    """Raise HostError if the file system of ``folder``, which may not exist yet, has fewer than
    ``needed`` bytes free, of which ``temporary`` are free again at the end.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        extra = f", {_mib(temporary)} of them only until it is finished" if temporary else ""
        raise HostError(
            f"the export needs up to {_mib(needed)} in {folder}{extra}, but only {_mib(free)} are free",
            "free some space, or use a folder on another file system",
        )


def _mib(size: int) -> str:
    return f"{-(-size >> 20)} MiB"


def _missing(folder: Path) -> list[Path]:
    """The folders that must be made, the deepest first."""
    path, found = folder.absolute(), []
    while not path.exists():
        found.append(path)
        path = path.parent
    return found


def _check_free(final: Path, *, force: bool, marker: str) -> None:
    if not os.path.lexists(final):
        return
    if not force:
        raise UsageError(f"{final} already exists", "replace it with --force")
    folder = final.is_dir() and not final.is_symlink()
    if folder != bool(marker) or (folder and not (final / marker).is_file()):
        raise UsageError(f"{final} exists and was not made by this command", "remove it, or use another folder")


@contextmanager
def _aside(folder: Path, name: str) -> Iterator[Path]:
    """A new, locked folder beside the final place; removed at the end."""
    while True:
        path = folder / f".{name}.{secrets.token_hex(4)}.partial"
        path.mkdir(mode=0o700)
        descriptor = os.open(path, _OPEN)
        if locks.free(descriptor) and locks.is_still(descriptor, path):
            break
        os.close(descriptor)  # another process took it for a dead one just before it was locked
    try:
        yield path
    finally:
        remove_tree(path)
        os.close(descriptor)


def _remove_dead(folder: Path, name: str) -> None:
    """Remove what killed exports of this name have left."""
    unfinished = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}\.partial")
    for path in list(folder.iterdir()):
        if not unfinished.fullmatch(path.name):
            continue
        with suppress(OSError):
            descriptor = os.open(path, _OPEN)
            try:
                if locks.free(descriptor):
                    remove_tree(path)
            finally:
                os.close(descriptor)


def _move(aside: Path, final: Path, *, force: bool) -> None:
    new = aside / final.name
    if new.is_dir():
        _move_folder(new, final, aside / _OLD)
    elif force:
        new.replace(final)
    else:
        try:
            final.hardlink_to(new)  # never replaces a file that has appeared since
        except FileExistsError as error:
            raise UsageError(f"{final} already exists", "replace it with --force") from error
        except OSError:
            new.rename(final)  # a file system without hard links


def _move_folder(new: Path, final: Path, old: Path) -> None:
    there = final.exists()
    if there:
        final.rename(old)
    try:
        new.rename(final)
    except BaseException:
        if there:
            old.rename(final)
        raise
