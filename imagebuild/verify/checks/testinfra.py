"""Tests of yours for testinfra pass.

The tests are a Python file for [pytest-testinfra](https://testinfra.readthedocs.io), from a file of
the build host or as a text. pytest runs them on the build host, and the commands of their fixture
``host`` run as root in the booted guest. Each failed test is a problem. pytest sees only this one
file: no conftest.py, no configuration and no other plugins.

Because the tests are code that runs on the build host, an artifact's manifest records only their
SHA-256. A verification of the artifact therefore needs its recipe: `imagebuild verify IMAGE
--recipe NAME`. pytest-testinfra is optional: `pip install imagebuild[testinfra]`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import signal
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

import imagebuild
from imagebuild.errors import CommandFailed
from imagebuild.host import process
from imagebuild.printable import one_line
from imagebuild.schema.fields import FilePath, Sha256
from imagebuild.verify import check, guest_socket
from imagebuild.verify.check import NotCheckable, NothingToCheck, RunningGuest

_PLUGIN = "imagebuild.verify.testinfra_backend"
"""Not imported here: it needs testinfra."""
_HOST = "imagebuild://guest"
_SOCKET = "IMAGEBUILD_GUEST_SOCKET"
_TESTS = "tests.py"
_NONE_COLLECTED = 5
"""pytest's exit status (pytest.ExitCode.NO_TESTS_COLLECTED)."""
_LAST_LINES = 3
_LONGEST = 400


class Params(check.Params):
    text: str | None = Field(default=None, min_length=1, description="the tests themselves; instead of `file`")
    file: FilePath | None = Field(
        default=None, description="file on the build host; a relative path is relative to the file it is written in"
    )
    limit: int = Field(default=300, gt=0, description="seconds that all tests may take")
    sha256: Sha256 | None = Field(
        default=None, description="only in manifests, instead of `text` and `file`: the SHA-256 of the tests"
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(one is not None for one in (self.text, self.file, self.sha256)) != 1:
            raise ValueError("expected exactly one of text and file")
        return self

    def for_manifest(self) -> dict[str, Any]:
        """The digest only: nobody may run code because a manifest has it."""
        content = b"" if self.sha256 is not None else _content(self)
        return {"sha256": self.sha256 or hashlib.sha256(content).hexdigest(), "limit": self.limit}


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    if params.sha256 is not None:
        raise NotCheckable("its tests are not part of the artifact: name its recipe with --recipe")
    if any(importlib.util.find_spec(name) is None for name in ("pytest", "testinfra")):
        raise NotCheckable("pytest-testinfra is not installed: pip install imagebuild[testinfra]")
    content = _content(params)
    # With mode 0700, and not below TMPDIR: the path of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="imagebuild-", dir="/tmp") as name:
        folder = Path(name)
        (folder / _TESTS).write_bytes(content)
        yield from _problems(guest, folder, params.limit)


def _content(params: Params) -> bytes:
    if params.file is None:
        return (params.text or "").encode()
    try:
        return Path(params.file).read_bytes()
    except OSError as error:
        raise NotCheckable(f"{params.file} could not be read: {error.strerror}") from error


def _problems(guest: RunningGuest, folder: Path, limit: int) -> Iterator[str]:
    """Run the tests in ``folder``; the problems that they found."""
    socket, report = folder / "guest", folder / "results.xml"
    env = {
        _SOCKET: str(socket),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(Path(str(imagebuild.__file__)).parents[1]),
    }
    done = None  # after the time limit
    with guest_socket.serving(guest, socket, limit=limit), suppress(CommandFailed):
        # At SIGINT, pytest still writes the results of the tests that have ended.
        done = process.run(
            _argv(folder, report), timeout=limit, env=env, cwd=folder, check=False, stop_signal=signal.SIGINT
        )
    results = _results(report, f"{folder}/")
    problems = [problem for _, found, _ in results for problem in found]
    yield from problems
    if done is None:
        yield f"the tests did not end within {limit} s"
    elif problems:
        return
    elif done.returncode == _NONE_COLLECTED:
        yield "no tests were found: a test is a function whose name begins with test_"
    elif done.returncode != 0 or not results:
        last = [line.strip() for line in done.stdout.splitlines() if line.strip()][-_LAST_LINES:]
        yield one_line(f"pytest ended with exit status {done.returncode}: {' | '.join(last)}"[:_LONGEST])
    elif all(skipped for _, _, skipped in results):
        raise NothingToCheck("all tests were skipped")


def _argv(folder: Path, report: Path) -> list[str]:
    """pytest without anything that belongs to the user's own use of it."""
    return [
        *(sys.executable, "-P", "-m", "pytest", "-q", "--color=no"),
        *("-c", "/dev/null", f"--rootdir={folder}", "--noconftest", "--import-mode=importlib"),
        *("-p", "no:cacheprovider", "-p", "testinfra.plugin", "-p", _PLUGIN, f"--hosts={_HOST}"),
        *(f"--basetemp={folder / 'tmp'}", f"--junit-xml={report}", str(folder / _TESTS)),
    ]


def _results(report: Path, folder: str) -> list[tuple[str, list[str], bool]]:
    """Each test of pytest's JUnit XML: its name, its problems, and whether it was skipped."""
    try:
        root = ET.fromstring(report.read_text(encoding="utf-8"))  # noqa: S314 - written by pytest
    except (OSError, ValueError, ET.ParseError):
        return []
    found = []
    for case in root.iter("testcase"):
        name = _name(case.get("name", ""))
        parts = [part for part in case if part.tag in ("failure", "error")]
        problems = [one_line(f"{name}: {_said(part).replace(folder, '')}"[:_LONGEST]) for part in parts]
        found.append((name, problems, case.find("skipped") is not None))
    return found


def _name(name: str) -> str:
    """A test's name without the host, which is always the same."""
    return name.replace(f"[{_HOST}]", "").replace(f"{_HOST}-", "").replace(f"-{_HOST}", "")


def _said(part: ET.Element) -> str:
    """What failed, in one line."""
    text = part.text or ""
    lines = [line[1:].strip() for line in text.splitlines() if re.match(r"E\s", line)]
    if part.get("message") == "collection failure":
        at = re.search(rf"{_TESTS}(?:\", line |:)(\d+)", text)
        return (f"line {at[1]}: " if at else "") + (lines[-1] if lines else " ".join(text.split()))
    said = lines if part.tag == "error" and lines else (part.get("message") or text).splitlines()
    return " ".join(re.sub(r"^\s*\+\s*", "", line).strip() for line in said if line.strip())
