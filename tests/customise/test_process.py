"""The child process on a real disk: what it does, and that nothing is left of it, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from imagebuild import customise
from imagebuild.customise import registry
from imagebuild.errors import GuestError, HostError, ImageBuildError
from imagebuild.host.process import run as run_program
from imagebuild.recipe import host_inputs
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.document import Mark
from tests import ext4
from tests.customise.conftest import BOOT, LEFTOVER, ROOT

pytestmark = pytest.mark.guestfs
T = TypeVar("T")
OPERATIONS = ("trim-free-space", "clean-logs", "disable-selinux", "remove-udev-rules", "reset-machine-id")


@pytest.fixture
def disk(installed_disk: Path, tmp_path: Path) -> Path:
    """A copy to work on, with holes where the original has them."""
    copy = tmp_path / "copy.raw"
    run_program(["cp", "--sparse=always", installed_disk, copy], timeout=60)
    return copy


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def customised(disk: Path, workdir: Path, *names: str) -> customise.CustomiseResult:
    calls = [registry.call(name) for name in names]
    return customise.run(disk, "raw", calls, accel="tcg", workdir=workdir, network=False)


def test_changes_are_on_the_disk_and_in_the_journal(disk: Path, workdir: Path) -> None:
    assert LEFTOVER in disk.read_bytes()
    first = customised(disk, workdir, *OPERATIONS)
    journal = {one.name: {change.path: change.what for change in one.changes} for one in first.operations}
    trimmed = journal.pop("trim-free-space")
    assert journal == {
        "disable-selinux": {
            "/etc/selinux/config": "SELINUX=disabled",
            "/boot/loader/entries/one.conf": "kernel argument selinux=0",
        },
        "clean-logs": {"/var/log/syslog": "emptied"},
        "remove-udev-rules": {"/etc/udev/rules.d/70-persistent-net.rules": "removed"},
        "reset-machine-id": {"/etc/machine-id": "emptied"},
    }
    assert trimmed.keys() <= {"/", "/boot"}
    assert "/" in trimmed
    # not the blocks that are allocated: ext4 writes its inode tables and journal while it is mounted for the first time
    assert LEFTOVER not in disk.read_bytes()
    assert first.packages == {"vim": "2:9.1.1230-2"}
    assert ext4.content(disk, ROOT, "/etc/selinux/config") == b"SELINUX=disabled\n"
    assert ext4.content(disk, BOOT, "/loader/entries/one.conf").endswith(b" ro selinux=0\n")
    assert ext4.content(disk, ROOT, "/var/log/syslog") == ext4.content(disk, ROOT, "/etc/machine-id") == b""
    assert not ext4.exists(disk, ROOT, "/etc/udev/rules.d/70-persistent-net.rules")
    assert list(workdir.iterdir()) == []


def test_files_and_secrets_of_the_host(disk: Path, workdir: Path, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(5 << 20))
    place = Mark(str(tmp_path / "recipe.yaml"), 1, 1)

    def supplied(name: str, **params: object) -> customise.OperationCall:
        with_paths = host_inputs.with_paths(registry.call(name, params), lambda _: place)
        return host_inputs.with_secrets(with_paths, lambda _: place, RealSecrets({"PASSWORD": "open sesame"}))

    copy = supplied("copy-in", source="large", path="/srv/large")
    password = supplied("set-password", password={"env": "PASSWORD"})
    accounts = [
        registry.call("write-file", {"path": "/etc/passwd", "text": "root:x:0:0::/root:/bin/sh\n"}),
        registry.call("write-file", {"path": "/etc/shadow", "text": "root:!:::::::\n", "mode": 0o600}),
    ]
    customise.run(disk, "raw", [copy, *accounts, password], accel="tcg", workdir=workdir, network=False)
    assert ext4.content(disk, ROOT, "/srv/large") == (tmp_path / "large").read_bytes()
    crypted = ext4.content(disk, ROOT, "/etc/shadow").decode().split(":")[1]
    # In one word: the same salt produces the same hash.
    salt = crypted.split("$")[2]
    again = run_program(["openssl", "passwd", "-6", "-salt", salt, "-stdin"], timeout=30, input="open sesame\n")
    assert crypted == again.stdout.strip()

    (tmp_path / "large").write_bytes(b"other")
    with pytest.raises(HostError, match="large has changed since this work was planned"):
        customise.run(disk, "raw", [copy], accel="tcg", workdir=workdir, network=False)


def test_a_disk_without_guest(tmp_path: Path, workdir: Path) -> None:
    empty = tmp_path / "empty.raw"
    empty.write_bytes(bytes(1 << 20))
    with pytest.raises(GuestError, match="this disk is empty"):
        customised(empty, workdir, "clean-logs")
    assert list(workdir.iterdir()) == []


def test_no_time_left(disk: Path, workdir: Path) -> None:
    with pytest.raises(GuestError, match=r"customising copy.raw did not end within 3 s"):
        customise.run(disk, "raw", [registry.call("clean-logs")], accel="tcg", workdir=workdir, timeout=3)
    assert list(workdir.iterdir()) == []
    assert _users(disk) == []


class _Once:
    """Progress that does something when the work reaches ``detail``."""

    def __init__(self, detail: str, act: Callable[[], None]) -> None:
        self._detail = detail
        self._act = act

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        if detail == self._detail:
            self._detail = ""
            self._act()

    def summary(self, text: str) -> None:
        pass


@pytest.mark.parametrize(
    ("moment", "signum"), [("starting the appliance", signal.SIGTERM), ("trim-free-space", signal.SIGKILL)]
)
def test_the_child_is_killed(disk: Path, workdir: Path, moment: str, signum: signal.Signals) -> None:
    sockets: list[Path] = []

    def kill() -> None:
        sockets.append(_socket_folder(disk))
        # The child reports the folder soon after it exists.
        time.sleep(1)
        (child,) = [pid for pid in _children(os.getpid()) if "imagebuild.customise" in _command(pid)]
        os.kill(child, signum)

    # So many that it takes a minute.
    calls = [registry.call("trim-free-space")] * 100
    with pytest.raises(ImageBuildError):
        customise.run(disk, "raw", calls, accel="tcg", workdir=workdir, progress=_Once(moment, kill))
    assert sockets
    _eventually(lambda: _users(disk) == [])
    assert not sockets[0].exists()
    assert list(workdir.iterdir()) == []


def test_the_parent_is_killed(disk: Path, workdir: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from imagebuild import customise; from imagebuild.customise "
        "import registry;"
        "calls = [registry.call('trim-free-space')] * 100;"
        "customise.run(Path(sys.argv[1]), 'raw', calls, accel='tcg', workdir=Path(sys.argv[2]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(disk), str(workdir)])
    sockets = _socket_folder(disk)
    (child,) = _children(parent.pid)
    parent.kill()
    parent.wait()
    _eventually(lambda: _users(disk) == [])
    _eventually(lambda: "imagebuild.customise" not in _command(child))
    _eventually(lambda: not sockets.exists())


def test_what_libguestfs_prints_is_not_an_event(
    disk: Path, workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its debug output contains the console of the appliance: here it contains an event of each
    kind, instead of an appliance."""
    canary, program = tmp_path / "canary", tmp_path / "qemu"
    canary.mkdir()
    status = canary.stat()
    events = [
        {"event": "temporary", "path": str(canary)},
        {"event": "sockets", "path": str(canary), "device": status.st_dev, "inode": status.st_ino},
        {"event": "failed", "kind": "GuestError", "message": "the guest says so", "hint": None},
        {"event": "result", "result": {"operations": [], "packages": {}}},
    ]
    lines = "\n".join(map(json.dumps, events))
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *-kernel*) ;; *) exec /usr/bin/qemu-system-x86_64 "$@" ;; esac\n'
        f"cat <<'EOF'\n{lines}\nEOF\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("LIBGUESTFS_HV", str(program))
    monkeypatch.setenv("LIBGUESTFS_DEBUG", "1")
    caplog.set_level("DEBUG", "imagebuild")
    with pytest.raises(HostError, match="did not start"):
        customised(disk, workdir, "clean-logs")
    assert "the guest says so" in caplog.text, "it was printed"
    assert canary.is_dir()
    assert list(workdir.iterdir()) == []


