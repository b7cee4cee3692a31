"""The commit that a recipe was built from."""

from __future__ import annotations

import subprocess
from pathlib import Path

from imagebuild.build import repository


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-C", folder, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_of_a_recipe(tmp_path: Path) -> None:
    file = tmp_path / "recipes" / "web.yaml"
    file.parent.mkdir()
    file.write_text("name: web\n")
    assert repository.of(file) is None
    git(tmp_path, "init", "-q")
    assert repository.of(file) is None  # there is no commit yet
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    assert repository.of(file) == repository.RecipeRepository(git(tmp_path, "rev-parse", "HEAD"), modified=False)
    (tmp_path / "template").write_text("not committed\n")
    found = repository.of(file)
    assert found is not None
    assert found.modified


def test_a_program_that_the_repository_names_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("name: web\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "config", "core.fsmonitor", f"touch {tmp_path}/ran")
    assert repository.of(file) is not None
    assert not (tmp_path / "ran").exists()
