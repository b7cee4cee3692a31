"""Sections are validated once for all images that have the same value, with the result that each alone would have."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.errors import RecipeError
from imagebuild.recipe import load as module
from imagebuild.recipe.load import load_all

BASE = """\
os: {family: debian, version: "13", codename: trixie}
disk: {size: 4GiB}
machine: {memory: 1GiB, vcpus: 2}
network: {hostname: "${site}.example.org", device: eth0}
users: [{name: ops, sudo: true, password: {env: OPS}}]
operations: [remove-ssh-host-keys, {write-file: {path: /etc/motd, text: "${site}"}}]
services: {enabled: [ssh]}
verify: true
"""
MATRIX = """\
extends: base.yaml
name: image-${site}-${size}
matrix:
  site: [berlin, paris]
  size:
    small: {}
    large: {disk: {size: 8GiB}, machine: {vcpus: 4}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "images.yaml").write_text(MATRIX)
    return tmp_path / "images.yaml"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_validated", {name: type(kept)() for name, kept in module._validated.items()})


def test_images_are_as_if_each_was_alone(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    together = load_all(recipe)
    for one in together:
        forget(monkeypatch)
        [alone] = load_all(recipe, only=[one.name])
        assert alone == one
        assert alone.model_dump() == one.model_dump()
        assert alone.machine.model_fields_set == one.machine.model_fields_set
        assert alone.document == one.document


def test_images_share_what_is_the_same(recipe: Path) -> None:
    first, second, third, _ = load_all(recipe)
    assert first.services is third.services
    assert first.machine is third.machine
    assert first.machine is not second.machine
    assert first.operations[0] is third.operations[0]
    assert first.network is not third.network
    assert first.vm is second.vm


def test_problems_are_those_of_each_image(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe.write_text(MATRIX.replace("vcpus: 4", "vcpus: {maximum: 2, current: 4}").replace("paris", "'not a name'"))
    found = []
    for _ in range(2):
        with pytest.raises(RecipeError) as caught:
            load_all(recipe)
        found.append(caught.value.problems)
    forget(monkeypatch)
    with pytest.raises(RecipeError) as caught:
        load_all(recipe)
    assert found[0] == found[1] == caught.value.problems
