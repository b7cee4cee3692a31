"""What the installation VM is told about identifiers and times."""

from __future__ import annotations

from uuid import UUID

from imagebuild.kickstrap import runtime
from imagebuild.kickstrap.agent import identity
from imagebuild.kickstrap.agent.command import CommandRunner

SEED = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4


def told(*arguments: str) -> identity.DiskIdentity:
    return identity.given(" ".join(("console=ttyS0", *arguments, "quiet\n")))


def test_the_host_and_the_agent_agree() -> None:
    arguments = runtime.kernel_arguments("uefi", host_keys=False)
    arguments += runtime.identity_arguments(SEED, 1795834381, OTHER)
    assert told(*arguments) == identity.DiskIdentity(SEED, "1795834381", host_keys=False, payload=OTHER)
    assert told(*runtime.identity_arguments(SEED, 0)) == identity.DiskIdentity(SEED)


def test_the_same_seed_gives_the_same_identifiers() -> None:
    one, again, other = (
        told(f"kickstrap.identity={SEED}"),
        told(f"kickstrap.identity={SEED}"),
        told("kickstrap.identity=" + "0" * 64),
    )
    assert one.uuid("file system", "/") == again.uuid("file system", "/")
    assert UUID(one.uuid("disk 1")).version == 5
    assert len({one.uuid("disk 1"), one.uuid("disk 2"), other.uuid("disk 1")}) == 3


def test_without_a_seed_identifiers_are_random() -> None:
    nothing = told("kickstrap.identity=short", "kickstrap.epoch=-1")
    assert nothing == identity.RANDOM
    assert nothing.uuid("/") != nothing.uuid("/")
    assert nothing.environment == {}


def test_tools_in_the_target_get_the_time() -> None:
    commands = CommandRunner(lambda _: None, environment=told("kickstrap.epoch=86400").environment)
    assert commands.run(["printenv", "SOURCE_DATE_EPOCH"]).output == "86400"
    assert commands.run(["printenv", "LC_ALL"]).output == "C.UTF-8"
