"""What a build reports while it waits for another one, and what `build` prints at its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_recorder import pretend, recipe, settings

from imagebuild.build import engine
from imagebuild.build.scheduler import BuildRelay
from imagebuild.build.step_cache import Settings
from imagebuild.cli import build_end
from imagebuild.cli.lines import RunningStep
from imagebuild.cli.main import cli
from imagebuild.cli.report import JsonReporter, PlainReporter
from imagebuild.recipe.model.recipe import Recipe

__all__ = ["recipe", "settings"]  # fixtures

HOLD = """
import sys
from pathlib import Path
from imagebuild.store.store import Store
with Store(Path(sys.argv[1])).locked(sys.argv[2], lambda pid: None):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(settings: Settings) -> Callable[[str], subprocess.Popen[bytes]]:
    """Start another process that holds a lock of the store until its input ends."""

    def start(name: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", HOLD, settings.store.root, name]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        return process

    return start


@pytest.mark.seconds
def test_waiting_for_another_build_is_a_step_that_names_its_process(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch, hold: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    pretend(monkeypatch)
    other = hold(engine.lock_name(settings.output, "web"))
    log: list[str] = []
    seconds = [0.0]
    reporter = PlainReporter(log.append, now=lambda: seconds[0])
    build = threading.Thread(target=engine.build, args=(recipe, settings, reporter))
    build.start()
    while not reporter._steps or not reporter._steps[0].detail:
        assert build.is_alive()
    seconds[0] = 31.0
    reporter._look()
    waiting = f"another build of it (process {other.pid})"
    assert log[0] == f"web  waiting for {waiting}"
    other.communicate()
    build.join()
    assert re.fullmatch(rf"web  wait +0:31  nothing new for 0:31: {re.escape(waiting)}", log[1])
    assert re.fullmatch(r"web  wait +0:31", log[2])
    assert log[3].startswith("web  plan")


@pytest.mark.seconds
def test_waiting_for_the_result_of_a_step_names_the_process(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch, hold: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    pretend(monkeypatch)
    plan = engine.make_plan(recipe, settings.store)
    step = plan.steps[0]
    other = hold(f"{step.kind}-{step.fingerprint[:16]}")
    log: list[str] = []
    seconds = [0.0]
    reporter = PlainReporter(log.append, now=lambda: seconds[0])
    build = threading.Thread(target=engine.build, args=(recipe, settings, reporter))
    build.start()
    while not any("waiting" in one.detail for one in list(reporter._steps)):
        assert build.is_alive()
    seconds[0] = 31.0
    reporter._look()
    other.communicate()
    build.join()
    assert any(f"nothing new for 0:31: waiting for process {other.pid}, which is making it" in line for line in log)


def test_what_a_build_waits_for_reaches_the_process_that_started_it(capsys: pytest.CaptureFixture[str]) -> None:
    log: list[str] = []
    seconds = [0.0]
    reporter = PlainReporter(log.append, now=lambda: seconds[0])
    relay = BuildRelay("web", reporter)
    with JsonReporter().step("web", "install") as step:
        step.update("unpacking", 0.5, "the installer; last line of its console: \x1b[1mSetting up")
    for line in capsys.readouterr().out.splitlines()[:-1]:
        relay.read(line)
    seconds[0] = 30.0
    reporter._look()
    assert "nothing new for 0:30: waiting for the installer; last line of its console: \\x1b[1mSetting up" in log[-1]


def test_events_of_an_older_version_have_nothing_to_wait_for() -> None:
    relay = BuildRelay("web", PlainReporter(lambda _: None))
    relay.read('{"event": "step", "recipe": "web", "step": "install", "state": "started"}')
    relay.read('{"event": "step", "recipe": "web", "step": "install", "state": "running", "detail": "x"}')
    step = relay._steps["install"][1]
    assert isinstance(step, RunningStep)
    assert (step.detail, step.waiting) == ("x", "")


@pytest.fixture
def printed(
    recipe: Recipe, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., list[str]]:
    """The lines that `build web.yaml` prints with fake steps."""
    pretend(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("IMAGEBUILD_OUTPUT", "IMAGEBUILD_CONFIG", "IMAGEBUILD_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(build_end, "_LEAST", 0.0)

    def build(*words: str) -> list[str]:
        done = CliRunner().invoke(
            cli, ["build", "web.yaml", "--store", str(settings.store.root), "--no-verify", *words]
        )
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    return build


def test_the_end_of_a_build(printed: Callable[..., list[str]]) -> None:
    first = printed()
    assert first[-1] == f"artifacts/web/{Path(first[-1]).parent.name}/web.qcow2"
    at = next(at for at, line in enumerate(first) if line.startswith("where the time went"))
    steps = [line.split()[0] for line in first[at + 1 : first.index("next:")] if "%" in line]
    assert steps[:1] + steps[-3:] == ["plan", "install", "customise", "convert"]
    commands = [re.split(r" {2,}", line.strip())[0] for line in first[first.index("next:") + 1 : -1]]
    assert commands == ["imagebuild run web", "imagebuild verify web"]
    Path("imagebuild.yaml").write_text("hosts: {}\n")
    assert "imagebuild publish" not in "".join(printed("--refresh"))
    Path("imagebuild.yaml").write_text("targets: {shelf: {url: /srv/templates}}\n")
    first = printed("--refresh")
    second = printed("--refresh")
    commands = [re.split(r" {2,}", line.strip())[0] for line in second[second.index("next:") + 1 : -1]]
    assert commands == [
        "imagebuild run web",
        f"imagebuild diff {Path(first[-1]).parent} web",
        "imagebuild verify web",
        "imagebuild publish web --to all",
    ]


def test_the_end_of_a_build_only_names_steps_that_ran(printed: Callable[..., list[str]]) -> None:
    printed()
    second = printed("--output", "elsewhere")
    at = next(at for at, line in enumerate(second) if line.startswith("where the time went"))
    assert [line.split()[0] for line in second[at + 1 : second.index("next:")] if "%" in line] == ["plan", "convert"]
    assert "  imagebuild run --output elsewhere web" in second[second.index("next:") + 1]


@pytest.mark.parametrize("words", [("--quiet",), ("--progress", "none")])
def test_a_quiet_build_prints_only_the_path(words: tuple[str, ...], printed: Callable[..., list[str]]) -> None:
    (line,) = printed(*words)
    assert line.endswith("/web.qcow2")


def test_an_unchanged_image_has_no_end(printed: Callable[..., list[str]]) -> None:
    printed()
    again = printed()
    assert not any(line.startswith(("where", "next")) for line in again)
    assert "next:" not in printed("--json")
    assert os.path.basename(again[-1]) == "web.qcow2"
