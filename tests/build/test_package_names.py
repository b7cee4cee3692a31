"""Where unknown packages are reported, and how certainly."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.build import package_names
from imagebuild.build import plan as plans
from imagebuild.build.package_names import NamedPackages
from imagebuild.kickstrap.known_packages import MirrorPackages
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.recipe.load import load
from imagebuild.step import PackageVerdict

OS = "os: {family: debian, version: 13, codename: trixie}\n"
MIRROR = Mirror("http://mirror.example/debian")


def named(folder: Path, more: str, name: str = "a") -> NamedPackages:
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\n{OS}{more}")
    recipe = load(path)
    return NamedPackages.of(recipe, *plans.survey(recipe, MIRROR))


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names that the mirror does not have."""
    missing: set[str] = set()
    monkeypatch.setattr(
        MirrorPackages,
        "check",
        lambda self, names, store, *, offline: PackageVerdict({name: "hint" for name in names if name in missing}),
    )
    return missing


def found(*recipes: NamedPackages) -> list[str]:
    problems, notes = package_names.look_up(recipes, None, offline=False)
    assert notes == []
    return [f"{Path(one.file).name}:{one.line}: {one.message}" for of_one in problems for one in of_one]


def test_each_place_is_reported(tmp_path: Path, unknown: set[str]) -> None:
    unknown |= {"ngnix", "htopp", "grub-pc"}
    one = named(
        tmp_path, "packages: [vim,\n  ngnix]\noperations:\n- install-packages: {packages: [tree, 'htopp:i386']}\n"
    )
    template, *others = found(one)
    assert template.startswith("macros.ks.j2:")
    assert ": Debian trixie has no package 'grub-pc', used by " in template
    assert others == [
        "a.yaml:4: Debian trixie has no package 'ngnix'",
        "a.yaml:6: Debian trixie has no package 'htopp:i386'",
    ]


@pytest.mark.parametrize(
    ("operations", "severity"),
    [
        ("- install-packages: {packages: [x]}", "error"),
        ("- write-file: {path: /etc/motd, text: x}\n- install-packages: {packages: [x]}", "error"),
        (
            "- write-file: {path: /etc/apt/sources.list.d/a.sources, text: x}\n- install-packages: {packages: [x]}",
            "warning",
        ),
        ("- run-command: {command: sync}\n- install-packages: {packages: [x]}", "warning"),
        ("- install-packages-at-first-boot: {packages: [x]}", "warning"),
        ("- install-packages: {packages: [x], repository: .}", ""),
        ("- install-packages: {packages: ['@x', /usr/bin/x, 'x(y)']}", ""),
    ],
)
def test_a_guest_may_have_other_sources(tmp_path: Path, unknown: set[str], operations: str, severity: str) -> None:
    unknown |= {"x", "@x", "/usr/bin/x", "x(y)"}
    problems, _ = package_names.look_up([named(tmp_path, f"operations:\n{operations}\n")], None, offline=False)
    assert [one.severity for of_one in problems for one in of_one] == ([severity] if severity else [])


def test_a_kickstart_with_errors_still_has_its_recipes_packages(tmp_path: Path, unknown: set[str]) -> None:
    unknown.add("ngnix")
    one = named(tmp_path, "packages: [ngnix]\noperations:\n- run-script: {file: none.sh}\n")
    assert found(one) == ["a.yaml:3: Debian trixie has no package 'ngnix'"]


def test_names_of_the_red_hat_family_are_not_checked(tmp_path: Path) -> None:
    system = (
        "os: {family: redhat, distribution: rocky, version: 9}\ninstaller: {source: {tree: 'https://m.example/os'}}\n"
    )
    recipes = []
    for name in ("a", "b", "c", "d"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n{system}packages: [nonsense]\n")
        recipe = load(tmp_path / f"{name}.yaml")
        recipes.append(NamedPackages.of(recipe, *plans.survey(recipe, None)))
    problems, notes = package_names.look_up(recipes, None, offline=False)
    assert problems == []
    assert notes == [
        "package names of a, b, c and 1 more were not checked: their installer's repositories are not looked at"
    ]


def test_an_item_is_not_numbered_among_those_that_it_inherits(tmp_path: Path, unknown: set[str]) -> None:
    unknown |= {"ngnix"}
    (tmp_path / "base.yaml").write_text("packages: [less, vim]\noperations: [install-packages: {packages: [zip]}]\n")
    own = "extends: base.yaml\npackages: [ngnix]\noperations:\n  - install-packages: {packages: [ngnix]}\n"
    problems, _ = package_names.look_up([named(tmp_path, own)], None, offline=False)
    assert [one.where for of_one in problems for one in of_one] == [
        "packages",
        "operations.install-packages.packages[0]",
    ]
