"""Shared by all tests: ``--regenerate``, which rewrites golden files, and a quick hypothesis
profile.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_server import FaultyServer, serving
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

END_TO_END = "tests/e2e/"
_LONGEST = (
    "tests/operations/test_operations.py",
    "tests/customise/test_scrubbing_encrypted.py",
    "tests/customise/test_renewing_volumes.py",
    "tests/operations/test_families.py",
    "tests/guest/test_unused.py",
    "tests/kickstrap/test_runtime_boot.py",
    "tests/customise/test_relabelling.py",
    "tests/customise/test_scrubbing_ends_early.py",
    "tests/customise/test_process.py",
    "tests/customise/test_in_a_real_root.py",
)
"""Files with tests that start machines, the longest first."""

os.environ["IMAGEBUILD_OFFLINE"] = "1"
"""`lint` does not ask a mirror, except in tests of that."""

settings.register_profile(
    "quick", max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.register_profile("thorough", parent=settings.get_profile("quick"), max_examples=2000)
settings.load_profile("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="rewrite golden files instead of comparing them")
    parser.addoption(
        "--none-will-do", action="store_true", help="succeed if there are no tests to run, because another run has them"
    )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """`make test` runs pytest twice, and all tests selected with -k may be in one of the runs."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.getoption("--none-will-do"):
        session.exitstatus = pytest.ExitCode.OK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the most significant test first, an image that is built and boots; then the files that
    take longest, so that both processes end at about the same time.
    """
    items.sort(key=lambda item: _turn(item.nodeid.partition("::")[0]))


def _turn(file: str) -> int:
    if file == f"{END_TO_END}test_build.py":
        return -2
    if file.startswith(END_TO_END):
        return -1
    return _LONGEST.index(file) if file in _LONGEST else len(_LONGEST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """With ``--dist loadfile``, keep the tests of one file together, and all end-to-end tests.

    End-to-end tests share a store and a libvirt daemon.
    """
    return _BySharing(config, log) if config.getoption("dist") == "loadfile" else None


class _BySharing(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return END_TO_END if nodeid.startswith(END_TO_END) else nodeid.partition("::")[0]


def pytest_collection_finish() -> None:
    """Exempt imported modules from garbage collection; they stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a golden file, or write the file when run with ``--regenerate``."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--regenerate"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing; run pytest --regenerate and check what it writes"
        assert text == path.read_text(encoding="utf-8"), "run pytest --regenerate if this change is intended"

    return compare


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As in a terminal, even if these tests run in a shell's background, which ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove this machine's proxy settings, which must not apply to the loopback interface."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server(no_proxy: None) -> Iterator[FaultyServer]:
    """A web server on the loopback interface."""
    with serving() as about:
        yield about


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key in the same file; NAME.crt is the
    certificate alone.
    """
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    with path.open("a") as both:
        both.write(Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def tls_server(certificate: Path, no_proxy: None) -> Iterator[FaultyServer]:
    """The same over TLS."""
    with serving(certificate) as about:
        yield about
