"""cloud-init in a recipe: what it adds for each family, and conflicts."""

from __future__ import annotations

import pytest

from imagebuild.customise import registry
from imagebuild.recipe import host_inputs
from imagebuild.recipe.load import load
from imagebuild.recipe.shared_identity import found_in
from recipes import MINIMAL, problems, recipe

ROCKY = """\
name: small
os: {family: redhat, distribution: rocky, version: 10.1}
installer: {source: {tree: "https://mirror.example/os"}}
"""


@pytest.mark.parametrize(
    ("more", "base", "packages"),
    [
        ("cloud_init: true", MINIMAL, ("cloud-init", "cloud-guest-utils", "sudo")),
        ("cloud_init: {growpart: false}", MINIMAL, ("cloud-init", "sudo")),
        ("cloud_init: true\noperations: [grow-root-at-first-boot]", MINIMAL, ("cloud-init", "sudo")),
        ("cloud_init: true", ROCKY, ("cloud-init", "cloud-utils-growpart", "sudo")),
        ("packages: [sudo, vim]\ncloud_init: true", ROCKY, ("sudo", "vim", "cloud-init", "cloud-utils-growpart")),
        ("cloud_init: false", MINIMAL, ()),
        ("cloud_init:", MINIMAL, ()),
        ("", ROCKY, ()),
    ],
)
def test_packages(more: str, base: str, packages: tuple[str, ...]) -> None:
    assert recipe(more, base).all_packages == packages


def test_the_operations_come_after_those_of_the_recipe_and_are_not_added_twice() -> None:
    made = recipe(
        "cloud_init: {datasources: [Ec2], network: false}\nnetwork: {device: ens3}\noperations: [reset-cloud-init]"
    )
    assert [call.name for call in made.all_operations] == ["reset-cloud-init", "set-up-cloud-init"]
    assert made.all_operations[1].params.model_dump() == {
        "datasources": ("Ec2",),
        "growpart": True,
        "network": False,
        "device": "ens3",
    }
    assert [call.name for call in recipe("cloud_init: true").all_operations] == [
        "set-up-cloud-init",
        "reset-cloud-init",
    ]
    assert (
        recipe("operations: [reset-cloud-init]").all_operations == recipe("operations: [reset-cloud-init]").operations
    )


def test_only_one_grows_the_root_file_system() -> None:
    made = recipe("cloud_init: true\noperations: [grow-root-at-first-boot]")
    assert made.all_operations[1].params.model_dump()["growpart"] is False
    assert recipe("cloud_init: true").all_operations[0].params.model_dump()["growpart"] is True


@pytest.mark.parametrize("base", [MINIMAL, ROCKY])
def test_a_build_applies_them_with_the_network_of_the_recipe(base: str) -> None:
    planned = host_inputs.planned(recipe("cloud_init: true\nnetwork: {device: ens3}\noperations: [clean-logs]", base))
    assert [call.name for call in planned] == ["clean-logs", "set-up-cloud-init", "reset-cloud-init"]
    assert registry.ordered(planned)[0][0].name == "set-up-cloud-init"
    assert planned[1].params.model_dump()["device"] == "ens3"


def test_its_instance_is_not_shared() -> None:
    problem = found_in(recipe("cloud_init: true"))
    assert problem is not None
    assert "reset-cloud-init" not in problem.message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("cloud_init: maybe", "3: cloud_init: expected true, false or a mapping of keys, found 'maybe'"),
        (
            "cloud_init: {datasources: []}",
            "3: cloud_init.datasources: expected a list of at least 1, found an empty list",
        ),
        (
            "cloud_init: {datasource: [Ec2]}",
            "3: cloud_init.datasource: unknown key 'datasource' [did you mean 'datasources'?]",
        ),
        (
            "cloud_init: {datasources: [Ec2, Ec2]}",
            "3: cloud_init.datasources[1]: 'Ec2' is listed twice [remove one of the two]",
        ),
        (
            "cloud_init: {datasources: [None, Ec2]}",
            "3: cloud_init.datasources[0]: nothing after None is looked at [write it last, or leave it out]",
        ),
        (
            "cloud_init: {growpart: true}\noperations: [grow-root-at-first-boot]",
            (
                "3: cloud_init.growpart: the operation grow-root-at-first-boot grows the root file system already"
                " [remove this key; or the operation, so that cloud-init does it]"
            ),
        ),
        (
            "cloud_init: true\nkernel_arguments: [quiet, cloud-init=disabled]",
            "4: kernel_arguments[1]: cloud-init=disabled disables what cloud_init sets up [remove one of the two]",
        ),
        (
            "cloud_init: true\nservices: {disabled: [cloud-init-local]}",
            "4: services.disabled[0]: cloud-init-local is needed for cloud_init [remove one of the two]",
        ),
        (
            "cloud_init: true\nnetwork: {bootproto: static, address: 192.0.2.1, netmask: 255.255.255.0}",
            (
                "4: network.bootproto: cloud-init configures the network of each clone, so it cannot be static in the"
                " image [remove it, or set cloud_init: {network: false}]"
            ),
        ),
    ],
)
def test_problems(more: str, message: str) -> None:
    assert problems(more) == [f"small.yaml:{message}"]


@pytest.mark.parametrize(
    "more",
    [
        "cloud_init: {growpart: false}\noperations: [grow-root-at-first-boot]",
        "cloud_init: {network: false}\nnetwork: {bootproto: static, address: 192.0.2.1, netmask: 255.255.255.0}",
        "cloud_init: {datasources: [NoCloud, None]}",
        "kernel_arguments: [cloud-init=disabled]\noperations: [grow-root-at-first-boot]",
    ],
)
def test_what_does_not_conflict(more: str) -> None:
    assert problems(more) == []


def test_the_datasources_are_known_to_the_operation() -> None:
    default = recipe("cloud_init: true\n")
    assert default.all_operations[0].params == type(default.all_operations[0].params)()


def test_no_shipped_recipe_has_it() -> None:
    assert not load("debian-13").cloud_init.enabled
