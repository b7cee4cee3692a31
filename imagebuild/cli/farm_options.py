"""The options of a farm's programs, and what they mean together with the project's file."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from imagebuild.errors import HostError
from imagebuild.farm.settings import FarmPlace, GivenKeys, ledger_of, place_of
from imagebuild.ledger.address import LedgerAddress
from imagebuild.project.load import load
from imagebuild.project.model import Project

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class FarmChoice:
    """What the options and the project's file say."""

    project: Project
    place: FarmPlace


def scheduler_options(function: F) -> F:
    """``--scheduler`` and the files of TLS: arguments ``scheduler``, ``ca``, ``certificate``, ``key``."""
    options = (
        click.option(
            "--scheduler", metavar="ADDRESS", envvar="IMAGEBUILD_SCHEDULER",
            help="The scheduler, tls://HOST:PORT; also set by IMAGEBUILD_SCHEDULER. [default: farm.scheduler]",
        ),
        click.option("--ca", type=_FILE, help="The farm's authority, a certificate in PEM. [default: farm.ca]"),
        click.option("--certificate", type=_FILE, help="This machine's certificate. [default: farm.certificate]"),
        click.option("--key", type=_FILE, help="The private key of the certificate. [default: farm.key]"),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def ledger_option(function: F) -> F:
    """``--ledger``: where all builds of the farm are recorded."""
    return click.option(
        "--ledger", metavar="WHERE",
        help="The ledger: a file, or postgresql://[user@]host/database, without a password; also set by"
        " IMAGEBUILD_LEDGER. [default: farm.ledger, or ledger.sqlite in the store]",
    )(function)  # fmt: skip


def chosen(config: Path | None, scheduler: str | None, keys: GivenKeys) -> FarmChoice:
    """The project and its scheduler. Raises UsageError."""
    project = load(config)
    return FarmChoice(project, place_of(project, scheduler, keys))


def chosen_ledger(project: Project, given: str | None, store: Path) -> LedgerAddress:
    """The ledger. Raises UsageError."""
    return ledger_of(project, given, store)


def require_libraries() -> None:
    """Raise HostError if the extra ``farm`` is not installed."""
    for name in ("alembic", "distributed", "sqlalchemy"):
        if importlib.util.find_spec(name) is None:
            raise HostError(
                f"builds on a farm need the Python package {name}",
                "install imagebuild with its extra farm: pip install 'imagebuild[farm]'",
            )
