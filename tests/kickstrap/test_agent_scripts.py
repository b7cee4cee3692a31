"""%pre and %post, run for real: interpreter, log, --erroronfail, chroot."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from imagebuild.kickstrap.agent import scripts
from imagebuild.kickstrap.agent.command import CommandRunner
from imagebuild.kickstrap.agent.errors import InstallError
from imagebuild.kickstrap.agent.plan import Script


class Run:
    def __init__(self) -> None:
        self.logged: list[str] = []

    def __call__(self, *sections: Script, root: Path | None = None, section: str = "%post") -> None:
        scripts.run_all(sections, CommandRunner(self.logged.append), root=root, section=section)


@pytest.fixture
def run() -> Run:
    return Run()


def test_output_goes_to_the_log(run: Run) -> None:
    run(Script("echo hello; echo there >&2", chroot=False))
    assert [line for line in run.logged if not line.startswith("run")] == ["sh: hello", "sh: there"]


def test_the_interpreter_is_used(run: Run) -> None:
    run(Script("import sys; print(sys.version_info.major)", interpreter="/usr/bin/python3", chroot=False))
    assert "python3: 3" in run.logged


def test_a_failure_is_logged_and_the_next_script_runs(run: Run) -> None:
    run(Script("echo broken; exit 3", chroot=False, line=7), Script("echo next", chroot=False))
    assert "%post at line 7 ended with exit status 3: broken (continuing without --erroronfail)" in run.logged
    assert "sh: next" in run.logged


def test_with_erroronfail_a_failure_ends_the_installation(run: Run) -> None:
    with pytest.raises(InstallError, match=r"^%pre at line 9 ended with exit status 4: why$"):
        run(
            Script("echo why; exit 4", error_on_fail=True, line=9),
            Script("echo never", chroot=False),
            section="%pre",
        )
    assert not any("never" in line for line in run.logged)


def test_a_missing_interpreter_is_an_error(run: Run) -> None:
    with pytest.raises(InstallError, match="cannot start /nowhere/perl: No such file"):
        run(Script("1", interpreter="/nowhere/perl", chroot=False))


def test_the_log_of_a_script_is_private(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "post.log"
    run(Script("echo kept", chroot=False, log=str(log)))
    assert log.read_text() == "kept\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "sh: kept" in run.logged


def test_background_processes_of_a_script_do_not_block(run: Run) -> None:
    run(Script("sleep 30 & echo $! ; exit 0", chroot=False))
    process = next(line.removeprefix("sh: ") for line in run.logged if line.startswith("sh: "))
    os.kill(int(process), 9)


def test_scripts_get_no_input(run: Run) -> None:
    run(Script("cat; echo end", chroot=False))
    assert [line for line in run.logged if not line.startswith("run")] == ["sh: end"]


def test_no_script_is_left_in_tmp(run: Run) -> None:
    run(Script('echo "$0"', chroot=False))
    name = Path(next(line.removeprefix("sh: ") for line in run.logged if line.startswith("sh: ")))
    assert name.name.startswith("ks-script-")
    assert list(name.parent.glob(f"{name.name}*")) == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The smallest root that can run a shell: the host's shell and its libraries."""
    if os.geteuid() != 0:
        pytest.skip("only root may chroot; CI runs as root")
    shell = Path("/bin/sh").resolve()
    libraries = [word for word in subprocess.check_output(["ldd", shell], text=True).split() if word.startswith("/")]
    for path in [str(shell), *libraries]:
        place = tmp_path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (tmp_path / "bin").mkdir(exist_ok=True)
    shutil.copy(shell, tmp_path / "bin" / "sh")
    return tmp_path


def test_post_runs_in_the_target(run: Run, root: Path) -> None:
    (root / "marker").write_text("")
    run(Script("[ -e /marker ] && echo inside; echo file > /made", log="/var/log/post.log"), root=root)
    assert (root / "var/log/post.log").read_text() == "inside\n"
    assert (root / "made").read_text() == "file\n"


def test_nochroot_sees_the_runtime(run: Run, root: Path) -> None:
    run(Script(f"[ -e {root}/bin/sh ] && echo outside", chroot=False), root=root)
    assert "sh: outside" in run.logged
