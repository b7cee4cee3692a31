"""An appliance that hangs while it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.guest import launch, session

pytestmark = pytest.mark.guestfs

HANGING = """\
#!/bin/sh
case "$*" in *-kernel*) ;; *) exec {qemu} "$@" ;; esac
echo $$ >>{log}
test $(wc -l <{log}) -gt {times} && exec {qemu} "$@"
exec sleep 3600
"""


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make QEMU hang the first time that it is started with a kernel; its process ids are written
    to this file."""
    return _hang(tmp_path, monkeypatch, 1)


def _hang(folder: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> Path:
    log, program = folder / "started", folder / "qemu"
    program.write_text(HANGING.format(qemu="/usr/bin/qemu-system-x86_64", log=log, times=times))
    program.chmod(0o755)
    monkeypatch.setenv("LIBGUESTFS_HV", str(program))
    return log


def _disk(folder: Path) -> Path:
    disk = folder / "disk.raw"
    with disk.open("wb") as image:
        image.truncate(1 << 20)
    return disk


def _ended(log: Path) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in log.read_text().split())


def test_it_is_ended_and_started_again(tmp_path: Path, hanging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE", (8.0, 600.0))
    with launch.started([_disk(tmp_path)], "raw", accel="tcg", tmpdir=tmp_path) as started:
        assert started.g.list_devices() == ["/dev/sda"]
        assert len(hanging.read_text().split()) == 2
    assert _ended(hanging)


def test_not_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _hang(tmp_path, monkeypatch, 2)
    monkeypatch.setattr(session, "PATIENCE", (8.0, 5.0))
    with (
        pytest.raises(HostError, match="appliance did not start within 5 s"),
        launch.started([_disk(tmp_path)], "raw", accel="tcg", tmpdir=tmp_path),
    ):
        pass
    assert len(log.read_text().split()) == 2
    assert _ended(log)
