"""The git repository that a recipe is in: which commit, and whether something was changed since."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import ImageBuildError
from imagebuild.host.process import run
from imagebuild.log import logger

_TIMEOUT = 30.0
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class RecipeRepository:
    """A commit, and whether files of the repository differ from it; files that git ignores do not
    count.
    """

    commit: str
    modified: bool


def of(file: Path) -> RecipeRepository | None:
    """The repository of a recipe's file; None if there is none, no git, or no commit."""
    try:
        commit = _git(file, "rev-parse", "--verify", "--quiet", "HEAD")
        if not _COMMIT.fullmatch(commit):
            return None
        return RecipeRepository(commit, bool(_git(file, "status", "--porcelain")))
    except ImageBuildError as error:
        logger.info("the commit of the recipe's repository is not recorded: %s", error.message)
        return None


def _git(file: Path, *words: str) -> str:
    # no lock in somebody's repository, and no program that its configuration names
    argv = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(file.absolute().parent), *words]
    return run(argv, timeout=_TIMEOUT).stdout.strip()
