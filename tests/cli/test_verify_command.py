"""`imagebuild verify`, `run` and `checks`: usage errors, what they print, and the console."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from imagebuild.build import verification
from imagebuild.cli import attached_console as console_module
from imagebuild.cli import project
from imagebuild.cli.checks import checks
from imagebuild.cli.main import cli
from imagebuild.cli.run import run
from imagebuild.cli.verify import verify
from imagebuild.errors import UsageError
from imagebuild.verify import registry
from imagebuild.verify.check import CheckResult
from imagebuild.verify.verification import BOOT, Verification, schema
from tests.machine.machines import recipe

IMAGE = b"image" + bytes(505) + b"\x55\xaa" + bytes(3584)


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for artifacts, with one of `small`."""
    from imagebuild.machine.domain_xml import definition

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))
    folder = tmp_path / "artifacts" / "small" / "2026-11-29.1"
    folder.mkdir(parents=True)
    (folder.parent / "latest").symlink_to(folder.name)
    (folder / "small.raw").write_bytes(IMAGE)
    (folder / "small.xml").write_text(definition(recipe("")))
    content = {
        "name": "small",
        "version": "2026-11-29.1",
        "image": {
            "file": "small.raw",
            "format": "raw",
            "size": len(IMAGE),
            "sha256": hashlib.sha256(IMAGE).hexdigest(),
        },
        "checks": [{"swap-off": {}}, {"sshd": {}}],
        "packages": {"vim": "9.1"},
    }
    (folder / "manifest.json").write_text(json.dumps(content))
    (tmp_path / "cloud.img").write_bytes(IMAGE)
    return tmp_path / "artifacts"


class Verifier:
    """Replaces the verification on this host: keeps what it was asked, and returns ``done``."""

    def __init__(self, tmp_path: Path) -> None:
        self.asked: list[tuple[Any, dict[str, Any]]] = []
        self.evidence = tmp_path / "evidence"
        self.evidence.mkdir()
        (self.evidence / "clone-1.log").write_bytes(b"\x1b[1mboot\x1b[0m\r\n\xff\n")
        (self.evidence / "clone-1.png").write_bytes(b"\x89PNG")
        self.results = (
            CheckResult(BOOT, "passed", seconds=12.0),
            CheckResult("sshd", "not checkable", reason="unreadable\x1b[2J"),
            CheckResult("swap-off", "failed", ("there is swap\nand \x1b[31mmore",)),
        )

    @contextmanager
    def verified(self, subject: Any, *_: Any, **options: Any) -> Iterator[verification.VerifiedHere]:
        self.asked.append((subject, options))
        done = Verification(
            image=subject.name,
            sha256="",
            accelerator="kvm",
            seconds_to_login=12.0,
            results=self.results,
            replaced=("CPUs not pinned",),
        )
        yield verification.VerifiedHere(done, self.evidence)


@pytest.fixture
def verifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verifier:
    made = Verifier(tmp_path)
    monkeypatch.setattr(verification, "verified", made.verified)
    return made


def invoked(command: click.Command, *words: str) -> Result:
    return CliRunner().invoke(command, list(words))


def problem(command: click.Command, *words: str) -> str:
    done = invoked(command, *words)
    if isinstance(done.exception, UsageError):
        return f"{done.exception.message} [{done.exception.hint}]"
    assert done.exit_code == 2, done.output
    return done.output


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["nothing"], "nothing is neither a file nor a folder"),
        (["smal"], "did you mean"),
        (["debian-13"], "has no finished artifact"),
        (["small", "--recipe", "debian-13", "--check", "sshd"], "mutually exclusive"),
        (["small", "--recipe", "debain-13"], "debian-13"),
        (["small", "--check", "swap-of"], "there is no check 'swap-of'"),
        (["small", "--check", "swap-off={"], "is not a JSON object: "),
        (["small", "--check", "swap-off=[]"], "is not a JSON object ["),
        (["small", "--check", "swap-off=5"], "is not a JSON object ["),
        (["small", "--check", f"swap-off={'[' * 100_000}"], "is not a JSON object"),
        (["small", "--check", 'time-to-login={"limit": 0}'], "--check time-to-login: limit: "),
        (["small", "--check", 'swap-off={"x": 1}'], "checks show swap-off"),
        (["small", "--check", "script={}"], "--check script: expected exactly one of text and file"),
        (["small", "--without", "swap-of"], "there is no check 'swap-of'"),
        (["cloud.img", "--firmware", "efi"], "--firmware"),
        (["cloud.img", "--memory", "lots"], "--memory"),
        (["cloud.img", "--machine", "none.xml"], "none.xml"),
        (["cloud.img", "--format", "qcow2"], "qcow2"),
    ],
)
def test_usage_errors_of_verify(output: Path, verifier: Verifier, words: list[str], wanted: str) -> None:
    assert wanted in problem(verify, *words, "--output", str(output))
    assert verifier.asked == []


