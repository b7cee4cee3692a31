"""Runs several builds in parallel, each in a separate process, as many as the host has room for.

A separate process has its own signals, log and programs: a build that fails, hangs or is killed
does not affect the others. It reports its events as JSON, and they are reported again here.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import imagebuild
from imagebuild.build import engine
from imagebuild.build.step_cache import Settings
from imagebuild.errors import ImageBuildError
from imagebuild.events import (
    ArtifactReady,
    ErrorReported,
    Note,
    StepDone,
    StepFailed,
    StepRunning,
    StepStarted,
    build_event,
)
from imagebuild.host.process import PIPE, Process, started, stop
from imagebuild.progress import Progress, Reporter
from imagebuild.recipe.folders import is_path
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.remote.opening import NONE
from imagebuild.schema.section import MIB

ROOT = Path(str(imagebuild.__file__)).parents[1]
"""The folder with this imagebuild, for PYTHONPATH."""
PROGRAM = (sys.executable, "-P", "-m", "imagebuild")
_GRACE = 90.0
"""Seconds in which an interrupted build ends its machine and programs."""
_BESIDE_THE_VM = 512 * MIB
"""Bytes that QEMU needs in addition to the VM's memory: emulation caches up to a few hundred MiB of
translated code.
"""
_CLONES = 2
"""Machines that run at the same time while an image is verified."""
_APPLIANCE = 1280 * MIB
"""Bytes that libguestfs's appliance needs; its memory is at most 1 GiB."""
_RESERVED = 512 * MIB
"""Bytes of the host's free memory that are left for other programs."""
_LAST_LINES = 3
"""The last lines of a build that are not events, for the message if it ends without an error event.
"""
_CPUS_SHARED = 2
"""How many virtual processors may share one of the host's: a build rarely keeps all of its own
busy.
"""


@dataclass(frozen=True)
class Room:
    """Resources that builds need, or that a host has: bytes of memory and of disk space, virtual
    processors.
    """

    memory: int
    vcpus: int
    disk: int

    def __add__(self, other: Room) -> Room:
        return Room(self.memory + other.memory, self.vcpus + other.vcpus, self.disk + other.disk)

    def holds(self, other: Room) -> bool:
        """Whether ``other`` fits into this."""
        return other.memory <= self.memory and other.vcpus <= self.vcpus and other.disk <= self.disk


@dataclass(frozen=True)
class Outcome:
    """How a build ended: with its artifact or with an error."""

    recipe: str
    seconds: float
    end: ArtifactReady | ErrorReported

    @property
    def exit_code(self) -> int:
        return self.end.exit_code if isinstance(self.end, ErrorReported) else 0


def not_started(recipe: str) -> Outcome:
    """The outcome of a build that was skipped."""
    message = "not started: another build failed"
    return Outcome(recipe, 0, ErrorReported(recipe=recipe, message=message, exit_code=1))


