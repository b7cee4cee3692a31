"""Which virtual machines run on this host."""

from __future__ import annotations

from imagebuild.host import accelerator
from imagebuild.host.process import started


def test_another_machine_is_detected_while_it_runs() -> None:
    paused = ["-S", "-accel", "tcg", "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    with started([accelerator.emulator(), *paused]) as machine:
        assert machine.stdout is not None
        assert "QMP" in machine.stdout.readline()  # it has started
        assert accelerator.others_run()
