"""The names that completion remembers are those of the recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.recipe import known_names as module
from imagebuild.recipe.known_names import known_names

RECIPE = "name: {}\nos: {{family: debian, version: 13, codename: trixie}}\n"


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "zebra.yaml").write_text(RECIPE.format("zebra"))
    return folder


def test_names_are_composed_once(recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_names([recipes], tmp_path / "kept") == ["zebra"]
    monkeypatch.setattr(module, "_composed", lambda _folders: pytest.fail("composed again"))
    assert known_names([recipes], tmp_path / "kept") == ["zebra"]


def test_a_changed_recipe_a_new_one_and_a_removed_one_are_noticed(recipes: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    known_names([recipes], kept)
    (recipes / "zebra.yaml").write_text(RECIPE.format("okapi-1"))
    assert known_names([recipes], kept) == ["zebra", "okapi-1"]
    (recipes / "tapir.yaml").write_text(RECIPE.format("tapir"))
    assert known_names([recipes], kept) == ["tapir", "zebra", "okapi-1"]
    (recipes / "zebra.yaml").unlink()
    assert known_names([recipes], kept) == ["tapir"]
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": 1, "names": ["x"]}', '{"names": ["x"]}', "\\udcff"])
def test_a_damaged_file_is_replaced(recipes: Path, tmp_path: Path, content: str) -> None:
    kept = tmp_path / "kept"
    known_names([recipes], kept)
    [file] = kept.iterdir()
    file.write_text(content)
    assert known_names([recipes], kept) == ["zebra"]
    assert "zebra" in file.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_keeps_nothing(recipes: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert known_names([recipes], tmp_path / "file" / "kept") == ["zebra"]
