"""Progress in a real terminal: at several widths, during a resize, and in terminals that can do less."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from screen import PATIENCE, Script, environment, on_screen
from test_publish_commands import Fleet

from imagebuild.cli.terminal import wraps_again

GOLDEN = Path(__file__).parent / "golden"
UEFI, BIOS = "debian-13-server-uefi", "debian-13-server-bios"
BEGIN = (
    f"step {UEFI} runtime", f"step {BIOS} install 754", "clock 12",
    f"say {UEFI} runtime downloading packages of trixie/main", f"done {UEFI} runtime 161 packages, 43 MiB",
    f"note {UEFI} kernel 6.12 is not signed", f"step {UEFI} install 821",
    f"at {UEFI} install 0.05 unpacking base-files 13.8",
    f"at {BIOS} install 0.45 unpacking linux-image-6.12.57+deb13-cloud-amd64", "clock 101",
)  # fmt: skip
ALIVE = (
    f"at {UEFI} install 0.25 unpacking perl-modules-5.40",
    f"at {BIOS} install 0.5 configuring openssh-server",
    "clock 3",
)
QUIET = (
    "clock 20", f"at {UEFI} install 0.3 configuring perl", "clock 11",
    f"wait {BIOS} install the installer; last line of its console: Setting up tzdata (2026a-0+deb13u1) ...", "clock 35",
)  # fmt: skip
END = (
    f"done {UEFI} install virt-install, kickstart, emulated; 312 packages, 1.2 GiB", f"fail {BIOS} install",
    f"step {UEFI} convert", "clock 61", f"done {UEFI} convert qcow2, 412 MiB",
)  # fmt: skip


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    made = Script(tmp_path)
    yield made
    made.close()


def picture(title: str, lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in (f"== {title}", *lines))


def has_names_and_times(lines: list[str]) -> None:
    """Each row of a step has the step's name and a time."""
    rows = [line for line in lines if re.search(r"uefi|bios|debia", line) and "kernel" not in line]
    assert rows
    for row in rows:
        assert re.search(r"\b(runtime|install|convert)\b", row), row
        assert re.search(r"\d:\d\d", row), row


@pytest.mark.seconds
@pytest.mark.parametrize("columns", [120, 80, 60, 40])
def test_two_builds_at_each_width(columns: int, script: Script, golden: Callable[[Path, str], None]) -> None:
    with on_screen(script.argv, columns) as screen:
        pictures = []
        for title, orders in (("begin", (*BEGIN, *ALIVE)), ("quiet", QUIET), ("end", END)):
            lines = script(screen, *orders)
            has_names_and_times(lines)
            assert max(map(len, lines)) <= columns
            pictures.append(picture(title, lines))
        script.give("end")
        assert screen.finish() == lines
    golden(GOLDEN / f"screen-{columns}.txt", "".join(pictures))


@pytest.mark.seconds
def test_a_resize_in_the_middle(script: Script, golden: Callable[[Path, str], None]) -> None:
    """In a terminal that cuts its lines when it becomes narrower, as pyte and xterm do."""
    pictures = []
    with on_screen(script.argv, 120) as screen:
        pictures.append(picture("120", script(screen, *BEGIN, *ALIVE)))
        for columns in (60, 40, 100):
            screen.resize(columns, 24)
            lines = script(screen, *ALIVE)
            has_names_and_times(lines[-2:])  # what was there before is as the terminal left it
            assert sum("install" in line for line in lines) == 2
            pictures.append(picture(str(columns), lines))
    golden(GOLDEN / "screen-resized.txt", "".join(pictures))


@pytest.mark.seconds
def test_a_quiet_step_leaves_one_line_however_long_it_is_quiet(script: Script) -> None:
    with on_screen(script.argv, 80) as screen:
        script(screen, "step web install", "say web install unpacking")
        for _ in range(40):
            lines = script(screen, "clock 30")
    assert lines == [
        "web  install     0:30  nothing new for 0:30: unpacking",
        "web  install    20:00  quiet 20:00: unpacking",
    ]


