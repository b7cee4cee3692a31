"""The check testinfra: real runs of pytest-testinfra, in which this host's shell is the guest."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imagebuild.build import checks, verdict
from imagebuild.errors import GuestError, RecipeError
from imagebuild.store.artifact import Artifact
from imagebuild.verify import guest_socket, registry
from imagebuild.verify.check import CheckCall, CheckResult, NotCheckable, NothingToCheck, Printed
from imagebuild.verify.judging import acted
from imagebuild.verify.subjects import _checks
from imagebuild.verify.verification import Verification, versions
from tests.recipe.recipes import recipe
from tests.verify.shell_guest import ShellGuest


@pytest.fixture
def guest(tmp_path: Path) -> Any:
    return ShellGuest(tmp_path)


def problems(guest: Any, text: str = "", **params: Any) -> list[str]:
    check = registry.get("testinfra")
    assert check.act is not None
    return list(
        check.act(guest, registry.call("testinfra", params if "file" in params else {"text": text, **params}).params)
    )


# Runs.

TESTS = r"""
import pytest

def test_passes(host):
    assert host.run("true").succeeded
    assert host.file("/etc").is_directory

def test_streams(host):
    done = host.run("printf '\\377\\000\\n'; printf 'x\\n\\n' >&2; exit 7")
    assert (done.rc, done.stdout_bytes, done.stderr_bytes) == (7, b"\xff\0\n", b"x\n\n")
    assert host.run("printf %s", "ü b'c").stdout == "ü b'c"

def test_fails(host):
    assert host.run("exit 3").rc == 0, "the \x1b[31mcommand\n\u202emust work"

@pytest.fixture
def broken(host):
    raise RuntimeError("no\nfixture")

def test_errs(broken):
    pass

@pytest.mark.parametrize("word", ["one", "two"])
def test_word(host, word):
    assert word == "one"

def test_skipped():
    pytest.skip("no")

def test_unencodable(host):
    host.run("echo \udcff")
