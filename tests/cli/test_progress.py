"""Progress in logs: sections of CI systems, what is said while nothing moves, and the end of a build."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from screen import PATIENCE, Script, environment

from imagebuild.cli import build_end, lines, report
from imagebuild.cli.main import cli
from imagebuild.cli.sections import GitHubGroups, GitLabSections, Sections, SectionSyntax
from imagebuild.errors import HostError, Interrupted
from imagebuild.progress import SILENT_REPORTER

BAD = "n\x1b]0;t\x07\r\n::add-mask::x ##[add-mask]y"


class Clock:
    """Seconds that go on when told."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def reported(syntax: SectionSyntax, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Two builds at the same time: the second one's lines are kept until the first one has ended."""
    clock = Clock(1000.0)
    reporter = report.PlainReporter(report.echo, sections=Sections(syntax, clock), now=clock)
    with reporter.step("a", "install", 60) as first:
        clock.seconds += 2
        with reporter.step("b", "install") as second:
            for step in (first, second, first, second):
                clock.seconds += 16
                step.update(f"unpacking for {step.recipe}")
            reporter.note("b", "look at this")
            reporter.outside(lambda: report.echo("/srv/images/c.qcow2"))
            second.summary("done quickly")
        with reporter.step("b", "convert") as third:
            clock.seconds += 20
            third.update("compressing")
            first.summary("done")
            third.summary("ok")
        clock.seconds += 1
    return capsys.readouterr().out.removesuffix("\n").split("\n")


def test_sections_of_github_are_never_nested(capsys: pytest.CaptureFixture[str]) -> None:
    found = reported(GitHubGroups(), capsys)
    assert [re.sub(" {2,}", " ", line) for line in found] == [
        "::group::a install",
        "a install 0:18 of ~1:00 … unpacking for a",
        "a install 0:50 of ~1:00 … unpacking for a",
        "::endgroup::",
        "a install 1:27 done",
        "::group::b install",
        "b install 0:32 … unpacking for b",
        "b install 1:04 … unpacking for b",
        "::endgroup::",
        "b install 1:04 done quickly",
        "::group::b convert",
        "b convert 0:20 … compressing",
        "::endgroup::",
        "b convert 0:20 ok",
        "b look at this",
        "/srv/images/c.qcow2",
    ]


def test_sections_of_gitlab_have_the_times_of_their_steps(capsys: pytest.CaptureFixture[str]) -> None:
    found = "\n".join(reported(GitLabSections(), capsys))
    marks = re.findall(r"\x1b\[0Ksection_(start|end):(\d+):([A-Za-z0-9_.-]+)(\[collapsed=true\])?\r\x1b\[0K", found)
    assert [(kind, int(at), name) for kind, at, name, _ in marks] == [
        ("start", 1000, "imagebuild_1_a_install"),
        ("end", 1087, "imagebuild_1_a_install"),
        ("start", 1002, "imagebuild_2_b_install"),
        ("end", 1066, "imagebuild_2_b_install"),
        ("start", 1066, "imagebuild_3_b_convert"),
        ("end", 1086, "imagebuild_3_b_convert"),
    ]
    assert [collapsed for kind, _, _, collapsed in marks if kind == "start"] == ["[collapsed=true]"] * 3
    inside = re.sub(r"section_start.*?section_end[^\n]*\n", "", found, flags=re.DOTALL)
    for text in ("done", "done quickly", "look at this", "/srv/images/c.qcow2"):
        assert text in inside  # visible although the sections are folded


