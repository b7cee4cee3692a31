"""Records a trace while a block runs, and writes it when the block ends, however it ends."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebuild.errors import UsageError
from imagebuild.files import write_result
from imagebuild.log import logger, redact
from imagebuild.printable import one_line
from imagebuild.progress import Progress, Reporter, ResultSource
from imagebuild.trace.chrome import PROGRAMS, STEPS, Event, Lanes, bar, counter, document, instant

if TYPE_CHECKING:
    from imagebuild.trace.programs import Programs, ProgramUsage

_INTERVAL = 0.2
"""Seconds between two looks at the running programs."""
_DOMAIN = re.compile(r"imagebuild-(.+)-[0-9]{14}-[0-9a-f]{8}(?:-.*)?")
"""The machine of a run (store/runs.py), or one of several."""
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


@dataclass
class TraceRecorder:
    """The events so far. All times are in seconds since ``began`` (of ``time.monotonic``)."""

    began: float = field(default_factory=time.monotonic)
    epoch: float = field(default_factory=time.time)
    events: list[Event] = field(default_factory=list)
    steps: Lanes = field(default_factory=lambda: Lanes(STEPS))
    programs: Lanes = field(default_factory=lambda: Lanes(PROGRAMS))
    recipes: set[str] = field(default_factory=set)
    most: dict[str, float] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def now(self) -> float:
        """Seconds since the trace began."""
        return time.monotonic() - self.began

    def add(self, event: Event) -> None:
        """Keep an event."""
        with self.lock:
            self.events.append(event)


class TracedReporter:
    """Passes everything on to ``reporter``, and records it."""

    def __init__(self, reporter: Reporter, recorder: TraceRecorder) -> None:
        self._reporter = reporter
        self._recorder = recorder

    @contextmanager
    def step(self, recipe: str, name: str, expected: float | None = None) -> Iterator[Progress]:
        recorder = self._recorder
        with recorder.lock:
            recorder.recipes.add(recipe)
            lane = recorder.steps.take(one_line(recipe))
        step = _TracedStep(recorder, lane, recipe, name)
        how = "failed"
        try:
            with self._reporter.step(recipe, name, expected) as progress:
                step.progress = progress
                yield step
            how = "done"
        finally:
            step.end(how)
            with recorder.lock:
                recorder.steps.release(lane)

    def note(self, recipe: str, text: str) -> None:
        self._recorder.add(instant(_text(text), self._recorder.now(), recipe=one_line(recipe)))
        self._reporter.note(recipe, text)


class _TracedStep:
    """A step, and within it what it said it was doing: texts that differ only in numbers are one."""

    def __init__(self, recorder: TraceRecorder, lane: int, recipe: str, name: str) -> None:
        self._recorder, self._lane, self._recipe, self._name = recorder, lane, recipe, name
        self._began = recorder.now()
        self._detail, self._since, self._summary = "", self._began, ""
        self.progress: Progress | None = None

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        if self.progress is not None:
            self.progress.update(detail, fraction, waiting)
        if _NUMBERS.sub("", detail) != _NUMBERS.sub("", self._detail):
            self._close_detail()
            self._detail, self._since = detail, self._recorder.now()

    def summary(self, text: str, source: ResultSource = "made") -> None:
        self._summary = text
        if self.progress is not None:
            self.progress.summary(text, source)

    def end(self, how: str) -> None:
        """Record the step, which has ended."""
        self._close_detail()
        about = {"recipe": one_line(self._recipe), "how": how, "summary": _text(self._summary)}
        self._recorder.add(bar(STEPS, self._lane, one_line(self._name), self._began, self._recorder.now(), **about))

    def _close_detail(self) -> None:
        if self._detail:
            self._recorder.add(bar(STEPS, self._lane, _text(self._detail), self._since, self._recorder.now()))


@contextmanager
def traced(path: Path, reporter: Reporter) -> Iterator[TracedReporter]:
    """A reporter that also records a trace, which is in the file ``path`` when the block has ended.

    Raises UsageError before anything else if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() or not path.exists():
            write_result(path, json.dumps(document([], [], {})))
    except OSError as error:
        raise UsageError(
            f"--trace {one_line(str(path))}: {error.strerror}", "give a file that can be written"
        ) from error
    recorder = TraceRecorder()
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(recorder, stop), name="trace", daemon=True)
    watcher.start()
    try:
        yield TracedReporter(reporter, recorder)
    finally:
        stop.set()
        watcher.join(10)
        _write(path, recorder)


