"""The files that a nightly run writes: ``nightly.json``, JUnit XML, SARIF, metrics. All are replaced at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from imagebuild import junit
from imagebuild.errors import Problem
from imagebuild.events import data
from imagebuild.files import remove_unfinished, write_atomically
from imagebuild.junit import JunitCase, JunitSuite
from imagebuild.kickstart import sarif
from imagebuild.nightly import metrics
from imagebuild.nightly.outcome import NightlyEnded, NightlyImageResult, NightlyStage

RESULT, JUNIT, SARIF = "nightly.json", "nightly.xml", "lint.sarif"
DIFFERENCE = ".diff.md"
"""What the names of the differences end in."""
_RUN = "run"


def write(folder: Path, ended: NightlyEnded, problems: Iterable[Problem]) -> None:
    """Write the reports to a folder. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    log = sarif.log(problems, Path.cwd())
    write_atomically(folder / SARIF, json.dumps(log, indent=1) + "\n", durable=False)
    write_result(folder, ended)


def clear(folder: Path, metrics_file: Path | None) -> None:
    """Remove what a killed run was writing; only one run at a time may do that."""
    remove_unfinished(folder, RESULT, JUNIT, SARIF, f"*{DIFFERENCE}")
    if metrics_file is not None:
        remove_unfinished(metrics_file.parent, metrics_file.name)


def write_result(folder: Path, ended: NightlyEnded) -> None:
    """Write how the run ended. Raises OSError."""
    write_atomically(folder / JUNIT, junit_text(ended), durable=False)
    write_atomically(folder / RESULT, result_text(ended), durable=False)


def write_metrics(path: Path, ended: NightlyEnded, others: Sequence[NightlyImageResult]) -> None:
    """Write the metrics; ``others`` are the last results of images that this run left out. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, metrics.text(ended, others), durable=False)


def result_text(ended: NightlyEnded) -> str:
    """``nightly.json``, and what hooks read: control characters are escaped."""
    return json.dumps(data(ended), indent=1, ensure_ascii=True) + "\n"


def junit_text(ended: NightlyEnded) -> str:
    """A test suite for each image, and one for the whole run; a test case for each stage."""
    suites = [_suite(one.image, ended.began, one.seconds, one.stages) for one in ended.images]
    if ended.stages:
        own = sum(one.seconds for one in ended.stages)
        suites.append(_suite(_RUN, ended.began, own, ended.stages))
    return junit.text(suites)


def _suite(name: str, began: str, seconds: float, stages: Sequence[NightlyStage]) -> JunitSuite:
    moment = datetime.fromisoformat(began).strftime("%Y-%m-%dT%H:%M:%S")
    return JunitSuite(f"imagebuild nightly {name}", moment, seconds, list(_cases(name, stages)))


def _cases(name: str, stages: Sequence[NightlyStage]) -> Iterator[JunitCase]:
    for one in stages:
        failed = one.status == "failed"
        hint = (f"hint: {one.hint}",) if one.hint else ()
        yield JunitCase(
            f"imagebuild.nightly.{name}",
            one.stage,
            one.seconds,
            failure=(one.message or "failed") if failed else "",
            details=(*one.details, *hint) if failed else (),
            skipped=(one.message or "skipped") if one.status == "skipped" else "",
        )