@pytest.mark.parametrize("syntax", [GitHubGroups(), GitLabSections()])
def test_hostile_texts_are_no_commands(syntax: SectionSyntax, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    reporter = report.PlainReporter(report.echo, sections=Sections(syntax, clock), now=clock)
    with reporter.step("::error::web", BAD) as step:
        clock.seconds = 16
        step.update(BAD)
        step.summary(BAD)
    found = capsys.readouterr().out
    controls = r"\x1b\[0Ksection_(start|end):\d+:[A-Za-z0-9_.-]+(\[collapsed=true\])?\r\x1b\[0K"
    assert "\x1b" not in re.sub(controls, "", found)
    assert "\r" not in re.sub(controls, "", found)
    if isinstance(syntax, GitHubGroups):
        commands = [line for line in found.splitlines() if line.lstrip().startswith("::") or "##[" in line]
        assert [line.split("::")[1] for line in commands] == ["group", "endgroup"]


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("more", "mark"),
    [
        ({"IMAGEBUILD_SECTIONS": "auto", "GITLAB_CI": "true", "CI": "true"}, b"section_start:"),
        ({"IMAGEBUILD_SECTIONS": "auto", "GITHUB_ACTIONS": "true", "CI": "true"}, b"::group::"),
        ({"IMAGEBUILD_SECTIONS": "github"}, b"::group::"),
        ({"GITHUB_ACTIONS": "true", "CI": "true"}, None),  # only if asked for
        ({"IMAGEBUILD_SECTIONS": "auto"}, None),
    ],
)
def test_sections_if_asked_for(more: dict[str, str], mark: bytes | None, tmp_path: Path) -> None:
    script = Script(tmp_path)
    there = {name: text for name, text in environment({}).items() if name not in ("GITLAB_CI", "GITHUB_ACTIONS")}
    process = subprocess.Popen(script.argv, stdout=subprocess.PIPE, env=there | more)
    script.give("step web install", "done web install ok", "end")
    written, _ = process.communicate(timeout=PATIENCE)
    script.close()
    assert b"install" in written
    assert [one for one in (b"section_start:", b"::group::") if one in written] == ([mark] if mark else [])


def test_an_unknown_choice_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEBUILD_PROGRESS", "fancy")
    done = CliRunner().invoke(cli, ["build", "debian-13"])
    assert done.exit_code == 2
    assert "--progress" in done.output
    assert "'auto', 'rich', 'plain', 'none'" in done.output


def commands_with(option: str) -> set[str]:
    def has(command: click.Command) -> bool:
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        return any(option in one.opts for one in command.params) or any(map(has, inner))

    return {name for name in cli.commands if has(cli.commands[name])}


def test_every_command_that_reports_has_the_options() -> None:
    folder = Path(report.__file__).parent
    using = {path.stem for path in folder.glob("*.py") if re.search(r"\breporter\(|PlainReporter\(", path.read_text())}
    # image_argument is used by inspect and diff, and unchanged_report by build
    using -= {"report", "image_argument", "unchanged_report"}
    assert commands_with("--progress") == commands_with("--sections")
    assert commands_with("--progress") >= using | {"inspect", "diff", "audit"}


# Nothing moves.


def test_a_log_says_what_a_quiet_step_waits_for_less_and_less_often() -> None:
    clock, log = Clock(), list[str]()
    reporter = report.PlainReporter(log.append, now=clock)
    with reporter.step("web", "install") as step:
        step.update("unpacking", 0.5, "the installer; last line of its console: Setting up tzdata")
        for second in range(1200):
            clock.seconds = second
            reporter._look()
    waits = [line for line in log if "nothing new" in line]
    assert "nothing new for 0:30: waiting for the installer; last line of its console: Setting up tzdata" in waits[0]
    assert [re.findall(r"nothing new for (\d+:\d\d)", line)[0] for line in waits] == [
        "0:30", "1:00", "2:00", "4:00", "8:00", "13:00", "18:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "how"),
    [(KeyboardInterrupt(), "interrupted"), (Interrupted("x"), "interrupted"), (HostError("x"), "failed")],
)
def test_an_interrupted_step_did_not_fail(error: BaseException, how: str) -> None:
    log = list[str]()
    with pytest.raises(type(error)), report.PlainReporter(log.append).step("web", "open") as step:
        step.update("connecting")
        raise error
    assert log[-1].endswith(f"{how} at: connecting")


def test_news_end_the_quiet() -> None:
    clock, log = Clock(), list[str]()
    reporter = report.PlainReporter(log.append, now=clock)
    with reporter.step("web", "payload") as step:
        for second in range(0, 200, 29):
            clock.seconds = second
            reporter._look()
            step.update("downloading")
        clock.seconds += lines.QUIET
        reporter._look()
    assert [line for line in log if "nothing new" in line] == [log[-2]]
    assert "nothing new for 0:30: downloading" in log[-2]


