"""Appliances that continue from a saved state: what is new in each of them, and a state that is damaged."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from imagebuild.errors import HostError
from imagebuild.guest import launch, warm_start
from imagebuild.guest.session import Session

SIZES = (3 << 20, 1 << 20, 2 << 20)


@pytest.fixture
def disks(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{number}.raw" for number in range(len(SIZES))]
    for path, size in zip(made, SIZES, strict=True):
        with path.open("wb") as file:
            file.truncate(size)
    return made


def states(session: Session) -> list[Path]:
    folder = Path(session.handle.get_hv()).with_name("started")
    return sorted(folder.glob("*/state"))


def looked_at(session: Session) -> tuple[list[int], str, float, str]:
    """Sizes of the disks in their order, a random number, the error of the clock in seconds, and the kernel's command
    line."""
    g = session.g
    sizes = [g.blockdev_getsize64(device) for device in g.list_devices()]
    told = g.debug("sh", ["cat /proc/sys/kernel/random/uuid; date +%s; cat /proc/cmdline"]).splitlines()
    return sizes, told[0], abs(time.time() - float(told[1])), told[2]


@pytest.mark.guestfs
def test_machines_differ_in_what_must_not_be_shared(disks: list[Path], tmp_path: Path) -> None:
    seen = []
    for _ in range(3):  # the first one may build the appliance, and the second one saves it
        with launch.started(disks, "raw", accel="tcg", tmpdir=tmp_path) as session:
            seen.append(looked_at(session))
            saved = states(session)
    assert saved
    assert "imagebuild_wait=1" in seen[-1][3], "the last one continues from a state"
    assert [one[0] for one in seen] == [list(SIZES)] * 3
    assert len({one[1] for one in seen}) == 3
    assert max(one[2] for one in seen) < 30


@pytest.mark.guestfs
def test_a_damaged_state_is_made_again(disks: list[Path], tmp_path: Path) -> None:
    for _ in range(2):
        with launch.started(disks, "raw", accel="tcg", tmpdir=tmp_path) as session:
            saved = states(session)
    assert saved
    for one in saved:
        one.write_bytes(b"no state of a machine")
    with launch.started(disks, "raw", accel="tcg", tmpdir=tmp_path) as session:
        sizes, _, _, arguments = looked_at(session)
        assert sizes == list(SIZES)
        assert "imagebuild_wait" not in arguments
    assert not any(one.exists() for one in saved)


@pytest.mark.guestfs
def test_a_machine_that_fails_is_tried_once_more_without_a_state(disks: list[Path], tmp_path: Path) -> None:
    handles = []

    def refused() -> Any:
        handle = launch._handle("tcg", tmp_path)
        handle.config("-no-such-option", None)
        handles.append(handle)
        return handle

    session = Session(refused, disks, "raw")
    try:
        with pytest.raises(HostError, match="appliance did not start: guestfs_launch failed"):
            session.launch()
    finally:
        session.close()
    assert len(handles) == 2


class HandleOfQemu:
    """The required part of a libguestfs handle: its QEMU."""

    def __init__(self, hv: str) -> None:
        self.hv = hv

    def get_hv(self) -> str:
        return self.hv

    def set_hv(self, hv: str) -> None:
        self.hv = hv


@pytest.mark.parametrize("variable", ["LIBGUESTFS_HV", "LIBGUESTFS_QEMU"])
def test_a_qemu_of_the_users_choice_is_used(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/opt/qemu")
    handle = HandleOfQemu("/opt/qemu")
    warm_start.use(handle, tmp_path)
    assert handle.hv == "/opt/qemu"
    assert list(tmp_path.iterdir()) == []


def test_the_wrapper_keeps_its_time_while_it_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIBGUESTFS_HV", "LIBGUESTFS_QEMU"):
        monkeypatch.delenv(name, raising=False)

    def wrapper(qemu: str) -> Any:
        handle = HandleOfQemu(qemu)
        warm_start.use(handle, tmp_path)
        return Path(handle.hv).stat()

    first = wrapper("/usr/bin/qemu-system-x86_64")
    assert first.st_mode & 0o777 == 0o700
    assert wrapper("/usr/bin/qemu-system-x86_64").st_mtime_ns == first.st_mtime_ns
    assert wrapper("/opt/it's/qemu").st_mtime_ns != first.st_mtime_ns


@pytest.mark.parametrize("named", ["theirs", "ours"])
def test_only_states_of_this_user_are_discarded(named: str, tmp_path: Path) -> None:
    folder = tmp_path / (warm_start.own_folder_name() if named == "ours" else "theirs")
    state = folder / "started" / "name" / "state"
    state.parent.mkdir(parents=True)
    state.touch()
    handle = HandleOfQemu(str(folder / "qemu"))
    assert warm_start.discard(handle) == (named == "ours")
    assert state.exists() == (named == "theirs")
    assert not warm_start.discard(handle)
