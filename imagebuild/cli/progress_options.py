"""``--progress`` and ``--sections``: how the commands that take long show what they do.

The values reach :func:`imagebuild.cli.report.reporter` through the context of the command line, since
no command does anything else with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_KEY = "imagebuild.progress"


@dataclass(frozen=True)
class ProgressChoice:
    """What the user chose."""

    progress: Literal["auto", "rich", "plain", "none"] = "auto"
    sections: Literal["auto", "gitlab", "github", "none"] = "none"


def chosen() -> ProgressChoice:
    """The choice of the running command; the defaults outside of one."""
    context = click.get_current_context(silent=True)
    found: ProgressChoice = context.meta.get(_KEY, ProgressChoice()) if context else ProgressChoice()
    return found


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    ctx.meta[_KEY] = replace(ctx.meta.get(_KEY, ProgressChoice()), **{str(param.name): value})


def progress_options(function: F) -> F:
    """``--progress`` and ``--sections``; the command's function gets no argument for them."""
    progress = click.option(
        "--progress",
        type=click.Choice(["auto", "rich", "plain", "none"]),
        default="auto",
        show_default=True,
        envvar="IMAGEBUILD_PROGRESS",
        expose_value=False,
        callback=_keep,
        help="Show progress as rows that change (rich), as lines for a log (plain), or not; auto chooses rows on a"
        " terminal outside of CI, else lines. Also set by IMAGEBUILD_PROGRESS.",
    )
    sections = click.option(
        "--sections",
        type=click.Choice(["auto", "gitlab", "github", "none"]),
        default="none",
        show_default=True,
        envvar="IMAGEBUILD_SECTIONS",
        expose_value=False,
        callback=_keep,
        help="Fold the lines of each step in the log of GitLab or GitHub; auto sees which of them it is."
        " Also set by IMAGEBUILD_SECTIONS.",
    )
    return progress(sections(function))
