"""The only module that starts programs.

Each child gets its own session (so that a terminal's Ctrl-C does not reach it directly), a small
environment and a time limit. It is ended, together with everything it started, when an exception
leaves the block that waits for it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from imagebuild.errors import CommandFailed, HostError, Interrupted
from imagebuild.log import logger, redact
from imagebuild.printable import shell_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PIPE = subprocess.PIPE
"""For a program from :func:`started` whose stderr is read separately from its stdout."""
Process = subprocess.Popen[str]
TimeoutExpired = subprocess.TimeoutExpired
"""For callers that wait for a program from :func:`started` with their own time limit."""

_PASSED = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TERM", "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
    "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "LIBVIRT_DEFAULT_URI",
)  # fmt: skip
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_GRACE = 10.0
_ERROR = re.compile(r"E: |(?:\S+: )?error\b", re.IGNORECASE)
_KEPT_OUTPUT = 200
"""Lines of a child's output kept for an error message."""

MARK = "IMAGEBUILD_RUN"
"""The variable that marks the programs of a run, and the programs that those start."""
_mark: dict[str, str] = {}
_children: set[subprocess.Popen[str]] = set()
_children_lock = threading.Lock()
_interrupted: set[subprocess.Popen[str]] = set()
"""Children that :func:`stop_all` has ended."""


@dataclass(frozen=True)
class Completed:
    """A program that has ended: its exit status, its output (both streams) and its seconds."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    seconds: float


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for children: a few variables of this process, C.UTF-8, and ``extra``."""
    env = {name: os.environ[name] for name in _PASSED if name in os.environ}
    env["PATH"] = f"{env.get('PATH', '/usr/local/bin:/usr/bin:/bin')}:{_SBIN}"
    env["LC_ALL"] = "C.UTF-8"
    env.update(_mark)
    env.update(extra or {})
    return env


@contextmanager
def marked(run: str) -> Iterator[None]:
    """Mark all programs that are started in the block with the name of a run. Only one run per
    process at a time.
    """
    _mark[MARK] = run
    try:
        yield
    finally:
        del _mark[MARK]


def end_marked(run: str) -> None:
    """End the remaining programs of a dead run, as far as permitted: with SIGTERM, after some
    seconds with SIGKILL.
    """
    wanted = f"{MARK}={run}".encode()
    begin = time.monotonic()
    asked = False
    while time.monotonic() - begin < _GRACE + 1:
        found = [pid for pid, variables in _environments() if wanted in variables]
        late = time.monotonic() - begin > _GRACE
        # SIGTERM only in the first round: a program that starts later may be part of another one's clean-up.
        for pid in found if late or not asked else []:
            logger.info("ending process %d of the dead run %s", pid, run)
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        if not found:
            return
        asked = True
        time.sleep(0.1)


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield int(folder.name), (folder / "environ").read_bytes().split(b"\0")