def _write(path: Path, recorder: TraceRecorder) -> None:
    with recorder.lock:
        about = {"seconds": round(recorder.now(), 3), **recorder.most}
        text = json.dumps(document(recorder.events, [recorder.steps, recorder.programs], about), indent=None)
    try:
        write_result(path, text)
    except OSError as error:  # whatever the block did matters more
        logger.warning("the trace %s was not written: %s", path, error)


def _watch(recorder: TraceRecorder, stop: threading.Event) -> None:
    from imagebuild.trace.programs import Programs  # psutil is needed for traces only

    programs = Programs(lambda domain: _is_of(domain, recorder), lambda command: _text(command))
    totals = _Totals()
    while True:
        ending = stop.is_set()
        new, ended = programs.look(time.time())
        with recorder.lock:
            for one in new:
                one.lane = recorder.programs.take()
            for one in [*ended, *(programs.running.values() if ending else ())]:
                _program_ended(recorder, one)
            recorder.events += totals.curves(recorder.now(), programs, ended)
            recorder.most = totals.about()
        if ending:
            return
        stop.wait(_INTERVAL)


def _program_ended(recorder: TraceRecorder, one: ProgramUsage) -> None:
    recorder.programs.release(one.lane)
    begin = max(0.0, one.began - recorder.epoch)
    end = max(begin, one.last_seen - recorder.epoch)
    about: dict[str, Any] = {
        "command": one.command,
        "process": one.pid,
        "parent": one.parent,
        "cpu_seconds": round(one.cpu, 2),
        "peak_memory_bytes": one.most_memory,
        "written_bytes": one.written,
    }
    recorder.add(bar(PROGRAMS, one.lane, _text(one.name), begin, end, **about))


@dataclass
class _Totals:
    """Sums over all programs of the build."""

    last: float = 0.0
    cpu: float = 0.0
    gone_cpu: float = 0.0
    """Of machines that have ended: libvirt's daemon waited for them, which is no program of the build.
    What other programs used is part of the figures of those that waited for them."""
    written: int = 0
    gone_written: int = 0
    values: dict[str, float] = field(default_factory=dict)

    def curves(self, now: float, programs: Programs, ended: list[ProgramUsage]) -> list[Event]:
        """The curves' points at this time."""
        self.gone_cpu += sum(one.cpu for one in ended if one.machine)
        self.gone_written += sum(one.written for one in ended if one.machine)
        running = programs.running.values()
        cpu = max(self.cpu, self.gone_cpu + sum(one.cpu for one in running))
        machines = sum(one.memory for one in running if one.machine)
        others = sum(one.memory for one in running if not one.machine)
        written = max(self.written, self.gone_written + sum(one.written for one in running))
        busy = (cpu - self.cpu) / (now - self.last) if now > self.last else 0.0
        self.last, self.cpu, self.written = now, cpu, written
        self._keep("cpu_seconds", round(cpu, 2))
        self._keep("written_bytes", written)
        self._keep("peak_memory_bytes", machines + others)
        self._keep("peak_memory_without_machines_bytes", others)
        return [
            counter("processors in use", now, processors=round(busy, 2)),
            counter("memory (MiB)", now, machines=machines >> 20, others=others >> 20),
            counter("written to disk (MiB)", now, written=written >> 20),
        ]

    def about(self) -> dict[str, float]:
        """The largest values so far."""
        return dict(self.values)

    def _keep(self, name: str, value: float) -> None:
        self.values[name] = max(value, self.values.get(name, 0))


def _is_of(domain: str, recorder: TraceRecorder) -> bool:
    found = _DOMAIN.fullmatch(domain)
    with recorder.lock:
        return found is not None and found[1] in recorder.recipes


def _text(text: str) -> str:
    return one_line(redact(text))
