"""``--remote-store``: the store that this one shares its entries with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imagebuild.errors import UsageError
from imagebuild.project.file import is_there

if TYPE_CHECKING:
    from imagebuild.project.model import Project
    from imagebuild.remote.opening import RemoteSettings

# What reads a project's file and a remote store is imported where it is used: most builds have neither.

F = TypeVar("F", bound=Callable[..., Any])
VARIABLE = "IMAGEBUILD_REMOTE_STORE"

remote_option = click.option(
    "--remote-store",
    metavar="URL",
    envvar=VARIABLE,
    help="A store that machines share: a folder, sftp://, s3:// or https://; `none` for none. Also set by"
    f" {VARIABLE}. [default: store.remote of imagebuild.yaml]",
)
"""``--remote-store``, as ``remote_store: str | None``."""


def remote_settings(given: str | None, config: Path | None, project: Project | None = None) -> RemoteSettings | None:
    """The remote store that the options and the project (by default that of ``config``) name, if any. Raises
    UsageError, and RecipeError for a project that is not valid.
    """
    if given is None and config is None and project is None and not is_there():
        return None
    from imagebuild.project.load import load
    from imagebuild.remote.opening import NONE, chosen

    if given in ("", NONE):
        return None
    project = project or load(config)
    found = chosen(project.store, project.folder, given)
    words = [] if config is None else ["--config", str(config)]
    words += [] if given is None else ["--remote-store", given]
    return None if found is None else replace(found, words=tuple(words))


def required(given: str | None, config: Path | None) -> RemoteSettings:
    """The same, where there must be one."""
    found = remote_settings(given, config)
    if found is None:
        raise UsageError("no remote store is named", "set store.remote in imagebuild.yaml, or give --remote-store")
    return found
