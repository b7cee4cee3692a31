"""What virtual machines have of this host."""

from __future__ import annotations

from imagebuild.host import accelerator
from imagebuild.host.process import started


def test_another_machine_is_seen_while_it_is_there() -> None:
    paused = ["-S", "-accel", "tcg", "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    with started([accelerator.emulator(), *paused]) as machine:
        assert machine.stdout is not None
        assert "QMP" in machine.stdout.readline()  # it has begun
        assert accelerator.others_run()
