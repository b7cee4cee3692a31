"""The warning about identities that all clones of an image would share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from projects import OS, image, project

from imagebuild.customise import registry
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.shared_identity import IDENTITIES, found_in

ALWAYS = (
    "remove-ssh-host-keys",
    "reset-machine-id",
    "remove-network-identity",
    "remove-udev-rules",
    "remove-random-seed",
    "remove-device-records",
)
RED_HAT = (
    "os: {family: redhat, distribution: rocky, version: 9}\ninstaller: {source: {tree: 'https://mirror.example/os'}}\n"
)


def recipe(folder: Path, operations: Sequence[str], more: str = OS) -> Recipe:
    return image(folder, {"a.yaml": f"name: a\n{more}operations: [{', '.join(operations)}]\n"})


def test_it_names_what_stays_and_the_operations_in_one_warning(tmp_path: Path) -> None:
    problem = found_in(recipe(tmp_path, ["remove-udev-rules", "reset-machine-id"]))
    assert problem is not None
    assert (problem.severity, problem.rule, problem.where, problem.line) == (
        "warning",
        "shared-identity",
        "operations",
        3,
    )
    assert "SSH host keys (remove-ssh-host-keys), hardware addresses" in problem.message
    assert "random seed (remove-random-seed)" in problem.message
    assert "reset-machine-id" not in problem.message


def test_a_recipe_without_operations_keeps_all_of_them(tmp_path: Path) -> None:
    problem = found_in(image(tmp_path, {"a.yaml": f"name: a\n{OS}"}))
    assert problem is not None
    assert all(f"({name})" in problem.message for name in ALWAYS)


@pytest.mark.parametrize(
    ("more", "left"),
    [
        (OS, ""),
        (OS + "packages: [nginx, sssd]\n", "remove-domain-membership"),
        (OS + "packages: [cloud-init, open-iscsi]\n", "reset-cloud-init remove-storage-initiator-names"),
        (OS + "packages: [mysql-server-8.0, chefs]\n", "reset-agents"),
        (
            (
                "os: {family: redhat, distribution: rocky, version: 9}\n"
                "installer: {source: {tree: 'https://mirror.example/os'}}\n"
            ),
            "remove-initramfs-identity",
        ),
    ],
)
def test_some_identities_depend_on_the_packages(tmp_path: Path, more: str, left: str) -> None:
    problem = found_in(recipe(tmp_path, ALWAYS, more))
    assert [one for one in left.split() if problem is None or f"({one})" not in problem.message] == []
    assert (problem.message.count("(") if problem else 0) == len(left.split())


def test_packages_of_operations_count(tmp_path: Path) -> None:
    problem = found_in(recipe(tmp_path, [*ALWAYS, "install-packages: {packages: [snapd]}"]))
    assert problem is not None
    assert problem.message.endswith("(remove-app-store-state)")


def test_each_operation_is_one_of_the_default_set_and_all_of_identities_are_there() -> None:
    named = {one.operation for one in IDENTITIES}
    assert named <= set(registry.TEMPLATE)
    # the hostname is what the recipe says, and localhost by default
    assert named >= {name for name in registry.TEMPLATE if registry.get(name).carries == "identity"} - {
        "reset-hostname"
    }


def test_a_list_of_operations_in_a_recipe_of_yours_keeps_the_scrubbing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake that this warning is about."""
    write = "[write-file: {path: /etc/motd, text: hello}]"
    head = "extends: debian-13.yaml\nname: a\noperations: "
    project(tmp_path, {"a.yaml": f"{head}{write}\n"})
    monkeypatch.chdir(tmp_path)
    made = load("a")
    assert found_in(made) is None
    assert len(made.operations) == len(load("debian-13").operations) + 1
    project(tmp_path, {"a.yaml": f"{head}{{replace: {write}}}\n"})
    assert len(load("a").operations) == 1
    assert found_in(load("a")) is not None
