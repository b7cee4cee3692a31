"""The results of builds, as ``build`` and ``farm build`` print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagebuild.cli import problems
from imagebuild.cli.lines import minutes
from imagebuild.cli.output import echo, echo_lines, shown
from imagebuild.cli.report import JsonReporter, PlainReporter
from imagebuild.json_lines import ArtifactReady, ErrorReported
from imagebuild.progress import Reporter

if TYPE_CHECKING:
    from imagebuild.build.scheduler import Outcome


def print_result(reports: Reporter, event: ArtifactReady | ErrorReported) -> None:
    """Print the result of a build, where no section folds it: its image, or the error."""
    if isinstance(reports, JsonReporter):
        reports.emit(event)
    elif isinstance(reports, PlainReporter):
        reports.outside(lambda: _show_result(event))
    else:
        _show_result(event)


def _show_result(event: ArtifactReady | ErrorReported) -> None:
    if isinstance(event, ArtifactReady):
        echo(event.image)
    else:
        echo_lines(problems.described(event), err=True)


def table(outcomes: Sequence[Outcome]) -> None:
    """Print the summary of several builds, one line for each."""
    width = max(len(shown(one.recipe)) for one in outcomes)
    echo()
    for one in outcomes:
        end = one.end
        if isinstance(end, ArtifactReady):
            how, what = "unchanged" if end.unchanged else "built", end.version
        else:
            how, what = "failed", end.message.splitlines()[0]
        echo(f"{shown(one.recipe):<{width}}  {how:<9} {minutes(one.seconds):>6}  {what}")


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """The exit code of several builds: that of the failed ones if they agree, else 1."""
    failures = {one.exit_code for one in outcomes if one.exit_code}
    return failures.pop() if len(failures) == 1 else int(bool(failures))
