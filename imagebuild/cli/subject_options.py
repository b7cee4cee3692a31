"""IMAGE of ``verify`` and ``run``, and the options that describe a machine for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from imagebuild.cli.options import F, Size
from imagebuild.cli.target import target
from imagebuild.image.disk_image import Format
from imagebuild.store.artifact import Artifact
from imagebuild.verify.check import CheckCall
from imagebuild.verify.subject import Firmware, Subject
from imagebuild.verify.subjects import artifact_subject, image_subject


@dataclass(frozen=True)
class MachineChoice:
    """What the options say about an image without a manifest; ``memory`` is in bytes."""

    given: Format | None
    firmware: Firmware | None
    memory: int
    machine: Path | None


def machine_options(function: F) -> F:
    """``--format``, ``--firmware``, ``--memory`` and ``--machine``, which the function gets as
    ``given``, ``firmware``, ``memory`` and ``machine``.
    """
    options: list[Any] = [
        click.option("--format", "given", type=click.Choice(["qcow2", "raw"]), help="Format of an image file."),
        click.option(
            "--firmware", type=click.Choice(["bios", "uefi", "uefi-secure"]),
            help="Firmware for an image without a domain definition. [default: as its partitions suggest]",
        ),
        click.option(
            "--memory", type=Size(), default="2GiB", show_default=True, help="Memory of its machine, likewise."
        ),
        click.option(
            "--machine", type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Domain definition of the machine that an image file is for.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class NamedSubject:
    """What is booted: ``artifact`` if it is one; ``label`` names it in progress reports."""

    subject: Subject
    label: str
    artifact: Artifact | None


def named_subject(
    name: str,
    output: Path,
    choice: MachineChoice,
    checks: Sequence[CheckCall] | None = (),
    otherwise: Sequence[CheckCall] = (),
) -> NamedSubject:
    """What IMAGE on the command line stands for, with ``checks``; with None, those of its manifest, or
    else ``otherwise``. Raises UsageError.
    """
    found = target(name, output)
    if isinstance(found, Artifact):
        return NamedSubject(artifact_subject(found, checks, otherwise=otherwise), found.recipe, found)
    subject = image_subject(
        found,
        otherwise if checks is None else checks,
        given=choice.given,
        firmware=choice.firmware,
        memory=choice.memory,
        machine=choice.machine,
    )
    return NamedSubject(subject, found.name, None)