@pytest.mark.seconds
def test_more_steps_than_rows(script: Script) -> None:
    with on_screen(script.argv, 80, 6) as screen:
        lines = script(screen, *(f"step target-{at} publish" for at in range(9)))
    assert [line.split()[0] for line in lines] == ["target-0", "target-1", "target-2", "target-3", "…"]
    assert lines[-1] == "… and 5 more"


class Tmux:
    """A window of tmux, which runs a program; tmux breaks lines again when a window becomes narrower."""

    def __init__(self, folder: Path, columns: int, argv: list[str]) -> None:
        self._words = ["tmux", "-f", "/dev/null", "-S", str(folder / "socket")]
        self.run("new-session", "-d", "-x", str(columns), "-y", "24", *argv, env=environment({}))

    def run(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run([*self._words, *words], check=True, capture_output=True, timeout=30, env=env)
        return done.stdout.decode()

    def lines(self, *words: str) -> list[str]:
        return self.run("capture-pane", "-p", *words).rstrip("\n").split("\n")

    def until(self, good: Callable[[list[str]], bool]) -> list[str]:
        deadline = time.monotonic() + PATIENCE
        while not good(lines := self.lines()):
            assert time.monotonic() < deadline, "\n".join(["the screen:", *lines])
            time.sleep(0.05)
        return lines


@pytest.mark.seconds
def test_a_resize_where_lines_are_broken_again(script: Script, tmp_path: Path) -> None:
    """No row is left over on the screen, and nothing above the rows is erased.

    tmux 3.3 moves as many lines to its history as it breaks, although there is room below.
    """
    tmux = Tmux(tmp_path, 120, [*map(str, script.argv), "--ticking"])
    try:
        script.give("note web first", *BEGIN, *ALIVE)
        tmux.until(lambda lines: "━━━" in lines[-1] and "1:44" in lines[-1])
        for columns, time_shown in ((60, "1:47  unp"), (40, "1:50  unp"), (100, "1:53 of ~13:41  unp")):
            tmux.run("resize-window", "-x", str(columns))
            script.give(*ALIVE)
            lines = tmux.until(lambda lines, text=time_shown: text in lines[-1])  # type: ignore[misc]
            rows = [line for line in lines if "install" in line]
            assert rows == lines[-2:]
            has_names_and_times(rows)
            everything = tmux.lines("-J", "-S", "-50")
            assert everything[0].split() == ["web", "first"]
            assert "".join(everything).count("kernel 6.12 is not signed") == 1
    finally:
        tmux.run("kill-server")


def test_which_terminals_break_lines_again() -> None:
    assert wraps_again({"TERM": "xterm-256color"})
    assert wraps_again({"TERM": "screen-256color", "TMUX": "/tmp/tmux-0/default,1,0"})
    assert wraps_again({"TERM": "xterm-256color", "WT_SESSION": "1"})  # Windows Terminal
    assert not wraps_again({"TERM": "screen.xterm-256color"})
    assert not wraps_again({"TERM": "linux"})
    assert not wraps_again({"TERM": "xterm-256color", "XTERM_VERSION": "XTerm(379)"})


@pytest.mark.seconds
@pytest.mark.parametrize(
    "more",
    [{"TERM": "dumb"}, {"CI": "true"}, {"IMAGEBUILD_PROGRESS": "plain"}, {"TERM": ""}],
    ids=lambda more: "-".join(*more.items()),
)
def test_a_terminal_that_gets_plain_lines(more: dict[str, str], script: Script) -> None:
    with on_screen(script.argv, 100, **more) as screen:
        lines = script(screen, *BEGIN, *END)
    assert b"\x1b" not in screen.written
    has_names_and_times(lines)


@pytest.mark.seconds
def test_plain_lines_on_a_narrow_terminal(script: Script) -> None:
    with on_screen(script.argv, 40, TERM="dumb") as screen:
        lines = script(screen, "step web install", "clock 61", "done web install virt-install, kickstart, emulated")
    assert lines[0] == "web  install     1:01"
    assert " ".join(" ".join(lines[1:]).split()) == "virt-install, kickstart, emulated"


@pytest.mark.seconds
def test_no_colour(script: Script) -> None:
    colour = re.compile(rb"\x1b\[(?:3[0-7]|9[0-7]|38;[0-9;]*)m")
    with on_screen(script.argv, 80) as screen:
        script(screen, *BEGIN, *END)
    assert colour.search(screen.written)
    with on_screen(script.argv, 80, NO_COLOR="1") as screen:
        script(screen, *BEGIN, *END)
    assert not colour.search(screen.written)


@pytest.mark.seconds
def test_a_terminal_without_utf8(script: Script) -> None:
    more = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    with on_screen(script.argv, 60, **more) as screen:
        lines = script(screen, f"step {UEFI} install", f"at {UEFI} install 0.5 unpacking 日本語 of a very long name")
        assert "50%" in lines[-1]
        assert "..." in lines[-1]
        script(screen, f"done {UEFI} install 日本語 ü")
    assert rb"\u65e5" in screen.written
    assert b"\xfc" in screen.written


@pytest.mark.seconds
def test_a_terminal_that_does_not_know_its_size(script: Script) -> None:
    """As one that a container's runtime makes; COLUMNS would hide later sizes, and is not used."""
    with on_screen(script.argv, 0, 0, COLUMNS="20") as screen:
        script.give(*BEGIN, *ALIVE, "draw")
        screen.until(script._answered)
    assert b"configuring open" in screen.written
    assert b"0:" in screen.written


@pytest.mark.seconds
def test_rows_in_a_pipe_if_asked_for(script: Script) -> None:
    process = subprocess.Popen([*script.argv, "--progress", "rich"], stdout=subprocess.PIPE, env=environment({}))
    script.give(*BEGIN, *END, "end")
    written, _ = process.communicate(timeout=PATIENCE)
    assert b"\x1b[2K" in written
    process = subprocess.Popen(script.argv, stdout=subprocess.PIPE, env=environment({}))
    script.give(*BEGIN, *END, "end")
    written, _ = process.communicate(timeout=PATIENCE)
    assert b"\x1b" not in written
    has_names_and_times(written.decode().splitlines())


@pytest.mark.seconds
def test_no_progress(script: Script) -> None:
    process = subprocess.Popen([*script.argv, "--progress", "none"], stdout=subprocess.PIPE, env=environment({}))
    script.give(*BEGIN, *END, "end")
    assert process.communicate(timeout=PATIENCE)[0] == b""


@pytest.mark.seconds
@pytest.mark.parametrize("columns", [100, 40])
def test_publishing_to_several_targets_has_one_line_for_each(columns: int, tmp_path: Path) -> None:
    """The real command: while it runs a row for each target, then a line, then the table."""
    Fleet(tmp_path).artifact("1")
    names = [f"templates-of-data-centre-{at}" for at in range(3)]
    for name in names:
        (tmp_path / name).mkdir()
    words = [word for name in names for word in ("--to", f"./{name}")]
    argv = [sys.executable, "-m", "imagebuild", "publish", "small", *words]
    with on_screen(argv, columns, 60, cwd=tmp_path) as screen:
        lines = screen.finish()
    ended, _, table = "\n".join(lines).partition("small 2026-11-29.1, 3 MiB")
    for at in range(3):
        (row,) = [line for line in ended.splitlines() if re.search(rf"tre-{at}\b", line)]
        assert re.search(r" publish +\d:\d\d", row)
        (row,) = [line for line in table.splitlines() if re.search(rf"tre-{at}\b", line)]
        assert " switched" in row
    assert table.rstrip().endswith("3 switched")