def test_json_shows_that_a_step_goes_on_and_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    reporter = report.JsonReporter(now=clock)

    def events() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    with reporter.step("web", "install") as step:
        step.update("unpacking", None, "line 1")
        assert [one.get("waiting") for one in events()] == [None, "line 1"]
        clock.seconds = 1
        step.update("unpacking", None, "line 2")
        reporter._look()
        assert events() == []  # not for each line of a console
        clock.seconds = 6
        reporter._look()
        assert [one["waiting"] for one in events()] == ["line 2"]
        clock.seconds = 60
        reporter._look()
        assert events() == []  # it does not move


def test_an_installer_waits_with_the_last_line_of_its_console() -> None:
    from imagebuild.install.console import Console
    from imagebuild.install.supervise import _Follower

    follower = _Follower.__new__(_Follower)
    follower.console = Console("nonce")
    assert follower._waits_for() == "the installer"
    follower.console.feed(b"kickstrap: step 3/9 unpacking\n\n  Setting up \x1b[1mtzdata\r\n\n")
    assert follower._waits_for() == "the installer; last line of its console: Setting up tzdata"


# The end.


def test_where_the_time_went() -> None:
    seconds = {"plan": 0.4, "payload": 30.0, "install": 60.2, "customise": 9.9}
    assert build_end.times(seconds, 101.0) == [
        "where the time went (1:41):",
        "  payload     0:30   30%",
        "  install     1:00   60%",
        "  customise   0:10   10%",
    ]
    assert build_end.times(seconds, 60.0)[-1] == "  (some of it at the same time)"
    assert build_end.times({"plan": 0.4}, 0.5) == []


def test_a_timed_reporter_measures_the_steps_that_end_well(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    timed = build_end.TimedReporter(SILENT_REPORTER)
    for recipe in ("a", "b"):
        with timed.step(recipe, "install"):
            clock.seconds += 5
    with pytest.raises(click.Abort), timed.step("c", "convert"):
        raise click.Abort
    assert timed.seconds == {"install": 10.0}
    assert timed.total == 10.0


@pytest.fixture
def no_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("IMAGEBUILD_OUTPUT", raising=False)
    return


def test_publishing_is_suggested_where_the_project_names_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMAGEBUILD_CONFIG", raising=False)
    assert not build_end.has_places()
    file = tmp_path / "imagebuild.yaml"
    for text, expected in (("# hosts:\n", False), ("targets: {a: {url: /srv/a}}\n", True), ("hosts: [\n", False)):
        file.write_text(text)
        assert build_end.has_places() is expected


@pytest.mark.usefixtures("no_output")
def test_what_to_do_next() -> None:
    first = build_end.BuiltImage("web", Path("artifacts"), None, verified=True)
    assert build_end.next_steps(first, project=False) == [
        "next:",
        "  imagebuild run web  start a throwaway machine of it",
    ]
    second = build_end.BuiltImage(
        "web", Path("/srv/my images"), Path("/srv/my images/web/2026-11-28.2"), verified=False
    )
    assert [re.split(r" {2,}", line.strip())[0] for line in build_end.next_steps(second, project=True)] == [
        "next:",
        "imagebuild run --output '/srv/my images' web",
        "imagebuild diff --output '/srv/my images' '/srv/my images/web/2026-11-28.2' web",
        "imagebuild verify --output '/srv/my images' web",
        "imagebuild publish --output '/srv/my images' web --to all",
    ]


@pytest.mark.usefixtures("no_output")
def test_the_commands_that_come_next_exist() -> None:
    built = build_end.BuiltImage("web", Path("out"), Path("out/web/2026-11-28.2"), verified=False)
    for line in build_end.next_steps(built, project=True)[1:]:
        words = re.split(r" {2,}", line.strip())[0].split()[1:]
        command = cli.commands[words[0]]
        command.make_context(words[0], words[1:])  # raises a usage error for an unknown option
