"""An ordinary user without user namespaces, without KVM and without a running libvirt: what works, and
what `doctor` says of the rest. Needs root, which becomes that user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOBODY = 65534
NAMELESS = 54321
NAMESPACE = "mmdebstrap as this user"
pytestmark = pytest.mark.seconds


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that every user can reach, with a home folder for each."""
    with tempfile.TemporaryDirectory(prefix="unprivileged-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for uid in (NOBODY, NAMELESS):
            (folder / str(uid)).mkdir()
            os.chown(folder / str(uid), uid, uid)
        yield folder


def processes(uid: int) -> set[str]:
    """The programs that run as ``uid``."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if path.stat().st_uid == uid:
                found.add((path / "comm").read_text().strip())
    return found


def imagebuild(home: Path, *words: str, uid: int = NOBODY, at: str | None = None) -> subprocess.CompletedProcess[str]:
    there = home / (str(uid) if at is None else at)
    env = {"PATH": "/usr/bin:/bin", "HOME": str(there), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, ROOT / "tests/without_namespaces.py", str(uid), sys.executable, "-m", "imagebuild", *words]
    cwd = there if there.exists() else home
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)


def doctor(home: Path, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The requirements and the abilities."""
    done = imagebuild(home, "doctor", "--json", **options)
    assert done.returncode == 3, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    requirements = {one["what"]: one for one in lines if one["event"] == "requirement"}
    return requirements, {one["what"]: one for one in lines if one["event"] == "ability"}


def test_doctor_says_what_fails_and_leaves_no_daemon(home: Path) -> None:
    requirements, abilities = doctor(home)
    namespace = requirements[NAMESPACE]
    assert namespace["found"] == "no further user namespace is allowed here (user.max_user_namespaces is 0)"
    assert "sysctl user.max_user_namespaces" in namespace["mend"]
    assert requirements["libvirt"]["level"] == "ok"
    assert abilities["recipes and projects"]["works"]
    assert (abilities["Debian images"]["works"], abilities["Debian images"]["missing"]) == (False, [NAMESPACE])
    assert abilities["images of the RHEL family and Fedora"]["works"]
    assert not {name for name in processes(NOBODY) if "virt" in name or "qemu" in name}
    shown = imagebuild(home, "doctor").stdout
    assert f"FAILS    Debian images: build, rebuild\n             because of: {NAMESPACE}\n" in shown


def test_what_can_work_works(home: Path) -> None:
    for words in (
        ("init", "p", "--name", "web"), ("list",), ("lint", "debian-13"), ("render", "debian-13"),
        ("plan", "debian-13"),
        ("operations", "list"), ("checks", "list"), ("history",), ("gc", "--dry-run"), ("schema",),
        ("hosts", "--to", "qemu:///system"),
    ):  # fmt: skip
        done = imagebuild(home, *words)
        assert (done.returncode, done.stderr) == (0, ""), words


def test_a_build_that_needs_a_namespace_says_so(home: Path) -> None:
    done = imagebuild(home, "build", "debian-13")
    assert done.returncode == 3
    assert "imagebuild: this user may not make user namespaces here, in which mmdebstrap works\n" in done.stderr


def test_a_user_without_a_name_and_without_a_home(home: Path) -> None:
    requirements, abilities = doctor(home, uid=NAMELESS, at="absent")
    assert requirements["libvirt"]["found"].startswith(f"user {NAMELESS} has no entry in /etc/passwd")
    assert requirements["store"]["found"].startswith("cannot make the store")
    assert abilities["plans and the store"]["missing"] == ["store"]
    assert imagebuild(home, "lint", "debian-13", uid=NAMELESS, at="absent").returncode == 0
    assert processes(NAMELESS) == set()
