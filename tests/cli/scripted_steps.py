"""Reports steps as it is told: a line of the file in its argument is one order.

step RECIPE NAME [EXPECTED]     a step begins
say RECIPE NAME TEXT            what it does
at RECIPE NAME FRACTION TEXT    likewise, and how much of it is done
wait RECIPE NAME TEXT           what it waits for if nothing follows
done RECIPE NAME TEXT           it ends
fail RECIPE NAME                it fails
note RECIPE TEXT
clock SECONDS                   the clock goes on by so much
draw                            the steps are drawn now; then something is written to the second argument
end                             the program ends
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import click

from imagebuild.cli import report, terminal
from imagebuild.cli.progress_options import progress_options
from imagebuild.errors import ImageBuildError

seconds = 0.0


@click.command()
@click.argument("orders")
@click.argument("answers")
@click.option("--ticking", is_flag=True, help="Draw as often as usual, instead of when told.")
@progress_options
def main(orders: str, answers: str, ticking: bool) -> None:
    global seconds
    if not ticking:
        terminal._INTERVAL = report._INTERVAL = 3600.0
    reporter = report.reporter(as_json=False, quiet=False)
    reporter._now = lambda: seconds  # type: ignore[attr-defined]
    steps: dict[tuple[str, str], tuple[AbstractContextManager[Any], Any]] = {}
    with Path(orders).open(encoding="utf-8") as file:
        for line in file:
            verb, *words = line.rstrip("\n").split(" ")
            if verb == "end":
                break
            if verb == "draw":
                reporter._look()  # type: ignore[attr-defined]
                Path(answers).write_bytes(b".")
            elif verb == "clock":
                seconds += float(words[0])
            elif verb == "note":
                reporter.note(words[0], " ".join(words[1:]))
            elif verb == "step":
                step = reporter.step(words[0], words[1], float(words[2]) if words[2:] else None)
                steps[words[0], words[1]] = step, step.__enter__()
            else:
                act(steps, verb, (words[0], words[1]), words[2:])


def act(steps: dict[tuple[str, str], Any], verb: str, key: tuple[str, str], words: list[str]) -> None:
    step, progress = steps[key]
    if verb == "say":
        progress.update(" ".join(words))
    elif verb == "at":
        progress.update(" ".join(words[1:]), float(words[0]))
    elif verb == "wait":
        progress.update(progress.detail, progress.fraction, " ".join(words))
    elif verb == "done":
        progress.summary(" ".join(words))
        step.__exit__(None, None, None)
    elif verb == "fail":
        error = ImageBuildError("it failed")
        with suppress(ImageBuildError):
            step.__exit__(ImageBuildError, error, None)


if __name__ == "__main__":
    sys.exit(main())