def host(settings: Settings) -> Room:
    """The resources that this host has for builds now."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) << 10
    processors = len(os.sched_getaffinity(0))
    return Room(available - _RESERVED, processors * _CPUS_SHARED, shutil.disk_usage(settings.store.root).free)


def needed(recipe: Recipe, settings: Settings) -> Room:
    """The most resources that a build of ``recipe`` can need. Raises ImageBuildError if the recipe
    is invalid.

    The build itself checks whether packages are out of date: the mirror is queried only once. Until
    then, all steps may have to run.
    """
    if settings.if_changed or settings.max_age is not None:
        settings = replace(settings, if_changed=False, max_age=None, refresh=True)
    return room_for(engine.planned(recipe, settings))


def room_for(outlook: engine.Outlook) -> Room:
    """The most resources that a build with this outlook can need. Pure."""
    recipe = outlook.plan.recipe
    memory, vcpus = 0, 0
    if "install" in outlook.to_run:
        memory, vcpus = recipe.vm.memory.maximum + _BESIDE_THE_VM, recipe.vm.vcpus.maximum
    if "customise" in outlook.to_run:
        memory, vcpus = max(memory, _APPLIANCE), max(vcpus, 2)
    if outlook.checks:
        machine = recipe.machine
        memory = max(memory, _CLONES * (machine.memory.current + _BESIDE_THE_VM))
        vcpus = max(vcpus, _CLONES * machine.vcpus.current)
    return Room(memory, vcpus, engine.space_needed(outlook))


def words(recipe: Recipe, settings: Settings, given: Mapping[str, str], *, verbose: bool = False) -> list[str]:
    """The options with which a separate process builds ``recipe`` as this process would."""
    made = ["--store", str(settings.store.root), "--output", str(settings.output)]
    made += asked(recipe, settings, given)
    made += ["--remote-store", NONE] if settings.remote is None else settings.remote.words
    made += ["--if-changed"] * settings.if_changed
    made += [] if settings.max_age is None else ["--max-age", f"{settings.max_age}s"]
    return made + ["--refresh"] * settings.refresh + ["--verbose"] * verbose


def asked(recipe: Recipe, settings: Settings, given: Mapping[str, str]) -> list[str]:
    """Of these options, those that do not depend on this host and its store."""
    made = [word for name, text in given.items() if name in recipe.variables for word in ("--var", f"{name}={text}")]
    return made + ([] if settings.verify is None else ["--verify" if settings.verify else "--no-verify"])


@dataclass
class Builds:
    """Builds ``recipes``; ``words`` returns the options for a build, ``ended`` is called with each
    outcome.

    ``beside`` is called with the lines of a build that are not events: its log, if its options
    request one.
    """

    recipes: Sequence[Recipe]
    settings: Settings
    words: Callable[[Recipe], Sequence[str]]
    reporter: Reporter
    jobs: int
    fail_fast: bool
    ended: Callable[[Outcome], None]
    beside: Callable[[str], None] = lambda line: None
    _processes: list[Process] = field(default_factory=list)
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def go(self) -> list[Outcome]:
        """The outcomes, in the order of the recipes. An interruption interrupts all builds and
        waits for their end.
        """
        outcomes: dict[int, Outcome] = {}
        waiting = dict(enumerate(self.recipes))
        needs = {at: needed(recipe, self.settings) for at, recipe in waiting.items()}
        there = host(self.settings)
        running: dict[Future[Outcome], int] = {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                while waiting or running:
                    for at in self._admitted(waiting, [needs[at] for at in running.values()], needs, there):
                        running[pool.submit(self._build, waiting.pop(at))] = at
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        at = running.pop(future)
                        outcomes[at] = future.result()
                        self.ended(outcomes[at])
                    if self.fail_fast and any(one.exit_code for one in outcomes.values()):
                        outcomes |= {at: not_started(recipe.name) for at, recipe in waiting.items()}
                        waiting.clear()
                        self._end()
            except BaseException:
                self._end()
                raise
        return [outcomes[at] for at in sorted(outcomes)]

    def _admitted(
        self, waiting: Mapping[int, Recipe], running: Sequence[Room], needs: Mapping[int, Room], there: Room
    ) -> list[int]:
        """Which builds may start: those that fit next to the running ones, and always one. First
        come, first served.
        """
        used = sum(running, Room(0, 0, 0))
        count = len(running)
        admitted = []
        for at in waiting:
            if count and (count >= self.jobs or not there.holds(used + needs[at])):
                break
            admitted.append(at)
            used, count = used + needs[at], count + 1
        return admitted

    def _build(self, recipe: Recipe) -> Outcome:
        """Run one build in a separate process to its end, and relay its events."""
        source = str(recipe.source) if is_path(str(recipe.source)) else f"./{recipe.source}"
        argv = [*PROGRAM, "build", source, "--image", recipe.name, "--json", *self.words(recipe)]
        relay = BuildRelay(recipe.name, self.reporter, self.beside)
        begin = time.monotonic()
        environment = {"PYTHONPATH": str(ROOT)}
        with started(argv, whole_environment=True, env=environment, stderr=PIPE, grace=_GRACE) as process:
            with self._lock:
                self._processes.append(process)
            if self._stopped:
                stop(process)
            assert process.stdout is not None
            assert process.stderr is not None
            log = threading.Thread(target=relay.read_log, args=(process.stderr,), daemon=True)
            log.start()
            for line in process.stdout:
                relay.read(line)
            process.wait()
            log.join()
        return relay.outcome(process.returncode, time.monotonic() - begin)

    def _end(self) -> None:
        """Interrupt all builds; the threads that read their output see them end."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                threading.Thread(target=stop, args=(process, signal.SIGTERM, _GRACE), daemon=True).start()


class BuildRelay:
    """Relays the events of a build: one JSON object per line. The last other lines are kept."""

    def __init__(self, recipe: str, reporter: Reporter, beside: Callable[[str], None] = lambda line: None) -> None:
        self._beside = beside
        self._recipe = recipe
        self._reporter = reporter
        self._steps: dict[str, tuple[AbstractContextManager[Progress], Progress]] = {}
        self._end: ArtifactReady | ErrorReported | None = None
        self._other: deque[str] = deque(maxlen=_LAST_LINES)

    def read_log(self, log: Iterable[str]) -> None:
        """Read the build's standard error, which may include text from guests: nothing in it is an
        event.
        """
        for line in log:
            self._other.append(line.strip())
            self._beside(line.rstrip("\n"))

    def read(self, line: str) -> None:
        """Process one line of its standard output."""
        event = build_event(line)
        match event:
            case StepStarted():
                step = self._reporter.step(self._recipe, event.step, event.expected_seconds)
                self._steps[event.step] = step, step.__enter__()
            case StepRunning():
                if event.step in self._steps:
                    self._steps[event.step][1].update(event.detail, event.fraction, event.waiting)
            case StepDone():
                if event.step in self._steps:
                    step, progress = self._steps.pop(event.step)
                    progress.summary(event.summary, event.source)
                    step.__exit__(None, None, None)
            case StepFailed():
                if event.step in self._steps:
                    self._fail(event.step, event.error)
            case Note():
                self._reporter.note(self._recipe, event.text)
            case ArtifactReady() | ErrorReported():
                self._end = event
            case None:
                self._other.append(line.strip())

    def _fail(self, name: str, reason: str) -> None:
        step, _ = self._steps.pop(name)
        error = ImageBuildError(reason)
        with suppress(ImageBuildError):
            step.__exit__(ImageBuildError, error, None)

    def close(self, why: str) -> None:
        """End the steps whose end was not reported."""
        for name in list(self._steps):
            self._fail(name, why)

    def outcome(self, returncode: int, seconds: float) -> Outcome:
        """The outcome of the build."""
        self.close("ended early")
        if self._end is None or (returncode == 0) != isinstance(self._end, ArtifactReady):
            how = f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
            last = f": {' | '.join(self._other)}" if self._other else ""
            self._end = ErrorReported(message=f"the build's process ended early ({how}){last}", exit_code=1)
        end = self._end
        return Outcome(self._recipe, seconds, replace(end, recipe=self._recipe))
