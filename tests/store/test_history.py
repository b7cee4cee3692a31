"""The history: many writers, damage, and hosts that cannot write; the expected durations of steps."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.store import history as module
from imagebuild.store.history import Build, Damaged, History, StepRecord
from imagebuild.store.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "the store")  # with a space: the path is part of a URI


@pytest.fixture
def history(store: Store) -> History:
    return History(store)


def build(at: int, *, recipe: str = "web", accelerator: str | None = "tcg", **seconds: float | None) -> Build:
    """A build that began ``at`` seconds after noon; a step without seconds did not run."""
    steps = tuple(
        StepRecord(name, name, "f" * 64, "open" if took is None else "run", took) for name, took in seconds.items()
    )
    began = f"2026-01-31T12:00:{at:02}.000+00:00"
    return Build(run=f"{recipe}-{at}", recipe=recipe, began=began, accelerator=accelerator, steps=steps)


def runs(history: History, *recipes: str, limit: int | None = None) -> list[str]:
    return [one.run for one in history.builds(recipes, limit)]


def script(store: Store, body: str, *words: str) -> subprocess.Popen[str]:
    """Run code in another process, with ``history``."""
    start = (
        "import os, sys; from pathlib import Path; from imagebuild.store.store import Store\n"
        "from imagebuild.store.history import Build, History, StepRecord\n"
        f"store = Store(Path({str(store.root)!r})); history = History(store)\n"
    )
    argv = [sys.executable, "-c", start + body, *words]
    return subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_recorded_builds_are_read_newest_first(history: History) -> None:
    assert history.builds() == []
    assert not history.path.exists()
    first, second, other = build(1, install=60.5, convert=None), build(2), build(3, recipe="db")
    for one in (second, first, other):
        history.put(one)
    assert history.builds() == [other, second, first]
    assert runs(history, "web") == ["web-2", "web-1"]
    assert runs(history, "web", "db", limit=2) == ["db-3", "web-2"]
    assert runs(history, "no-such") == []


def test_a_build_is_updated_when_it_has_ended(history: History) -> None:
    history.put(build(1, install=None, convert=None))
    again = build(1, install=3.0)
    done = Build(**{**vars(again), "ended": "2026-01-31T12:01:01.500+00:00", "outcome": "built", "size": 1 << 40})
    history.put(done)
    assert history.builds() == [done]
    assert done.seconds == 60.5


@pytest.mark.seconds
def test_several_processes_create_it_and_write_concurrently(store: Store, history: History) -> None:
    body = (
        "for at in range(25):\n"
        "    history.put(Build(run=f'{sys.argv[1]}-{at}', recipe=sys.argv[1], began=f'2026-01-31T12:00:{at:02}',\n"
        "                steps=(StepRecord('install', 'installed', 'f', 'run', 1.0),)))\n"
        "    assert history.builds([sys.argv[1]], 1)[0].run == f'{sys.argv[1]}-{at}'\n"
    )
    writers = [script(store, body, name) for name in ("a", "b", "c", "d")]
    for one in writers:
        ended(one)
    found = history.builds()
    assert len({one.run for one in found}) == len(found) == 100
    assert {len(one.steps) for one in found} == {1}
    assert list(store.root.glob("history*")) == [history.path]


def test_a_process_that_dies_while_writing_leaves_neither_half_a_build_nor_a_lock(
    store: Store, history: History
) -> None:
    history.put(build(1, install=1.0))
    body = (
        "database = history._open(); database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('BEGIN IMMEDIATE'); database.execute('DELETE FROM builds')\n"
        "for at in range(2000): database.execute('INSERT INTO builds (run, recipe, began) VALUES (?, ?, ?)', "
        "(f'x{at}', 'x' * 99, 'y'))\n"
        "print(Path(f'{history.path}-journal').stat().st_size, flush=True); os.kill(os.getpid(), 9)\n"
    )
    process = script(store, body)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert int(out) > 0
    assert runs(history) == ["web-1"]
    history.put(build(2))
    assert runs(history) == ["web-2", "web-1"]


def spoil_header(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 100)


def spoil_pages(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("spoil", [spoil_header, spoil_pages, cut])
def test_a_damaged_history_is_renamed_and_a_new_one_started(
    history: History, caplog: pytest.LogCaptureFixture, spoil: object
) -> None:
    history.put(build(1, install=1.0))
    assert callable(spoil)
    spoil(history.path)
    damaged = history.path.read_bytes()
    journal = Path(f"{history.path}-journal")
    journal.write_bytes(b"left over")
    history.put(build(2))
    assert runs(history) == ["web-2"]
    (aside,) = history.path.parent.glob("history.sqlite.*.damaged")
    assert aside.read_bytes() == damaged
    assert not journal.exists()
    assert f"was renamed to {aside}" in caplog.text


def test_damage_is_reported_when_reading(history: History, caplog: pytest.LogCaptureFixture) -> None:
    spoil_header(history.path)
    with pytest.raises(Damaged, match=r"was renamed to .*damaged$"):
        history.builds()
    assert history.builds() == []
    spoil_header(history.path)
    assert history.expected("web", ["install"]) == {}
    assert "damaged" in caplog.text


def test_two_processes_that_find_the_damage_rename_it_once(history: History) -> None:
    spoil_header(history.path)
    before = module._identity(history.path)
    with pytest.raises(Damaged):
        history.builds()
    history.put(build(1))
    assert history._set_aside(before) == ""
    assert runs(history) == ["web-1"]


@pytest.fixture
def read_only() -> Iterator[Store]:
    """A read-only store, with one build in its history."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        store = Store(folder / "store")
        History(store).put(build(1, install=30.0))
        store.root.chmod(0o555)
        (store.root / "history.sqlite").chmod(0o444)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # nothing is read-only for root
        yield store
        if root:
            os.seteuid(0)
        store.root.chmod(0o755)


