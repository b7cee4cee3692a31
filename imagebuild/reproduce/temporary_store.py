"""A store for one rebuild: empty at first, removed at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from imagebuild.build import engine
from imagebuild.errors import HostError, ImageBuildError, from_os
from imagebuild.files import remove_tree
from imagebuild.host import locks
from imagebuild.log import logger
from imagebuild.store.store import Store

_PREFIX = ".rebuild-"


@contextmanager
def store_beside(output: Path, known: Store) -> Iterator[Store]:
    """An empty store in ``output`` that is removed at the end, with what is ``known`` about this host.

    It is locked while this process lives: one that was killed leaves its store and perhaps a machine,
    which the next rebuild removes. The files of a failed build are moved to ``output``/failures.
    """
    with ExitStack() as held:
        try:
            output.mkdir(parents=True, exist_ok=True)
            with _locked(output.resolve()):
                _remove_left(output)
                folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=output))
                held.enter_context(_locked(folder))
                held.callback(remove_tree, folder)
        except OSError as error:
            raise from_os(error, f"in {output}") from error
        folder.chmod(0o755)  # QEMU and mmdebstrap work in it as other users
        made = Store(folder)
        if known.probe_cache.is_file():
            shutil.copyfile(known.probe_cache, made.probe_cache)
        try:
            yield made
        except ImageBuildError as error:
            _save_evidence(error, folder, output)
            raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        locks.exclusive(descriptor)
        yield
    finally:
        os.close(descriptor)


def _remove_left(output: Path) -> None:
    """Remove the stores of dead rebuilds, and what their builds have left. The caller has the lock."""
    for left in sorted(output.glob(f"{_PREFIX}*")):
        if left.is_symlink() or not left.is_dir():
            continue
        descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if locks.free(descriptor):
                logger.info("removing the store of a dead rebuild: %s", left)
                engine.clear_dead_runs(Store(left))
                remove_tree(left)
        except HostError as error:  # not a store, so it is not ours
            logger.info("%s stays: %s", left, error.message)
        finally:
            os.close(descriptor)


def _save_evidence(error: ImageBuildError, store: Path, output: Path) -> None:
    """Move the files of a failed build out of a store that is about to be removed."""
    evidence = error.evidence
    if evidence is not None and evidence.is_relative_to(store.absolute()):
        kept = output / "failures" / evidence.name
        remove_tree(kept)
        kept.parent.mkdir(exist_ok=True)
        shutil.move(evidence, kept)
        error.evidence = kept
