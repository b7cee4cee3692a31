"""What garbage collection removes, and what it must not remove."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from imagebuild.build.engine import clear_dead_runs
from imagebuild.build.gc import collect, versions
from imagebuild.cli.main import cli
from imagebuild.host import process as programs
from imagebuild.store.artifact import ArtifactFolder
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store

DAY = date(2026, 1, 31)
SIZE = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make(store: Store, name: str, *, kind: str = "installed", label: str = "web", used: float = 0) -> None:
    with store.make(kind, name, within=store.root, label=label, inputs={}) as folder:
        (folder / "disk.raw").write_bytes(os.urandom(SIZE))
    found = store.find(kind, name)
    assert found
    os.utime(found / "entry.json", (used, used))


def left(store: Store) -> set[str]:
    return {entry.fingerprint for entry in store.entries()}


def test_the_most_recently_used_of_each_recipe_and_kind_remain(store: Store) -> None:
    for number in range(4):
        make(store, f"web-{number}", used=100 + number)
        make(store, f"db-{number}", label="db", used=50 - number)
    make(store, "payload", kind="payload", used=1)
    dry = collect(store, keep=2, dry_run=True)
    assert len(left(store)) == 9
    done = collect(store, keep=2)
    assert done == dry
    assert left(store) == {"web-2", "web-3", "db-0", "db-1", "payload"}
    assert [one.size >= SIZE for one in done.removed] == [True] * 4
    assert SIZE * 5 <= done.kept <= SIZE * 6
    assert collect(store, keep=2).removed == ()


def test_the_size_is_limited_by_removing_the_least_recently_used(store: Store) -> None:
    for number in range(4):
        make(store, f"web-{number}", label=f"web-{number}", used=100 - number)
    collect(store, keep=2, max_size=SIZE * 5 // 2)
    assert left(store) == {"web-0", "web-1"}


def test_what_two_entries_have_is_counted_once(store: Store) -> None:
    make(store, "web-0", used=1)
    make(store, "web-1", kind="layer", used=2)
    make(store, "db-0", label="db", used=3)
    one, two = store.find("installed", "web-0"), store.find("layer", "web-1")
    assert one
    assert two
    (two / "disk.raw").unlink()
    (two / "disk.raw").hardlink_to(one / "disk.raw")
    assert 2 * SIZE <= sum(entry.size for entry in store.entries()) < 2 * SIZE + 100_000
    # removing the first one alone frees nothing
    assert collect(store, keep=2, max_size=SIZE * 3 // 2).kept < SIZE * 3 // 2
    assert left(store) == {"db-0"}


def test_what_a_build_uses_is_kept(store: Store) -> None:
    for number in range(3):
        make(store, f"web-{number}", used=100 + number)
    with ExitStack() as held:
        assert store.take("installed", "web-0", held)  # which makes it the most recently used one
        assert collect(store, keep=1, max_size=0).kept >= SIZE
        assert left(store) == {"web-0"}
    collect(store, keep=1, max_size=0)
    assert left(store) == set()


def test_downloads_are_removed_only_while_no_build_runs(store: Store) -> None:
    source = store.root / "sources" / "sha256-abc"
    source.parent.mkdir()
    source.write_bytes(bytes(SIZE))
    with store.runs.workdir(new_run("web"), shared=False):
        collect(store, keep=1, max_size=0)
        assert source.exists()
    collect(store, keep=1)
    assert source.exists()
    collect(store, keep=1, max_size=0)
    assert not source.exists()


def test_damaged_entries_are_removed(store: Store) -> None:
    make(store, "web-0")
    found = store.find("installed", "web-0")
    assert found
    (found / "disk.raw").write_bytes(b"")
    with ExitStack() as held:
        store.take("installed", "web-0", held)
    assert list(store.entries()) == []
    (removed,) = collect(store, keep=1).removed
    assert removed.what.startswith("damaged installed-web-0")
    assert store.damaged() == []


DYING = """
import os, signal, subprocess, sys, tempfile
from pathlib import Path
from imagebuild.host.process import marked, started
from imagebuild.store.store import Store

with Store(Path(sys.argv[1])).runs.workdir(sys.argv[3], shared=False) as work, marked(sys.argv[3]):
    with started(["sh", "-c", "sleep 600 & sleep 600"]), Store(Path(sys.argv[1])).locked("some", print):
        (work / "elsewhere").write_text(sys.argv[2])
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_arrived_incompletely_is_removed_unless_it_is_still_arriving(store: Store) -> None:
    for name in ("pull-installed-1", "pull-installed-2"):
        (store.incoming(name) / "disk.raw").write_bytes(os.urandom(SIZE))
    with store.locked("pull-installed-2", lambda pid: None):
        assert [one.what for one in collect(store, keep=1, dry_run=True).removed] == ["incomplete pull-installed-1"]
        collect(store, keep=1)
        assert [path.name for path in store.root.glob("incoming/*")] == ["pull-installed-2"]
    collect(store, keep=1)
    assert not list(store.root.glob("incoming/*"))


