"""The images that `list` remembers are those of the recipes: anything that changes is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.host import looked_at
from imagebuild.recipe.catalogue import catalogue
from imagebuild.recipe.known_images import KnownImage, known_images

RECIPE = "extends: base/system.yaml\nname: {}\ndescription: {}\n"
SYSTEM = "os: {family: debian, version: 13, codename: trixie}\n"


class Project:
    """A folder of recipes, and what is remembered about it."""

    def __init__(self, folder: Path) -> None:
        self.recipes = folder / "recipes"
        self.shipped = folder / "shipped"
        self.kept = folder / "kept"
        (self.recipes / "base").mkdir(parents=True)
        (self.shipped / "base").mkdir(parents=True)
        self.write("zebra", "stripes")
        (self.recipes / "base" / "system.yaml").write_text(SYSTEM)
        self.computed = 0

    def write(self, name: str, description: str) -> None:
        (self.recipes / f"{name}.yaml").write_text(RECIPE.format(name, description))

    def compute(self) -> list[KnownImage]:
        self.computed += 1
        return [
            KnownImage(one.name, str(one.file), one.image.text("description") if one.image else "", bool(one.error), {})
            for one in catalogue((self.recipes, self.shipped))
        ]

    def images(self) -> dict[str, str]:
        """The descriptions of the images by name."""
        found = known_images((self.recipes, self.shipped), self.compute, self.kept)
        return {one.name: one.description for one in found}

    def record(self) -> Path:
        (file,) = self.kept.iterdir()
        return file


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_images_are_computed_once(project: Project) -> None:
    assert project.images() == project.images() == {"zebra": "stripes"}
    assert project.computed == 1
    assert project.record().stat().st_mode & 0o077 == 0
    assert project.kept.stat().st_mode & 0o077 == 0


CHANGES: dict[str, Callable[[Project], object]] = {
    "a recipe": lambda project: project.write("zebra", "spots"),
    "a new recipe": lambda project: project.write("okapi", "stripes"),
    "a removed recipe": lambda project: (project.recipes / "zebra.yaml").unlink(),
    "an extended file": lambda project: (project.recipes / "base" / "system.yaml").write_text(
        SYSTEM + "packages: [vim]\n"
    ),
    "an extended file that is removed": lambda project: (project.recipes / "base" / "system.yaml").unlink(),
    "a recipe that is a folder now": lambda project: replaced_by_folder(project.recipes / "zebra.yaml"),
    "a recipe in another folder": lambda project: (project.shipped / "tapir.yaml").write_text(
        RECIPE.format("tapir", "x")
    ),
}


def replaced_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(project: Project, change: str) -> None:
    project.images()
    CHANGES[change](project)
    found = project.images()
    assert project.computed == 2
    assert found == {one.name: one.description for one in project.compute()}


def test_the_same_content_with_another_time_is_no_change(project: Project) -> None:
    project.images()
    os.utime(project.recipes / "zebra.yaml", (1, 1))
    project.images()
    assert project.computed == 1


def test_the_same_size_and_time_with_another_content_is_a_change(project: Project) -> None:
    file = project.recipes / "zebra.yaml"
    project.images()
    before = file.stat()
    file.write_text(file.read_text().replace("stripes", "strokes"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert project.images() == {"zebra": "strokes"}


def test_a_file_that_now_takes_precedence_is_noticed(project: Project) -> None:
    (project.recipes / "base" / "system.yaml").rename(project.shipped / "base" / "system.yaml")
    project.images()
    (project.recipes / "base" / "system.yaml").write_text(SYSTEM)
    project.images()
    assert project.computed == 2


def test_a_link_that_leads_elsewhere_is_noticed(project: Project, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for folder in ("one", "two"):
        (tmp_path / folder / "system.yaml").write_text(SYSTEM)
    base = project.recipes / "base"
    (base / "system.yaml").unlink()
    base.rmdir()
    base.symlink_to(tmp_path / "one")
    project.images()
    base.unlink()
    base.symlink_to(tmp_path / "two")
    project.images()
    assert project.computed == 2


def test_changed_code_is_noticed(project: Project) -> None:
    project.images()
    record = json.loads(project.record().read_text())
    loaded = next(path for path in record["code"] if path.endswith("recipe/catalogue.py"))
    record["code"][loaded] = "0" * 64
    project.record().write_text(json.dumps(record))
    project.images()
    assert project.computed == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\\udcff", '{"images": [{"name": "x"}]}'])
def test_a_damaged_record_is_replaced(project: Project, content: str) -> None:
    project.images()
    project.record().write_text(content)
    assert project.images() == {"zebra": "stripes"}
    assert "zebra" in project.record().read_text()


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602])
def test_a_record_that_others_may_use_is_not_read(project: Project, mode: int) -> None:
    project.images()
    project.record().chmod(mode)
    project.images()
    assert project.computed == 2


def test_a_folder_that_others_may_write_is_not_read(project: Project) -> None:
    project.images()
    project.kept.chmod(0o777)
    project.images()
    assert project.computed == 2


def test_a_link_is_not_read(project: Project, tmp_path: Path) -> None:
    project.images()
    record, elsewhere = project.record(), tmp_path / "elsewhere"
    record.rename(elsewhere)
    record.symlink_to(elsewhere)
    project.images()
    assert project.computed == 2


def test_nothing_is_kept_where_nothing_can_be_written(project: Project, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    project.kept = tmp_path / "file" / "kept"
    assert project.images() == {"zebra": "stripes"}
    project.images()
    assert project.computed == 2


def test_what_changes_while_it_is_read_is_not_whole() -> None:
    with looked_at.noting() as seen:
        looked_at.note_content("file", b"one")
        looked_at.note_content("file", b"two")
    assert not seen.is_whole
    assert not seen.is_current()
