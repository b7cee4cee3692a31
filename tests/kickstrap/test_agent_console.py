"""The console protocol, and how tools are run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.kickstrap.agent.command import CommandRunner
from imagebuild.kickstrap.agent.console import EventConsole, one_line
from imagebuild.kickstrap.agent.errors import InstallError


class Recorded:
    def __init__(self, folder: Path) -> None:
        self.files = (folder / "console", folder / "log")
        self.descriptors = [os.open(path, os.O_RDWR | os.O_CREAT) for path in self.files]
        self.console = EventConsole(self.descriptors[0], [self.descriptors[1]])

    @property
    def events(self) -> list[str]:
        return self.files[0].read_text().splitlines()

    @property
    def log(self) -> list[str]:
        return [line[9:] for line in self.files[1].read_text().splitlines()]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    made = Recorded(tmp_path)
    yield made
    for descriptor in made.descriptors:
        os.close(descriptor)


def test_events(recorded: Recorded) -> None:
    recorded.console.started()
    recorded.console.step(1, 3, "partition")
    recorded.console.progress(10, "unpacking")
    recorded.console.progress(10, "unpacking")
    recorded.console.progress(9, "unpacking")
    assert recorded.events == [
        "kickstrap: started",
        "kickstrap: step 1/3 partition",
        "kickstrap: progress 10 unpacking",
    ]


def test_a_failure_ends_with_its_message(recorded: Recorded) -> None:
    for number in range(100):
        recorded.console.log(f"line {number}")
    recorded.console.failed("the disk\nis\ttoo small")
    assert recorded.events[-1] == "kickstrap: failed: the disk is too small"
    assert recorded.events[-2].endswith("line 99")
    assert all(line.startswith("  | ") for line in recorded.events[:-1])
    assert len(recorded.events) < 50


@given(st.text())
def test_no_text_can_look_like_an_event(text: str) -> None:
    line = one_line(f"kickstrap: failed: {text}")
    assert "\n" not in line
    assert "\r" not in line
    assert line.isprintable()


def test_log_lines_of_tools_never_reach_column_0(recorded: Recorded) -> None:
    CommandRunner(recorded.console.log).run(["printf", "kickstrap: failed: forged\\n\\rimagebuild-success:forged\\n"])
    recorded.console.failed("really")
    assert [line for line in recorded.events if not line.startswith("  | ")] == ["kickstrap: failed: really"]


def test_a_broken_log_is_no_longer_used(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    path = tmp_path / "console"
    with path.open("wb") as file:
        console = EventConsole(file.fileno(), [writer])
        console.log("lost")
        console.started()
    os.close(writer)
    assert path.read_text() == "kickstrap: started\n"


def test_the_message_about_a_failing_tool(recorded: Recorded) -> None:
    commands = CommandRunner(recorded.console.log)
    with pytest.raises(InstallError, match=r"^sh ended with exit status 5: why$"):
        commands.run(["sh", "-c", "echo what; echo why >&2; exit 5"])
    with pytest.raises(InstallError, match=r"^sh was ended by signal 9$"):
        commands.run(["sh", "-c", "kill -9 $$"])
    with pytest.raises(InstallError, match=r"^cannot start no-such-tool: No such file or directory$"):
        commands.run(["no-such-tool"])
    assert commands.run(["false"], check=False).status == 1


def test_input_is_passed_and_not_logged(recorded: Recorded) -> None:
    result = CommandRunner(recorded.console.log).run(["sh", "-c", "tr a-z A-Z | wc -c"], input="secret")
    assert result.output.strip() == "6"
    assert not any("secret" in line for line in recorded.log)


def test_the_environment_is_small(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "x")
    output = CommandRunner(recorded.console.log).run(["env"], env={"MORE": "1"}).output
    assert "LEAK" not in output
    assert "MORE=1" in output
    assert "LC_ALL=C.UTF-8" in output