"""


@pytest.mark.seconds
def test_each_failed_test_is_a_problem(guest: Any) -> None:
    fails, errs, word, odd = problems(guest, TESTS)
    assert fails.startswith(r"test_fails: AssertionError: the ")
    assert fails.isprintable()
    assert "must work assert 3 == 0 where 3 = CommandResult(" in fails
    assert errs == "test_errs: RuntimeError: no fixture"
    assert word.startswith("test_word[two]: AssertionError: assert 'two' == 'one'")
    assert odd.startswith("test_unencodable: UnicodeEncodeError: ")
    assert not list(guest.folder.iterdir())


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_x(host):\n    assert host.check_output('echo 1') == '1'\n", []),
        ("def nginx(host): pass\n", ["no tests were found: a test is a function whose name begins with test_"]),
        ("import os\n\ndef test_x(host:\n", ["tests: line 3: SyntaxError: '(' was never closed"]),
        ("\nimport nonsense\n", ["tests: line 2: ModuleNotFoundError: No module named 'nonsense'"]),
        ("def test_x(hostt): pass\n", ["test_x: fixture 'hostt' not found"]),
        ("import os\ndef test_x(host): os._exit(0)\n", ["pytest ended with exit status 0: "]),
    ],
    ids=["passes", "no tests", "syntax", "import", "fixture", "ends pytest"],
)
def test_what_pytest_says(guest: Any, text: str, said: list[str]) -> None:
    assert problems(guest, text) == said


@pytest.mark.seconds
def test_skipped_tests_have_not_passed(guest: Any) -> None:
    with pytest.raises(NothingToCheck, match="all tests were skipped"):
        problems(guest, "import pytest\ndef test_x():\n    pytest.skip('x')\n")


@pytest.mark.seconds
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("hangs", ["import time; time.sleep(60)", "host.run('exec sleep 60')"], ids=["host", "guest"])
def test_the_time_limit(guest: Any, hangs: str) -> None:
    begin = time.monotonic()
    text = f"def test_first():\n    assert False\ndef test_x(host):\n    {hangs}\n"
    assert problems(guest, text, limit=3) == ["test_first: assert False", "the tests did not end within 3 s"]
    assert time.monotonic() - begin < 30
    assert not list(guest.folder.iterdir()), "the command in the guest has ended, too"


@pytest.mark.seconds
def test_a_guest_that_does_not_answer(guest: Any) -> None:
    def run(_script: str, *, timeout: float) -> Printed:
        raise GuestError("the guest agent does not answer any more")

    guest.run = run
    call = registry.call("testinfra", {"text": "def test_x(host):\n    host.run('true')\n"})
    (found,) = acted([call], "running", guest)
    assert found.status == "failed"
    assert found.problems == ("test_x: RuntimeError: the guest agent does not answer any more",)


@pytest.mark.seconds
def test_nothing_of_the_users_pytest_matters(guest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "of the user"
    folder.mkdir()
    (folder / "conftest.py").write_text("raise SystemExit(9)\n")
    (folder / "json.py").write_text("raise SystemExit(9)\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    (folder / "web-tests.py").write_text("def test_x(host, tmp_path):\n    assert host.run('false').rc == 1\n")
    before = sorted(folder.iterdir())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--nonsense")
    monkeypatch.setenv("PYTEST_PLUGINS", "nonsense")
    monkeypatch.setenv("TMPDIR", str(folder))
    assert problems(guest, file="web-tests.py") == []
    assert sorted(folder.iterdir()) == before


def test_a_file_that_is_missing(guest: Any, tmp_path: Path) -> None:
    with pytest.raises(NotCheckable, match="could not be read"):
        problems(guest, file=str(tmp_path / "missing.py"))


def test_without_testinfra(guest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "testinfra" else find(name))
    with pytest.raises(NotCheckable, match=r"pip install imagebuild\[testinfra\]"):
        problems(guest, "def test_x(): pass")
    assert guest.scripts == []


def test_an_invalid_request_is_refused(guest: Any, tmp_path: Path) -> None:
    far = time.monotonic() + 60
    for request in (b"", b"x", b"[]", b"{}", b'"command"', b"\xff", b"[" * 100_000):
        assert guest_socket._reply(guest, request, far) == {"error": "the request is invalid"}
    assert guest_socket._reply(guest, b'{"command": "true"}', 0) == {"error": "the time limit has passed"}
    assert guest.scripts == []
    assert guest_socket._reply(guest, json.dumps({"command": "exit 5"}).encode(), far)["status"] == 5


def test_the_socket_is_gone_with_its_block(guest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt), guest_socket.serving(guest, Path("socket"), limit=60):
        raise KeyboardInterrupt
    assert Path("socket").is_socket()
    with guest_socket.serving(guest, Path("other"), limit=60):
        pass


# The parameters, recipes and manifests.

SHA256 = "ab" * 32


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"text": "x", "file": "y"},
        {"text": "x", "sha256": SHA256},
        {"sha256": "x"},
        {"text": ""},
        {"text": "x", "limit": 0},
    ],
)
def test_tests_are_a_file_or_a_text(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        registry.call("testinfra", params)


def of(tmp_path: Path, more: str) -> list[CheckCall]:
    found = checks.of(recipe(f"verify:\n  checks:\n{more}", file=str(tmp_path / "small.yaml")))
    return [call for call in found if call.name == "testinfra"]


def test_a_manifest_has_only_the_digest(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text("def test_x(): pass\n")
    calls = of(tmp_path, "  - testinfra: {file: web.py, limit: 7}\n  - testinfra: {text: 'import os'}\n")
    assert [(call.params.text, call.params.limit) for call in calls] == [  # type: ignore[attr-defined]
        ("def test_x(): pass\n", 7),
        ("import os", 300),
    ]
    first, second = checks.recorded(calls)
    assert first == {
        "testinfra": {"sha256": "80522fb685ab0a2e18ae81fb263f211f8fd39d29b237e0823b8a1d888eab3a16", "limit": 7}
    }
    assert second["testinfra"].keys() == {"sha256", "limit"}


def test_calls_of_a_manifest_run_nothing(guest: Any, tmp_path: Path) -> None:
    recorded = checks.recorded(of(tmp_path, "  - testinfra: {text: 'import os'}\n"))
    (call,) = _checks(recorded, tmp_path / "manifest.json")
    (found,) = acted([call], "running", guest)
    assert (found.status, found.reason) == (
        "not checkable",
        "its tests are not part of the artifact: name its recipe with --recipe",
    )
    assert checks.recorded([call]) == recorded
    assert guest.scripts == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""])
def test_a_file_of_a_recipe_that_cannot_be_used(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "web.py").write_bytes(content)
    with pytest.raises(RecipeError) as refused:
        of(tmp_path, "  - script: {text: 'true'}\n  - testinfra:\n      file: web.py\n")
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"{tmp_path}/small.yaml:7: verify.checks.testinfra.file: {tmp_path}/web.py ")


def test_the_verdict_knows_the_tests(tmp_path: Path) -> None:
    (tmp_path / "small.qcow2").write_bytes(b"image")
    (tmp_path / "manifest.json").write_text('{"image": {"file": "small.qcow2", "size": 5}}')
    artifact = Artifact(tmp_path, "small", "2026-11-29.1")
    calls = [registry.call("swap-off"), registry.call("testinfra", {"text": "def test_x(): pass"})]

    def put(status: Any) -> None:
        results = tuple(
            CheckResult(name, status if name == "testinfra" else "passed", version=version)
            for name, version in versions(calls).items()
        )
        verdict.put_verdict(
            artifact,
            Verification(image="small", sha256="", accelerator="kvm", seconds_to_login=1.0, results=results),
        )

    verdict.put_checks(artifact, calls)
    put("passed")
    assert verdict.is_verified(artifact, calls)
    for other in ({"text": "def test_y(): pass"}, {"text": "def test_x(): pass", "limit": 5}):
        assert not verdict.is_verified(artifact, [calls[0], registry.call("testinfra", other)])
    # As after a verification of the artifact alone, which does not have the tests.
    put("not checkable")
    assert not verdict.is_verified(artifact, calls)
