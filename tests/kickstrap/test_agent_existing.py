"""``part --onpart``: partitions that %pre has created are formatted, and not created."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imagebuild.kickstrap.agent import devices, harddrives, kickstart, layout, storage, storage_reader
from imagebuild.kickstrap.agent.command import CommandRunner, Result
from imagebuild.kickstrap.agent.disks import Partition
from imagebuild.kickstrap.agent.errors import StorageError
from imagebuild.kickstrap.agent.machine import ExistingPartition, TargetMachine, partition_place
from tests.kickstrap.kickstarts import findings

PRE = "%pre\nsfdisk /dev/vda < /tmp/layout\n%end\n"
REST = "liveimg --url=file:///run/kickstrap/payload\n"
TWO = "part /boot --onpart=vda1\npart / --onpart=/dev/vda2 --fstype=xfs\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vda1", (0, 1)),
        ("/dev/sdb12", (1, 12)),
        ("disk/by-id/virtio-target2-part3", (1, 3)),
        ("vda", None),
        ("vda0", None),
        ("UUID=1234", None),
        ("/dev/LVM/ROOT", None),
    ],
)
def test_names_of_partitions(name: str, expected: tuple[int, int] | None) -> None:
    assert partition_place(name) == expected


def test_partitions_that_pre_creates_pass() -> None:
    assert findings(TWO + PRE + REST, TargetMachine((2048,))) == []
    others = "part /srv --size=100 --ondisk=vdb\npart swap --usepart=vda3\n"
    assert findings(TWO + others + "clearpart --all --drives=vdb\n" + PRE + REST, TargetMachine((2048, 200))) == []


@pytest.mark.parametrize(
    ("text", "number", "message"),
    [
        (TWO, 1, "part /boot: --onpart=vda1 is not supported by kickstrap: the disks are new, and no %pre creates it"),
        (f"part / --onpart=LABEL=root\n{PRE}", 1, "part /: --onpart=LABEL=root is not a known partition"),
        (f"{TWO}part /srv --onpart=sda1\n{PRE}", 3, "part /srv: --onpart=sda1 is already in use"),
        (f"{TWO}clearpart --all\n{PRE}", 1, "part /boot: --onpart=vda1: clearpart --all removes what %pre has created"),
        (f"{TWO}part /srv --onpart=vdb1\n{PRE}", 3, "part /srv: there is no disk of vdb1; the machine has vda"),
        (f"{TWO}part /srv --size=5\n{PRE}", 3, "part /srv: %pre has created the partitions of all disks"),
        (f"{TWO}part /srv --size=5 --ondisk=vda\n{PRE}", 3, "part /srv: %pre has created the partitions of vda"),
        (f"part / --onpart=vda1 --noformat\n{PRE}", 1, "part: --noformat is not supported by kickstrap"),
    ],
)
def test_partitions_that_cannot_be_used(text: str, number: int, message: str) -> None:
    assert (number, message) in [one[:2] for one in findings(text + REST, TargetMachine((2048,)))]


def read(text: str) -> storage_reader.Storage:
    return storage_reader.make(kickstart.parse(text))


def test_they_have_the_places_that_pre_gave_them() -> None:
    there = (ExistingPartition(0, 1, 1, 300), ExistingPartition(0, 2, 301, 900))
    machine = TargetMachine((2048, 500), existing=there)
    wanted = read(f"{TWO}part /srv --size=100 --grow\n{PRE}clearpart --none --disklabel=gpt\n{REST}")
    placed = [(one.partition.name, one.disk, one.number, one.start, one.size) for one in layout.place(wanted, machine)]
    assert placed == [("/boot", 0, 1, 1, 300), ("/", 0, 2, 301, 900), ("/srv", 1, 1, 1, 498)]
    with pytest.raises(StorageError, match="line 2: part /: %pre has not created the partition vda2"):
        layout.place(wanted, machine._replace(existing=there[:1]))


def test_the_kernel_is_asked_for_partitions(tmp_path: Path) -> None:
    for name, number, start, size in (("vda2", 2, 616448, 409600), ("vda1", 1, 2048, 614400)):
        folder = tmp_path / "vda" / name
        folder.mkdir(parents=True)
        for word, value in {"partition": number, "start": start, "size": size}.items():
            (folder / word).write_text(f"{value}\n")
    (tmp_path / "vda" / "queue").mkdir()
    (tmp_path / "vdb").mkdir()
    assert devices.find_partitions(["/dev/vda", "/dev/vdb"], tmp_path) == (
        ExistingPartition(0, 1, 1, 300),
        ExistingPartition(0, 2, 301, 200),
    )


class Recorded(CommandRunner):
    """Only records what would be run."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.ran: list[list[str]] = []

    def run(self, argv: object, **_: object) -> Result:  # type: ignore[override]
        self.ran.append([str(word) for word in argv])  # type: ignore[attr-defined]
        return Result(0, "")


def test_only_disks_without_them_get_a_new_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Recorded()
    wanted = read(f"{TWO}part /srv --size=100 --ondisk=vdb\nclearpart --none --disklabel=gpt\n{PRE}{REST}")
    disks = storage.TargetDisks(commands, wanted, tmp_path)
    machine = TargetMachine((2048, 500), existing=(ExistingPartition(0, 1, 1, 300), ExistingPartition(0, 2, 301, 900)))
    disks._disks, disks._placed = ["/dev/vda", "/dev/vdb"], layout.place(wanted, machine)
    monkeypatch.setattr(devices, "wait_for", lambda _: None)
    disks._partition()
    assert commands.ran == [
        ["wipefs", "--all", "--quiet", "/dev/vda1", "/dev/vda2"],
        ["sfdisk", "--quiet", "--wipe", "always", "--wipe-partitions", "always", "--no-reread", "/dev/vdb"],
    ]
    assert disks._devices == {"/boot": "/dev/vda1", "/": "/dev/vda2", "/srv": "/dev/vdb1"}


@pytest.mark.skipif(shutil.which("wipefs", path="/usr/sbin") is None, reason="needs wipefs")
def test_nothing_of_what_pre_formatted_is_left(tmp_path: Path) -> None:
    image = tmp_path / "vda1"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    commands = CommandRunner(lambda _: None)
    commands.run(["mkfs.vfat", image])
    commands.run(["wipefs", "--all", "--quiet", image])
    assert subprocess.run(["/usr/sbin/blkid", "-p", image], check=False, capture_output=True).returncode == 2


def test_a_partition_of_pre_has_no_size_of_its_own() -> None:
    assert read(f"part / --onpart=vda1 --size=99 --grow\n{PRE}{REST}").partitions == (
        Partition("/", line=1, existing="vda1"),
    )


def test_disks_are_listed_as_anaconda_lists_them(tmp_path: Path) -> None:
    for name, mib in (("vda", 2048), ("vdb", 3)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(mib << 20)
    assert harddrives.listed([str(tmp_path / "vda"), str(tmp_path / "vdb")]) == "vda 2048.0\nvdb 3.0\n"
