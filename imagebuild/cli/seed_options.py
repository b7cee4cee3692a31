"""The options of ``run`` that give a throwaway machine a seed for cloud-init."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from imagebuild.publish import first_boot

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)
_MACHINE = "imagebuild-run"
"""The host name without --hostname."""


@dataclass(frozen=True)
class SeedChoice:
    """What the options say."""

    wanted: bool
    hostname: str | None
    keys: tuple[Path, ...]
    user_data: Path | None
    network_config: Path | None


def seed_options(function: F) -> F:
    """``--cloud-init`` and the options that imply it, which the function gets as ``cloud_init``,
    ``hostname``, ``ssh_keys``, ``user_data`` and ``network_config``.
    """
    options: list[Any] = [
        click.option(
            "--cloud-init", is_flag=True,
            help="Give the machine's cloud-init a NoCloud seed, as a new instance; the options below imply this.",
        ),
        click.option("--hostname", metavar="NAME", help=f"Its host name. [default: {_MACHINE}]"),
        click.option(
            "--ssh-key", "ssh_keys", type=_FILE, multiple=True, metavar="FILE",
            help="File with public keys for cloud-init's default user; repeatable.",
        ),
        click.option("--user-data", type=_FILE, metavar="FILE", help="User data for cloud-init."),
        click.option(
            "--network-config", type=_FILE, metavar="FILE", help="Network configuration for cloud-init, in YAML."
        ),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def seed(choice: SeedChoice) -> dict[str, bytes] | None:
    """The files of the seed, None if no option asks for one. Raises UsageError."""
    given = (choice.hostname, choice.keys, choice.user_data, choice.network_config)
    if not choice.wanted and not any(one is not None and one != () for one in given):
        return None
    values = first_boot.read(choice.hostname, choice.keys, choice.user_data, None, choice.network_config)
    return first_boot.seed_files(values, _MACHINE, str(uuid.uuid4()))
