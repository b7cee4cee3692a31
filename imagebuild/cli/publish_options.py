"""Options and output that the commands of publishing share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from imagebuild.cli.lines import minutes
from imagebuild.cli.options import F, json_option, verbose_option
from imagebuild.cli.output import echo_lines, shown
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.project_options import config_option, destination_option, destinations
from imagebuild.errors import ImageBuildError, Interrupted
from imagebuild.project.groups import ALL
from imagebuild.publish import names
from imagebuild.publish.opening import places
from imagebuild.publish.parallel import JOBS, Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.results import TargetResult, exit_code
from imagebuild.schema.findings import did_you_mean

EXIT_CODES = "Exit codes: 0 good on all targets, 1 not on all, 2 invalid usage, 3 no target usable, 130 interrupted."


def work_options(function: F) -> F:
    """``--jobs``, ``--config``, ``--json``, the options of progress and ``--verbose``."""
    options: list[Any] = [
        click.option(
            "-j", "--jobs", type=click.IntRange(min=1), default=JOBS, show_default=True,
            help="Work on up to N targets at the same time.", metavar="N",
        ),
        config_option,
        json_option,
        progress_options,
        verbose_option,
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def on_option(function: F) -> F:
    """``--on``, for :func:`places_on`."""
    return destination_option("--on", text="Only these, instead of all")(function)


def places_on(words: Sequence[str], config: Path | None) -> list[TargetPlace]:
    """What the values of ``--on`` select; without any, all that the project's file names."""
    return places(destinations(words or (ALL,), config, "--on"))


def template_names(given: Iterable[str]) -> tuple[str, ...]:
    """The arguments TEMPLATE. Raises UsageError."""
    return tuple(dict.fromkeys(names.checked(one) for one in given))


def table(results: Sequence[TargetResult]) -> Iterator[str]:
    """A line for each target, with a hint below a failure, and a line that counts them."""
    width = min(40, max(len(shown(one.target)) for one in results))
    for one in results:
        yield f"{shown(one.target):<{width}}  {one.status:<11}  {minutes(one.seconds):>6}  {_details(one)}".rstrip()
        if one.hint and not one.good:
            yield f"{'':<{width}}  {one.hint}"
    counted = Counter(one.status for one in results)
    yield ", ".join(f"{number} {status}" for status, number in counted.items())


def _details(one: TargetResult) -> str:
    was = f"was {one.previous}" if one.previous and one.previous != one.version else ""
    sent = f"{size(one.sent)} sent" if one.sent else ""
    where = f"{one.phase}: " if one.phase else ""
    message = f"{where}{one.message}" if one.message else ""
    return "; ".join(filter(None, (one.version, was, sent, message)))


def size(count: int) -> str:
    """Bytes as people read them: whole MiB, or KiB if there are few."""
    return f"{count / (1 << 20):.0f} MiB" if count >= 1 << 20 else f"{-(-count >> 10)} KiB"


def unknown_templates(
    results: Sequence[TargetResult], templates: Iterable[str], there: Iterable[str], files: Collection[str] = ()
) -> ImageBuildError | None:
    """An error for those of ``templates`` that no target has, or None.

    ``there`` has the names of all templates that were found, ``files`` those of leftovers, which are
    of a template too. A target that failed may have any; if all did, nothing is known.
    """
    known = sorted(set(there))
    missing = [one for one in templates if one not in known and not any(names.is_of(file, one) for file in files)]
    if not missing or not any(one.good for one in results):
        return None
    who = "no target" if all(one.good for one in results) else "no target that answered"
    hints = dict.fromkeys(filter(None, (did_you_mean(one, known) for one in missing)))
    hint = "; ".join(hints) or "`imagebuild templates` shows what is where"
    return ImageBuildError(f"{who} has a template {' or '.join(missing)}", hint)


def ended(
    ctx: click.Context,
    work: Work,
    results: Sequence[TargetResult],
    lines: Iterable[str],
    code: int = 0,
    error: ImageBuildError | None = None,
) -> None:
    """Print the lines, and exit with the code of the results; ``code`` if all of them are good.
    Raises ``error``, if there is one, after the lines.
    """
    echo_lines(lines)
    if work.interrupted:
        raise Interrupted("interrupted; nothing was switched or removed after that")
    if error is not None:
        raise error
    ctx.exit(exit_code(results) or code)
