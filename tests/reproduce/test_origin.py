"""A manifest is read as what somebody else may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagebuild.errors import RecipeError, UsageError
from imagebuild.reproduce import origin
from tests.reproduce.manifests import manifest, recipe_data


def test_a_manifest_and_its_folder_are_the_same(tmp_path: Path) -> None:
    folder = manifest(tmp_path)
    found = origin.read(folder)
    assert found == origin.read(folder / "manifest.json")
    assert (found.name, found.version, found.identity) == ("web", "2026-11-28.1", "a" * 64)
    assert found.packages == {"bash": "5.2.37-2"}
    assert found.steps["install"] == "i" * 64


def test_the_recipe_is_the_one_that_was_built(tmp_path: Path) -> None:
    data = recipe_data(tmp_path, "packages: [vim]\nverify: true\nvariables: {a: 'x'}\ndescription: 'costs $${a}'\n")
    recipe = origin.read(manifest(tmp_path, recipe=data)).loaded()
    assert recipe.packages == ("vim",)
    assert recipe.description == "costs ${a}"
    assert not recipe.verify.enabled, "its checks may run programs of this host"
    assert {**recipe.model_dump(mode="json"), "verify": data["verify"]} == data


def test_an_older_manifest_has_random_identifiers(tmp_path: Path) -> None:
    assert origin.read(manifest(tmp_path, built={"accelerator": "kvm"})).identity == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"built": {"identity": "kickstrap.ssh_host_keys=no " + "a" * 40}},
        {"image": {"file": "../../etc/passwd", "sha256": ""}},
        {"image": {"file": "..", "sha256": ""}},
        {"recipe": ["a"]},
        {"packages": {"bash": 5}},
        {"packages": ["bash"]},
        {"tools": None},
        {"steps": {"install": "i"}},
        {"sources": [{"name": "x"}]},
        {"name": {"a": 1}},
    ],
)
def test_anything_else_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json"):
        origin.read(manifest(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"manifest\.json"):
        origin.read(tmp_path)


def test_links_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        origin.read(tmp_path)
    (tmp_path / "manifest.json").symlink_to(manifest(tmp_path) / "manifest.json")
    with pytest.raises(UsageError, match="it is a link"):
        origin.read(tmp_path)


def test_a_recipe_that_is_none_is_reported_with_the_manifest(tmp_path: Path) -> None:
    data = {**recipe_data(tmp_path), "surprise": 1}
    with pytest.raises(RecipeError) as error:
        origin.read(manifest(tmp_path, recipe=data)).loaded()
    (problem,) = error.value.problems
    assert problem.file.endswith("manifest.json")
    assert "surprise" in str(problem)


def test_what_a_recipe_uses_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("hello\n")
    extra = (
        "root: {password: {env: SECRET}, ssh_keys: [{file: /root/.ssh/id_rsa.pub}]}\n"
        "operations: [{copy-in: {source: motd, path: /etc/motd}}]\n"
        "vm: {networks: [{type: bridge, bridge: br0}, {type: user}]}\n"
    )
    recipe = origin.read(manifest(tmp_path, extra)).loaded()
    assert list(origin.named_on_host(recipe)) == [
        "root.password: environment variable SECRET",
        "root.ssh_keys[0]: file /root/.ssh/id_rsa.pub",
        "operations[0].copy-in.source: file motd",
        "vm.networks[0]: a card on this host's network (bridge)",
    ]
    assert list(origin.relative_paths(recipe)) == ["motd"]


def test_most_recipes_use_nothing(tmp_path: Path) -> None:
    assert not list(origin.named_on_host(origin.read(manifest(tmp_path)).loaded()))
