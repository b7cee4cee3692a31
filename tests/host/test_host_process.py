"""Starting programs: output, limits, and that nothing outlives its block."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest

from imagebuild import log
from imagebuild.errors import CommandFailed, HostError, ImageBuildError, Interrupted
from imagebuild.host.process import environment, pasteable, run, started, stop_all


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_lines_arrive_as_they_are_written_also_after_a_carriage_return() -> None:
    lines: list[str] = []
    done = run(["sh", "-c", r"printf '10%%\r20%%\r\n'; echo err >&2"], timeout=10, on_line=lines.append)
    assert [line for line in lines if line] == ["10%", "20%", "err"]
    assert done.returncode == 0


def test_input_arrives() -> None:
    assert run(["cat"], timeout=10, input="hello\n").stdout == "hello"


def test_a_failure_reports_the_exit_status_and_the_last_lines() -> None:
    with pytest.raises(CommandFailed, match="sh ended with exit status 3: it broke") as failure:
        run(["sh", "-c", "echo it broke >&2; exit 3"], timeout=10)
    assert failure.value.command == "sh -c 'echo it broke >&2; exit 3'"
    assert run(["false"], timeout=10, check=False).returncode == 1


def test_a_missing_program_is_a_host_error() -> None:
    with pytest.raises(HostError, match="no-such-program is not installed"):
        run(["no-such-program"], timeout=10)


def test_a_timeout_ends_the_child_and_its_children() -> None:
    with pytest.raises(CommandFailed, match="did not end within"):
        run(["sh", "-c", "sleep 1000 & echo $!; wait"], timeout=0.3)


def test_leaving_the_block_ends_the_whole_group() -> None:
    with pytest.raises(KeyboardInterrupt), started(["sh", "-c", "sleep 1000 & echo $!; wait"]) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        raise KeyboardInterrupt
    assert process.poll() is not None
    for _ in range(100):
        if not alive(grandchild):
            return
        time.sleep(0.02)
    pytest.fail("the grandchild lives on")


def test_stop_all_reaches_a_child_of_another_thread() -> None:
    ended: list[BaseException] = []
    begun = threading.Event()

    def wait() -> None:
        try:
            run(["sh", "-c", "echo up; exec sleep 1000"], timeout=100, on_line=lambda _: begun.set())
        except ImageBuildError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait(10)
    stop_all()
    thread.join(10)
    assert isinstance(ended[0], Interrupted)
    assert str(ended[0]) == "sh was stopped"


def test_stop_all_is_no_interruption_of_what_begins_later() -> None:
    stop_all()
    with pytest.raises(CommandFailed, match="exit status 3"):
        run(["sh", "-c", "exit 3"], timeout=100)


def test_children_get_a_small_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT_PASSWORD", "hush")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    env = environment({"TMPDIR": "/x"})
    assert "ROOT_PASSWORD" not in env
    assert env["LC_ALL"] == "C.UTF-8"
    assert env["TMPDIR"] == "/x"
    assert "/usr/sbin" in env["PATH"].split(":")


def test_a_secret_never_reaches_the_log_or_an_error(tmp_path: Path) -> None:
    secret = "p'ss wörd/&"
    log.hide(secret)
    with log.to_file(tmp_path / "build.log"):
        with pytest.raises(CommandFailed) as failure:
            run(["sh", "-c", "cat; exit 1"], timeout=10, input=f"before {secret} after\n")
        log.logger.info("also %s", pasteable(["echo", secret]))
    text = (tmp_path / "build.log").read_text() + failure.value.message + failure.value.output
    assert secret not in text
    assert "before [secret] after" in text
    assert "'\"'\"'" not in text
    assert logging.getLogger("imagebuild").handlers  # and the log still has its null handler


def test_with_separate_stderr_only_lines_of_stdout_are_passed_on() -> None:
    lines: list[str] = []
    script = "echo out; echo err >&2; echo more; exit 3"
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", script], timeout=30, on_line=lines.append, apart=True)
    assert lines == ["out", "more"]
    assert sorted(caught.value.output.split()) == ["err", "more", "out"]
