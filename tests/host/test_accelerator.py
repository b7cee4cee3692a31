"""Which virtual machines run on this host."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagebuild.host import accelerator
from imagebuild.host.process import started


def test_another_machine_is_detected_while_it_runs() -> None:
    paused = ["-S", "-accel", "tcg", "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    with started([accelerator.emulator(), *paused]) as machine:
        assert machine.stdout is not None
        assert "QMP" in machine.stdout.readline()  # it has started
        assert accelerator.others_run()


@pytest.mark.seconds
def test_a_killed_probe_leaves_no_machine(tmp_path: Path) -> None:
    """Where KVM does not work, the machine that tests it would run for ever."""
    program = tmp_path / "qemu"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    program.chmod(0o755)
    code = (
        "from pathlib import Path\nfrom imagebuild.host import accelerator as a\n"
        f"a._PATIENCE, a.KVM, a.emulator = 1.0, Path('/dev/null'), lambda: {str(program)!r}\n"
        "a._kernel = lambda: Path('/dev/null')\na.stop = lambda process: None\na.prove()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    pid = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.seconds
def test_a_machine_that_computes_and_prints_nothing_is_given_up_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A KVM that does not work keeps a processor busy; only an idle machine may just be slow."""
    program = tmp_path / "qemu"
    program.write_text("#!/bin/sh\nwhile :; do :; done\n")
    program.chmod(0o755)
    monkeypatch.setattr(accelerator, "_PATIENCE", 600.0)
    monkeypatch.setattr(accelerator, "_SILENT", 0.5)
    monkeypatch.setattr(accelerator, "KVM", Path("/dev/null"))
    monkeypatch.setattr(accelerator, "emulator", lambda: str(program))
    monkeypatch.setattr(accelerator, "_kernel", lambda: Path("/dev/null"))
    verdict = accelerator.prove()
    assert verdict.emulated
    assert "does not run" in verdict.reason