def test_programs_files_and_locks_of_a_killed_build_are_removed(store: Store, tmp_path: Path) -> None:
    elsewhere = tmp_path / "libguestfs123456"
    dead = new_run("web")  # programs are found by it on the whole host, where other tests may be running
    (elsewhere / "canary").mkdir(parents=True)
    with (
        store.runs.workdir("web-2", shared=False) as living,
        programs.marked("web-2"),
        programs.started(["sleep", "600"]) as other,
    ):
        subprocess.run([sys.executable, "-c", DYING, store.root, elsewhere, dead], check=False)
        assert store.runs.dead() == [dead]
        for _ in range(50):
            if len(marked(dead)) == 3:
                break
            time.sleep(0.1)  # its shell may not have started all when it died
        assert len(marked(dead)) == 3
        assert [one.what for one in collect(store, keep=1, dry_run=True).removed] == [f"dead build {dead}"]
        clear_dead_runs(store)
        assert store.runs.dead() == []
        assert [pid for pid in marked(dead) if running(pid)] == []
        assert other.poll() is None
        assert living.exists()
    assert (elsewhere / "canary").exists(), "a folder elsewhere is not removed because a file names it"
    assert list((store.root / "locks").iterdir()) == []
    assert not (store.root / "work" / "web-1").exists()


@pytest.mark.seconds
def test_a_program_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_GRACE", 0.5)
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    with programs.marked("stubborn-1"), programs.started(["sh", "-c", script]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        programs.end_marked("stubborn-1")
        assert process.wait(10) == -signal.SIGKILL


def test_a_program_that_handles_sigterm_may_clean_up(tmp_path: Path) -> None:
    script = (
        f"trap 'sleep 0.3; rm {tmp_path}/canary; exit 0' TERM; touch {tmp_path}/canary; echo ready; while "
        ":; do sleep 0.1; done"
    )
    with programs.marked("tidy-1"), programs.started(["sh", "-c", script]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        programs.end_marked("tidy-1")
        assert process.wait(10) == 0
    assert list(tmp_path.iterdir()) == []


def marked(run: str) -> list[int]:
    wanted = f"{programs.MARK}={run}".encode()
    return [pid for pid, variables in programs._environments() if wanted in variables]


def running(pid: int) -> bool:
    """Whether a process runs; a killed one remains a zombie until its new parent reaps it."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.1)
    return True


def image(output: ArtifactFolder) -> None:
    with output.new(DAY) as artifact:
        (artifact.folder / "web.qcow2").write_text("image")
        told = {"image": {"file": "web.qcow2", "size": 5, "sha256": "0"}}
        (artifact.folder / "manifest.json").write_text(json.dumps(told))


def test_old_versions_are_removed_but_never_the_latest(store: Store, tmp_path: Path) -> None:
    output = ArtifactFolder(tmp_path / "out", "web")
    for _ in range(11):
        image(output)
    (output.folder / ".2026-01-31.12.0123abcd").mkdir()
    (output.folder / ".latest.0123abcd").symlink_to("2026-01-31.1")
    for foreign in (".git", ".2026-01-31.12", "notes"):
        (output.folder / foreign).mkdir()
    (tmp_path / "out" / "somebody" / ".git").mkdir(parents=True)
    (output.folder / "latest").unlink()
    (output.folder / "latest").symlink_to("2026-01-31.3")  # changed by hand
    dry = versions(tmp_path / "out", store, keep=2, dry_run=True)
    assert versions(tmp_path / "out", store, keep=2) == dry
    assert {path.name for path in output.folder.iterdir()} == {
        "2026-01-31.3",
        "2026-01-31.10",
        "2026-01-31.11",
        "latest",
        "notes",
        ".git",
        ".2026-01-31.12",
    }
    assert (tmp_path / "out" / "somebody" / ".git").exists()


def test_the_command(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        make(store, f"web-{number}", used=100 + number)
    image(ArtifactFolder(tmp_path / "out", "web"))
    words = ["gc", "--store", str(store.root), "--output", str(tmp_path / "out"), "--keep", "1"]
    dry = CliRunner().invoke(cli, [*words, "--dry-run"])
    assert dry.exit_code == 0
    assert "installed web-0 of web" in dry.output
    assert "would be freed" in dry.output
    done = CliRunner().invoke(cli, [*words, "--max-size", "1GiB", "--json"])
    told = json.loads(done.output)
    assert (len(told["removed"]), told["dry_run"]) == (2, False)
    assert told["freed"] >= 2 * SIZE
    wrong = CliRunner().invoke(cli, [*words, "--max-size", "50G"])
    assert wrong.exit_code == 2
    assert "did you mean 50GiB?" in wrong.output