def test_a_read_only_store(read_only: Store, caplog: pytest.LogCaptureFixture) -> None:
    history = History(read_only)
    assert runs(history) == ["web-1"]
    assert history.expected("web", ["install"]) == {"install": 30.0}
    assert not caplog.text
    history.put(build(2))
    assert "cannot record web-2 in the history" in caplog.text
    assert "readonly" in caplog.text
    assert runs(history) == ["web-1"]


def test_a_damaged_history_in_a_read_only_store(read_only: Store, caplog: pytest.LogCaptureFixture) -> None:
    history = History(read_only)
    mode = os.geteuid()
    os.seteuid(0) if os.getuid() == 0 else history.path.chmod(0o644)
    spoil_header(history.path)
    os.seteuid(mode)
    history.put(build(2))
    assert "cannot record web-2 in the history" in caplog.text
    with pytest.raises(HostError, match="cannot read the history"):
        history.builds()


def test_a_full_disk_loses_only_the_record(store: Store, history: History) -> None:
    history.put(build(1))
    body = (
        "import logging, resource; logging.getLogger('imagebuild').addHandler(logging.StreamHandler(sys.stdout))\n"
        "size = history.path.stat().st_size; resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        "steps = tuple(StepRecord('s' * 999, 'k', 'f', 'run', 1.0) for _ in range(99))\n"
        "history.put(Build(run='big', recipe='web', began='2026', steps=steps))\n"
    )
    assert "cannot record big in the history" in ended(script(store, body))
    history.put(build(2))
    assert runs(history) == ["web-2", "web-1"]


def test_a_folder_instead_of_the_file(history: History, caplog: pytest.LogCaptureFixture) -> None:
    history.path.mkdir()
    history.put(build(1))
    assert "cannot record web-1 in the history" in caplog.text
    with pytest.raises(HostError, match="cannot read the history"):
        history.builds()


