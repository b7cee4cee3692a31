"""Why a user cannot have user namespaces: what unshare(1) and newuidmap(1) print, as a reason and a hint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from imagebuild.errors import HostError
from imagebuild.host import user_namespace
from imagebuild.host.process import Completed


class Programs:
    """Answers for unshare(1): without a mapping of users, and with one."""

    def __init__(self, own: str = "", mapped: str = "") -> None:
        self.said = {False: own, True: mapped}

    def run(self, argv: list[str], **_: Any) -> Completed:
        text = self.said["--map-auto" in argv]
        return Completed(tuple(argv), 1 if text else 0, text, 0.0)


@pytest.fixture(autouse=True)
def granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host on which this user has a range."""
    path = tmp_path / "subuid"
    path.write_text(f"other:1:2\n{os.getuid()}:100000:65536\n")
    monkeypatch.setattr(user_namespace, "_SUBUID", path)
    monkeypatch.setattr(user_namespace.shutil, "which", lambda *_, **__: "/usr/bin/newuidmap")
    return path


def reason(monkeypatch: pytest.MonkeyPatch, programs: Programs) -> str:
    monkeypatch.setattr(user_namespace, "run", programs.run)
    with pytest.raises(HostError) as found:
        user_namespace.require()
    return f"{found.value.message} [{found.value.hint}]"


@pytest.mark.parametrize(
    ("programs", "message", "hint"),
    [
        (Programs("unshare: unshare failed: No space left on device"), "user.max_user_namespaces is", "sysctl"),
        (Programs("unshare: unshare failed: Operation not permitted"), "Operation not permitted", "seccomp profile"),
        (Programs("", "newuidmap: write to uid_map failed: Operation not permitted"), "newuidmap", "new privileges"),
    ],
)
def test_reasons(monkeypatch: pytest.MonkeyPatch, programs: Programs, message: str, hint: str) -> None:
    said = reason(monkeypatch, programs)
    assert message in said
    assert hint in said.partition(" [")[2]


def test_a_user_without_a_range(monkeypatch: pytest.MonkeyPatch, granted: Path) -> None:
    granted.write_text("")
    assert "usermod --add-subuids" in reason(monkeypatch, Programs())
    granted.unlink()
    assert "has no range in" in reason(monkeypatch, Programs())


def test_newuidmap_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_namespace.shutil, "which", lambda *_, **__: None)
    assert "newuidmap is not installed" in reason(monkeypatch, Programs())


def test_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    old = "unshare: unrecognized option '--map-auto'"
    for programs in (Programs(), Programs("", old)):
        monkeypatch.setattr(user_namespace, "run", programs.run)
        user_namespace.require()
