"""Runs ``imagebuild build`` as a child of a worker.

A child has its own signals and log, leaves the worker's event loop alone, and ends with the worker:
setpriv(1) asks the kernel to send it SIGTERM when its parent dies, even by SIGKILL.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild.build.scheduler import PROGRAM, ROOT
from imagebuild.events import ArtifactReady, ErrorReported, build_event
from imagebuild.host.process import PIPE, started, stop
from imagebuild.printable import one_line

_ENDS_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--")
_GRACE = 90.0
"""Seconds in which an interrupted build ends its machine and programs."""
_INTERVAL = 0.5
_LONGEST = 20_000
"""Characters of a line that are passed on: an event is much shorter."""
_LAST_LINES = 20


@dataclass(frozen=True)
class ChildEnd:
    """How a child ended: ``end`` is its last event, ``last`` are its last other lines; ``stopped``
    says why it was stopped, if it was.
    """

    end: ArtifactReady | ErrorReported
    last: tuple[str, ...]
    stopped: str = ""


def run(words: Sequence[str], folder: Path, on_line: Callable[[str], None], why_stop: Callable[[], str]) -> ChildEnd:
    """Build with these words in ``folder``. ``on_line`` gets each event as it arrives; when
    ``why_stop`` returns a reason, the child is interrupted. Raises HostError if it cannot start.
    """
    argv = [*_ENDS_WITH_PARENT, *PROGRAM, *words]
    last: deque[str] = deque(maxlen=_LAST_LINES)
    end: ArtifactReady | ErrorReported | None = None
    reason: list[str] = []
    with started(
        argv, whole_environment=True, env={"PYTHONPATH": str(ROOT)}, cwd=folder, stderr=PIPE, grace=_GRACE
    ) as process:

        def watch() -> None:
            while process.poll() is None:
                if why := why_stop():
                    reason.append(why)
                    return stop(process, grace=_GRACE)
                time.sleep(_INTERVAL)
            return None

        def read_log() -> None:
            assert process.stderr is not None
            last.extend(one_line(line[:_LONGEST].strip()) for line in process.stderr)

        threads = [threading.Thread(target=one, daemon=True) for one in (watch, read_log)]
        for thread in threads:
            thread.start()
        assert process.stdout is not None
        for line in process.stdout:
            event = build_event(line) if len(line) <= _LONGEST else None
            if event is None:
                last.append(one_line(line[:_LONGEST].strip()))
                continue
            end = event if isinstance(event, ArtifactReady | ErrorReported) else end
            on_line(line)
        process.wait()
        for thread in threads:
            thread.join()
    if end is None or (process.returncode == 0) != isinstance(end, ArtifactReady):
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit status {process.returncode}"
        said = f": {last[-1]}" if last else ""
        end = ErrorReported(message=f"the build's process ended early ({how}){said}", exit_code=1)
    return ChildEnd(end, tuple(last), reason[0] if reason else "")