def test_a_history_that_another_process_keeps_locked(
    history: History, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.put(build(1))
    monkeypatch.setattr(module, "_BUSY", 0.1)
    with closing(sqlite3.connect(history.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        history.put(build(2))
    assert "locked" in caplog.text
    assert runs(history) == ["web-1"]


def test_an_older_schema_is_migrated(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    history.put(build(1))
    added = "ALTER TABLE builds ADD COLUMN host TEXT DEFAULT 'here'"
    monkeypatch.setattr(module, "_MIGRATIONS", (*module._MIGRATIONS, (added,), ("CREATE TABLE more (x)",)))
    history.put(build(2))
    assert runs(history) == ["web-2", "web-1"]
    with closing(sqlite3.connect(history.path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)
        assert database.execute("SELECT host FROM builds").fetchall() == [("here",), ("here",)]


def test_a_migration_that_fails_changes_nothing(
    history: History, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    history.put(build(1))
    with monkeypatch.context() as patched:
        patched.setattr(module, "_MIGRATIONS", (*module._MIGRATIONS, ("CREATE TABLE more (x)", "no SQL")))
        history.put(build(2))
    assert "syntax error" in caplog.text
    history.put(build(3))
    assert runs(history) == ["web-3", "web-1"]
    with closing(sqlite3.connect(history.path)) as database:
        assert database.execute("SELECT name FROM sqlite_schema WHERE name = 'more'").fetchall() == []


def test_a_history_of_a_newer_imagebuild_is_left_alone(history: History, caplog: pytest.LogCaptureFixture) -> None:
    history.put(build(1))
    with closing(sqlite3.connect(history.path)) as database:
        database.execute("PRAGMA user_version = 99")
    before = history.path.read_bytes()
    history.put(build(2))
    assert "newer imagebuild" in caplog.text
    with pytest.raises(HostError, match="newer imagebuild"):
        history.builds()
    assert history.path.read_bytes() == before


def test_a_step_is_expected_to_take_the_median_of_its_last_five_runs(history: History) -> None:
    for at, seconds in enumerate([1000.0, 10.0, 20.0, 90.0, 30.0, 40.0]):
        history.put(build(at, install=seconds))
    history.put(build(7, install=None))
    assert history.expected("web", ["install", "convert"]) == {"install": 30.0}


def test_runs_of_other_recipes_are_used_only_if_a_recipe_has_none(history: History) -> None:
    history.put(build(1, recipe="db", install=100.0, convert=8.0))
    history.put(build(2, recipe="mail", install=300.0))
    history.put(build(0, install=5.0))
    assert history.expected("web", ["install", "convert"]) == {"install": 5.0, "convert": 8.0}
    assert history.expected("new", ["install"]) == {"install": 100.0}


def test_runs_with_another_accelerator_are_ignored(history: History) -> None:
    history.put(build(1, install=600.0))
    history.put(build(2, accelerator="kvm", install=60.0))
    history.put(build(3, recipe="db", accelerator="kvm", convert=9.0))
    assert history.expected("web", ["install", "convert"], "kvm") == {"install": 60.0, "convert": 9.0}
    assert history.expected("web", ["install", "convert"], "tcg") == {"install": 600.0}
    assert history.expected("web", ["install"]) == {"install": 330.0}


def test_a_build_without_an_end_is_running_until_its_process_is_dead(store: Store, history: History) -> None:
    process = script(
        store,
        "with store.runs.workdir('web-1', shared=False):\n"
        "    history.put(Build(run='web-1', recipe='web', began='2026-01-31T12:00:00'))\n"
        "    print('written', flush=True); sys.stdin.read()\n",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    (found,) = history.builds()
    assert history.state(found) == "running"
    assert store.runs.dead() == []
    process.kill()
    process.communicate()
    assert history.state(found) == "died"
    assert store.runs.dead() == ["web-1"]
    store.runs.bury("web-1")
    assert history.state(found) == "died"
    history.put(Build(**{**vars(found), "outcome": "built"}))  # it ended after it was read
    assert history.state(found) == "built"
