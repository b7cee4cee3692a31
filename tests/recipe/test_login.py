"""The warning that nobody can log in to a clone."""

from __future__ import annotations

import pytest

from imagebuild.recipe.load import load
from imagebuild.recipe.login import found_in
from recipes import MINIMAL, recipe

LOCKED = "rootpw --lock\nuser --name=ops --lock\n%packages\npasswd\n%end\n"


def test_nobody_can() -> None:
    problem = found_in(recipe("users: [{name: ops}]\noperations: [lock-password: {user: root}]"), LOCKED)
    assert problem is not None
    assert (problem.severity, problem.rule, problem.line) == ("warning", "nobody-can-log-in", 1)
    assert "nobody has a password or an SSH key" in problem.message


@pytest.mark.parametrize(
    "said",
    [
        "rootpw --iscrypted $6$x",
        "user --name=ops --iscrypted --password=$6$x",
        "sshkey --username=ops 'ssh-ed25519 AAAA'",
        "%post\necho key >>/root/.ssh/authorized_keys\n%end",
        "%post\nchpasswd <x\n%end",
    ],
)
def test_the_kickstart_lets_somebody_in(said: str) -> None:
    assert found_in(recipe(), f"{LOCKED}{said}\n") is None


@pytest.mark.parametrize(
    "more",
    [
        "cloud_init: true",
        "packages: [cloud-init]",
        "operations: [install-packages: {packages: [cloud-init]}]",
        "operations: [run-command: {command: [useradd, ops]}]",
        "operations: [set-password: {user: root, password: {env: ROOT}}]",
    ],
)
def test_something_else_lets_somebody_in(more: str) -> None:
    assert found_in(recipe(more, MINIMAL), LOCKED) is None


def test_shipped_recipes_are_there_to_be_extended() -> None:
    assert found_in(load("debian-13"), LOCKED) is None
