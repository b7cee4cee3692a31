"""Runs tools in the runtime or inside the target's root."""

from __future__ import annotations

import os
import subprocess
from contextlib import nullcontext, suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
}


class Result(NamedTuple):
    """A tool that has ended: its exit status and its output (both streams)."""

    status: int
    output: str


class CommandRunner:
    """Runs tools and logs every line of their output. With ``root`` they run chrooted there."""

    def __init__(
        self, log: Callable[[str], None], root: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment`` has variables for every tool."""
        self.log = log
        self.root = root
        self._environment = {**ENVIRONMENT, **(environment or {})}

    def inside(self, root: Path) -> CommandRunner:
        """The same runner, chrooted to ``root``."""
        return CommandRunner(self.log, root, self._environment)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
        into: Path | None = None,
    ) -> Result:
        """Run a tool to its end. ``input`` is its standard input and is not logged.

        With ``into`` its output goes to that file and is logged afterwards: then processes that it
        leaves in the background cannot block the installation.

        Raises InstallError if the tool is missing, or, with ``check``, if its exit status is not 0;
        the message contains the last line of its output.
        """
        words = [str(word) for word in argv]
        self.log(f"run{' in the target' if self.root else ''}: {' '.join(words)}")
        lines: list[str] = []

        def take(raw: bytes) -> None:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            lines.append(line)
            self.log(f"{os.path.basename(words[0])}: {line}")
            if on_line is not None:
                on_line(line)

        with (
            into.open("w+b") if into is not None else nullcontext() as file,
            self._start(
                words, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL, stdout=file, env=env
            ) as process,
        ):
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.write((input or "").encode())
                    process.stdin.close()
            for raw in process.stdout or ():
                take(raw)
            process.wait()
            if file is not None:
                file.seek(0)
                for raw in file:
                    take(raw)
        result = Result(process.returncode, "\n".join(lines))
        if check and result.status != 0:
            raise InstallError(failure(os.path.basename(words[0]), result))
        return result

    def _start(
        self, words: Sequence[str], *, stdin: int, stdout: IO[bytes] | None, env: Mapping[str, str] | None
    ) -> subprocess.Popen[bytes]:
        argv = ["chroot", str(self.root), *words] if self.root else list(words)
        try:
            return subprocess.Popen(  # noqa: S603 - argv is a list, never a shell line
                argv,
                stdin=stdin,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**self._environment, **(env or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise InstallError(f"cannot start {words[0]}: {error.strerror}") from error


def failure(tool: str, result: Result) -> str:
    """A sentence about a tool that failed."""
    lines = [line for line in result.output.splitlines() if line.strip()]
    last = f": {lines[-1].strip()}" if lines else ""
    how = f"ended with exit status {result.status}" if result.status >= 0 else f"was ended by signal {-result.status}"
    return f"{tool} {how}{last}"