def pasteable(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """The command as one line for a shell, secrets masked."""
    words = [f"{name}={shell_word(value)}" for name, value in (env or {}).items()]
    words += [shell_word(str(word)) for word in argv]
    return redact(" ".join(words))


def stop(process: subprocess.Popen[str], first: signal.Signals = signal.SIGTERM, grace: float = _GRACE) -> None:
    """End ``process`` and its group: signal ``first``, ``grace`` seconds, then SIGKILL."""
    for signum, patience in ((first, grace), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def stop_all() -> None:
    """End every child that is still running; threads that wait for one in :func:`run` get an
    Interrupted.
    """
    with _children_lock:
        running = list(_children)
        _interrupted.update(running)
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


@contextmanager
def started(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bool = False,
    stderr: IO[str] | int | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    grace: float = _GRACE,
    whole_environment: bool = False,
    hint: str | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Start a program, and make sure that it has ended when the block is left, after ``grace``
    seconds with SIGKILL.

    stdout is a pipe of text lines; stderr goes to the same pipe unless a file, or ``PIPE``, is
    given. ``whole_environment`` is for imagebuild itself: the program gets all variables of this
    process. Raises HostError if the program is not installed.
    """
    words = [str(word) for word in argv]
    logger.debug("run %s", pasteable(words, env))
    try:
        process = subprocess.Popen(  # noqa: S603 - argv is a list, never a shell line
            words,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr or subprocess.STDOUT,
            env={**os.environ, **environment(env)} if whole_environment else environment(env),
            cwd=cwd,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostError(f"{words[0]} is not installed", hint or "`imagebuild doctor` says what to install") from error
    except OSError as error:
        raise HostError(f"cannot start {words[0]}: {error.strerror}", hint) from error
    with _children_lock:
        _children.add(process)
    try:
        yield process
    finally:
        if process.poll() is None:
            stop(process, stop_signal, grace)
        with _children_lock:
            _children.discard(process)
            _interrupted.discard(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: str | None = None,
    check: bool = True,
    on_line: Callable[[str], None] | None = None,
    apart: bool = False,
    stop_signal: signal.Signals = signal.SIGTERM,
    hint: str | None = None,
) -> Completed:
    """Run a program to its end and return its output (stdout and stderr together).

    ``timeout`` is in seconds. ``on_line`` is called with each line as it arrives; a carriage return
    also ends a line, as in progress bars. With ``apart`` it gets only the lines of stdout. Every
    line also goes to the build log. With ``check`` a non-zero exit status raises CommandFailed with
    the last lines in its message; a timeout always does. Raises Interrupted if :func:`stop_all` ended it.
    """
    begin = time.monotonic()
    expired = threading.Event()
    lines: list[str] = []

    def take(line: str, tell: Callable[[str], None] | None) -> None:
        lines.append(line)
        logger.debug("%s: %s", os.path.basename(str(argv[0])), line)
        if tell is not None:
            tell(line)

    stderr = subprocess.PIPE if apart else None
    with started(
        argv, env=env, cwd=cwd, stdin=input is not None, stderr=stderr, stop_signal=stop_signal, hint=hint
    ) as process:

        def expire() -> None:
            expired.set()
            stop(process, stop_signal)

        watchdog = threading.Timer(timeout, expire)
        watchdog.daemon = True
        watchdog.start()
        try:
            _talk(process, input or "", take, on_line)
        finally:
            watchdog.cancel()
        interrupted = process in _interrupted
    seconds = time.monotonic() - begin
    completed = Completed(tuple(map(str, argv)), process.returncode, "\n".join(lines), seconds)
    if interrupted and process.returncode != 0:
        raise Interrupted(f"{os.path.basename(completed.argv[0])} was stopped")
    if expired.is_set():
        raise _failed(completed, env, f"did not end within {timeout:.0f} s", hint)
    if check and completed.returncode != 0:
        raise _failed(completed, env, _how_ended(completed.returncode), hint)
    return completed


def interactive(argv: Sequence[str | Path]) -> int:
    """Run a program on the user's terminal, and return its exit status. Ctrl-C goes to the program."""
    words = [str(word) for word in argv]
    try:
        process = subprocess.Popen(words, env={**environment(), "TERM": os.environ.get("TERM", "dumb")})  # noqa: S603
    except OSError as error:
        raise HostError(
            f"cannot start {words[0]}: {error.strerror}", "`imagebuild doctor` says what to install"
        ) from error
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the program got it too, and decides


def _talk(
    process: subprocess.Popen[str],
    input: str,
    take: Callable[[str, Callable[[str], None] | None], None],
    on_line: Callable[[str], None] | None,
) -> None:
    """Write a program's input and ``take`` its lines until it ends.

    ``on_line`` is for the lines of stdout, and of stderr if both share a pipe.
    """

    def read(pipe: IO[str], tell: Callable[[str], None] | None) -> None:
        for line in pipe:
            take(line.rstrip("\n"), tell)

    if process.stdin is not None:
        threading.Thread(target=_feed, args=(process.stdin, input), daemon=True).start()
    beside = None
    if process.stderr is not None:
        beside = threading.Thread(target=read, args=(process.stderr, None), daemon=True)
        beside.start()
    assert process.stdout is not None
    read(process.stdout, on_line)
    process.wait()
    if beside is not None:
        beside.join()


def _feed(pipe: IO[str], text: str) -> None:
    with suppress(OSError):
        pipe.write(text)
        pipe.close()


def _how_ended(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by signal {signal.Signals(-returncode).name}"
    return f"ended with exit status {returncode}"


def _failed(completed: Completed, env: Mapping[str, str] | None, how: str, hint: str | None) -> CommandFailed:
    output = redact("\n".join(completed.stdout.splitlines()[-_KEPT_OUTPUT:]))
    lines = [line for line in output.splitlines() if line.strip()]
    told = [line for line in lines if _ERROR.match(line)][-3:] or lines[-3:]
    message = f"{os.path.basename(completed.argv[0])} {how}"
    if told:
        message += ": " + " | ".join(line.strip() for line in told)
    return CommandFailed(message, command=pasteable(completed.argv, env), output=output, hint=hint)