def test_a_result_is_printed_and_recorded(output: Path, verifier: Verifier) -> None:
    done = invoked(verify, "small", "--output", str(output))
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "  boot      passed  12 s",
        "  sshd      not checkable  unreadable\\x1b[2J",
        "  swap-off  failed",
        "      there is swap\\nand \\x1b[31mmore",
        "  note: CPUs not pinned",
        "small 2026-11-29.1: failed",
    ]
    folder = output / "small" / "latest"
    assert json.loads((folder / "manifest.json").read_text())["verification"]["verdict"] == "failed"
    assert json.loads((folder / "verify.json").read_text())["verdict"] == "failed"
    assert (folder / "verify-clone-1.log").read_text() == "boot\n\ufffd\n"
    assert (folder / "verify-clone-1.png").read_bytes() == b"\x89PNG"
    assert " verify.xml\n" in (folder / "SHA256SUMS").read_text()


def test_a_pass_is_exit_code_0(output: Path, verifier: Verifier) -> None:
    verifier.results = verifier.results[:2]
    assert invoked(verify, "small", "--output", str(output)).exit_code == 0


@pytest.mark.parametrize(
    "words", [["--check", "swap-off"], ["--recipe", "debian-13"], ["--without", "sshd"], ["--offline"]]
)
def test_a_part_of_the_checks_is_not_recorded(output: Path, verifier: Verifier, words: list[str]) -> None:
    before = (output / "small" / "latest" / "manifest.json").read_bytes()
    invoked(verify, "small", "--output", str(output), *words, "--report", "results")
    assert (output / "small" / "latest" / "manifest.json").read_bytes() == before
    assert {path.name for path in Path("results").iterdir()} == {
        "verify.json", "verify.xml", "verify-clone-1.log", "verify-clone-1.png",
    }  # fmt: skip
    subject, options = verifier.asked[0]
    names = [call.name for call in subject.checks]
    if words[0] == "--check" or words[0] == "--without":
        assert names == ["swap-off"]
    elif words[0] == "--recipe":
        assert "root-file-system" in names
    assert options["read_only"] == (words[0] == "--offline")


def test_an_image_file_gets_general_checks(output: Path, verifier: Verifier) -> None:
    for words, has in (((), False), (("--house-rules",), True)):
        invoked(verify, "cloud.img", *words, "--output", str(output), "--timeout", "1m")
        subject, options = verifier.asked.pop()
        assert ("swap-off" in {call.name for call in subject.checks}) == has
        assert options["limit"] == 60
    assert not (output.parent / "verify.json").exists()


def test_json_is_one_event_that_the_schema_describes(output: Path, verifier: Verifier) -> None:
    done = invoked(verify, "small", "--json", "--output", str(output))
    event = json.loads(done.stdout.splitlines()[-1])
    assert (event["event"], event["image"], event["verdict"], done.exit_code) == ("verified", "small", "failed", 1)
    Draft202012Validator(schema()).validate(event["result"])
    assert json.loads(invoked(project.schema, "--of", "verify").stdout) == schema()
    invoked(project.schema, "--of", "verify", "--output", "v.json")
    assert json.loads(Path("v.json").read_text()) == schema()