def _socket_folder(disk: Path) -> Path:
    """Where the libguestfs process that has ``disk`` open keeps its sockets, once its QEMU runs."""

    def find() -> Path | None:
        for command in map(_command, _users(disk)):
            if found := re.search(r"path=([^ ,]+)/guestfsd\.sock", command):
                return Path(found[1])
        return None

    return _eventually(find)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _users(disk: Path) -> list[int]:
    """The processes that have the name of ``disk`` on their command line."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and str(disk) in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _eventually(look: Callable[[], T | None]) -> T:
    """The first true answer of ``look`` within half a minute."""
    for _ in range(300):
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("it never happened")


def test_an_appliance_that_is_stuck_is_ended_and_started_again(
    disk: Path, workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU stops soon after its first start, like one whose processors hang; the second one works."""
    pids, program = tmp_path / "pids", tmp_path / "qemu"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *-kernel*) ;; *) exec /usr/bin/qemu-system-x86_64 "$@" ;; esac\n'
        f"if ! test -e {pids}; then (sleep 5; kill -STOP $$) & fi\n"
        f"echo $$ >>{pids}\n"
        'exec /usr/bin/qemu-system-x86_64 "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("LIBGUESTFS_HV", str(program))
    messages: list[str] = []

    def work() -> customise.CustomiseResult:
        calls = [registry.call("reset-machine-id")]
        return customise.run(disk, "raw", calls, accel="tcg", workdir=workdir, network=False, stuck_after=12)

    result = customise.again_if_stuck(work, messages.append)
    assert messages == ["the libguestfs appliance has been idle for 12 s; starting again"]
    assert result.operations[0].status == "changed"
    first, second = pids.read_text().split()
    assert not Path("/proc", first).exists()
    assert not Path("/proc", second).exists()
