"""What libguestfs starts in place of QEMU: which machines continue from a saved state, and what the others get."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.guest.qemu_wrapper import saved_machine
from imagebuild.host.accelerator import SLOW_EMULATED

PROGRAM = Path(saved_machine.__file__)


def given(folder: Path, *more: str, machine: str = "accel=tcg,graphics=off", append: str = "quiet") -> list[str]:
    """libguestfs's arguments for a machine with one disk and the appliance."""
    for name in ("kernel", "initrd", "root"):
        (folder / name).write_bytes(b"")
    return [
        "-display", "none", "-machine", machine, "-cpu", "max,la57=off",
        "-kernel", f"{folder}/kernel", "-initrd", f"{folder}/initrd",
        "-device", "virtio-scsi-pci,id=scsi",
        "-drive", "file=/a/disk.raw,cache=unsafe,format=raw,id=hd0,if=none", "-device", "scsi-hd,drive=hd0",
        "-drive", f"file={folder}/root,snapshot=on,id=appliance,cache=unsafe,if=none,format=raw",
        "-device", "scsi-hd,drive=appliance",
        "-chardev", "socket,path=/tmp/one/guestfsd.sock,id=channel0",
        "-append", append, *more,
    ]  # fmt: skip


def qemu(folder: Path, script: str) -> Path:
    program = folder / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    image = folder / "qemu-img"
    image.write_text(f'#!/bin/sh\necho img >>{folder}/log\nfor one; do last=$one; done\n: >"$last"\n')
    image.chmod(0o755)
    return program


def folders(tmp_path: Path) -> tuple[Path, Path]:
    states = tmp_path / "started"
    states.mkdir()
    return tmp_path, states


def test_a_machine_is_divided_into_what_is_saved_and_its_disks(tmp_path: Path) -> None:
    machine, disks = saved_machine.divided(saved_machine.options(given(tmp_path)))
    assert [value for _, value in disks] == [
        "file=/a/disk.raw,cache=unsafe,format=raw,id=hd0,if=none",
        "scsi-hd,drive=hd0",
    ]
    assert ("-device", "scsi-hd,drive=appliance,scsi-id=255,rotation_rate=1") in machine
    assert dict(machine)["-append"] == f"quiet {saved_machine.WORDS}"
    assert not any("/a/disk.raw" in value for _, value in machine)


def test_disks_keep_their_order_and_come_before_the_appliance(tmp_path: Path) -> None:
    machine, disks = saved_machine.divided(saved_machine.options(given(tmp_path)))
    _, position = saved_machine.drive_of(machine)
    told = saved_machine.resumed(machine, disks, position, tmp_path, 7)
    assert told.index("scsi-hd,drive=hd0") < told.index("scsi-hd,drive=appliance,scsi-id=255,rotation_rate=1")
    assert told[-2:] == ["-incoming", "fd:7"]
    assert f"file={tmp_path}/root,snapshot=on,id=appliance,cache=unsafe,if=none,format=qcow2" in told


def test_the_name_of_a_state_depends_on_the_machine_and_not_on_disks_and_sockets(tmp_path: Path) -> None:
    program = qemu(tmp_path, "exit 0")

    def name(arguments: list[str]) -> str:
        machine, _ = saved_machine.divided(saved_machine.options(arguments))
        return saved_machine.name_of(program, machine, tmp_path / "root")

    usual = given(tmp_path)
    same = [word.replace("/a/disk.raw", "/b.raw").replace("/tmp/one", "/tmp/two") for word in usual]
    assert name(usual) == name(same)
    assert name(usual) != name([*usual, "-smp", "2"])
    assert name(usual) != name(given(tmp_path, append="quiet root=UUID=other"))
    before = name(usual)
    (tmp_path / "initrd").write_bytes(b"lighter")
    assert name([*usual]) != before


@pytest.mark.parametrize(
    "case",
    ["kvm", "verbose", "no disks", "two appliances", "no snapshot", "no kernel", "odd word", "a question"],
)
def test_other_machines_get_what_libguestfs_gave(case: str, tmp_path: Path) -> None:
    folder, states = folders(tmp_path)
    usual = given(folder)
    arguments = {
        "kvm": given(folder, machine="accel=kvm"),
        "verbose": given(folder, append="guestfs_verbose=1"),
        "no disks": usual[: usual.index("-drive")] + usual[usual.index("scsi-hd,drive=hd0") + 1 :],
        "two appliances": [*usual, "-device", "scsi-hd,drive=appliance"],
        "no snapshot": [word.replace("snapshot=on,", "") for word in usual],
        "no kernel": usual[: usual.index("-kernel")] + usual[usual.index("-initrd") :],
        "odd word": ["word", *usual],
        "a question": ["-display", "none", "-qmp", "stdio", "-machine", "accel=tcg"],
    }[case]
    given_to_qemu = saved_machine.main(qemu(folder, "exit 1"), states, arguments)
    assert given_to_qemu == (lighter(arguments) if case in EMULATED else arguments)
    assert list(states.iterdir()) == []


EMULATED = ("verbose", "no disks", "two appliances", "no snapshot")


def lighter(arguments: list[str]) -> list[str]:
    """As they are for an emulated machine that is started from the beginning."""
    at = arguments.index("accel=tcg,graphics=off")
    changed = [
        *arguments[:at],
        "graphics=off",
        "-accel",
        f"tcg,tb-size={saved_machine.TRANSLATED}",
        *arguments[at + 1 :],
    ]
    return [f"{word},{SLOW_EMULATED}=off" if word == "max,la57=off" else word for word in changed]


@pytest.mark.parametrize("script", ["exit 1", "echo imagebuild: cannot be saved: old.; exec sleep 60"])
def test_a_machine_that_cannot_be_saved_is_started_as_usual_and_not_tried_at_each_start(
    script: str, tmp_path: Path
) -> None:
    folder, states = folders(tmp_path)
    program, usual = qemu(folder, script), given(folder)
    for _ in range(2):
        assert saved_machine.main(program, states, usual) == lighter(usual)
    assert (folder / "log").read_text().split() == ["img"], "the second start did not try"
    assert [list(one.iterdir()) for one in states.iterdir() if one.is_dir()] == [[]]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    folder, states = folders(tmp_path)
    (states / "new").mkdir()
    (states / "new" / "state").write_bytes(b"half")
    saved_machine.main(qemu(folder, "exit 1"), states, given(folder))
    assert not (states / "new").exists()


def test_the_program_passes_its_arguments_on(tmp_path: Path) -> None:
    folder, states = folders(tmp_path)
    program = qemu(folder, 'printf "%s\\n" "$@"')
    ran = subprocess.run(
        [sys.executable, "-I", "-S", PROGRAM, program, states, "-version", "a b"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("-version\na b\n", "")


def test_a_machine_that_is_being_saved_ends_with_a_killed_process(tmp_path: Path) -> None:
    folder, states = folders(tmp_path)
    log = folder / "pid"
    program = qemu(folder, f"echo $$ >{log}.new; mv {log}.new {log}; exec sleep 600")
    with subprocess.Popen([sys.executable, "-I", "-S", PROGRAM, program, states, *given(folder)]) as started:
        until(log.exists)
        machine = Path("/proc", log.read_text().strip(), "cmdline")
        assert machine.exists()
        started.kill()
    until(lambda: not machine.exists() or not machine.read_bytes())


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true, for a minute at most."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