def test_no_check_can_be_lost_in_a_summary(tmp_path: Path) -> None:
    results = Verifier(tmp_path).results
    done = Verification(image="x", sha256="", accelerator="kvm", seconds_to_login=12.4, results=results)
    assert verification.summary(done) == "1 checks passed, 1 failed: swap-off, 1 not checkable, login after 12 s"
    many = CheckResult("sshd", "failed", tuple(f"problem {number}" for number in range(7)))
    shown = verification.failure("x", replace(done, results=(many,))).message
    assert shown.endswith("sshd: problem 4; and 2 more")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["small"], "the console needs a terminal"),
        (["--ssh", "small", "--", "true"], "--ssh and a COMMAND are mutually exclusive"),
        (["--no-login", "small", "true"], "--no-login and a COMMAND are mutually exclusive"),
        (["--ssh", "--no-login", "small"], "--ssh and --no-login are mutually exclusive"),
        (["nothing", "--", "true"], "nothing is neither a file nor a folder"),
        (["--firmware", "x", "small", "true"], "--firmware"),
        (["--hostname", "bad_name", "small", "true"], "--hostname: expected a host name"),
        (["--user-data", "cloud.img", "small", "true"], "--user-data cloud.img: cloud-init would ignore it"),
        (["--cloud-init", "small", "true"], "small has no cloud-init"),
        ([], "IMAGE"),
    ],
)
def test_usage_errors_of_run(output: Path, words: list[str], wanted: str) -> None:
    assert wanted in problem(run, *(["--output", str(output), *words] if words else words))


def test_options_of_a_command_are_its_own(output: Path) -> None:
    # --ssh belongs to the command, so that this is no usage error about --ssh.
    assert "nothing is neither" in problem(run, "--output", str(output), "nothing", "cat", "--ssh")


def test_checks_are_listed() -> None:
    lines = invoked(checks, "list").output.splitlines()
    assert [line.split()[0] for line in lines] == list(registry.names())
    found = [json.loads(line) for line in invoked(checks, "list", "--json").output.splitlines()]
    assert [one["name"] for one in found] == list(registry.names())
    assert all(len(one["version"]) == 12 and one["summary"] for one in found)


def test_a_check_is_shown() -> None:
    shown = invoked(checks, "show", "time-to-login").output
    assert shown.startswith("time-to-login\n\n")
    assert "seconds that the start may take (default 120)" in shown
    assert "Parameters: none" in invoked(checks, "show", "swap-off").output
    assert "there is no check 'nothing'" in problem(checks, "show", "nothing")


def test_the_commands_are_there() -> None:
    assert {"verify", "run", "checks"} <= set(cli.commands)


# The console on a terminal.


class FakePort:
    """A serial port: gives what it was made with, and records what is typed."""

    def __init__(self, *data: bytes, ends: bool = False) -> None:
        self.data = list(data)
        self.ends = ends
        self.typed = b""
        self.ended = False

    def read(self) -> bytes:
        if not self.data:
            self.ended = self.ends
            return b""
        return self.data.pop(0)

    def write(self, data: bytes) -> None:
        self.typed += data


@pytest.fixture
def terminal() -> Iterator[tuple[int, Any]]:
    """The two ends of a terminal: the user's descriptor, and the program's file."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r+b", buffering=0) as file:
        yield ours, file
    os.close(ours)


def attached(port: FakePort, file: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    # Here and not in the fixture, since pytest replaces standard output before each test.
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdin", file)
        patched.setattr("sys.stdout", file)
        return console_module.attached(port)  # type: ignore[arg-type]


def modes(descriptor: int) -> Any:
    return termios.tcgetattr(descriptor)[:4]


def test_the_console_until_the_user_leaves_it(terminal: tuple[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    user, file = terminal
    before = modes(user)
    port = FakePort(b"login: ", b"\xff\x1b[1m")
    original, turns = port.read, iter(range(50))

    def read() -> bytes:
        turn = next(turns)
        if turn in (1, 4):
            os.write(user, b"root\r" if turn == 1 else b"x\x1d")
        return original()

    monkeypatch.setattr(port, "read", read)
    assert attached(port, file, monkeypatch)
    assert port.typed == b"root\r"
    assert os.read(user, 1000) == b"login: \xff\x1b[1m"
    assert modes(user) == before


def test_the_console_until_the_machine_ends(terminal: tuple[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    user, file = terminal
    before = modes(user)
    assert not attached(FakePort(b"bye", ends=True), file, monkeypatch)
    assert os.read(user, 100) == b"bye"
    assert modes(user) == before
