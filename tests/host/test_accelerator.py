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
