"""Which root file system the host may prepare, and when the installer uses it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from imagebuild.kickstrap.agent import autopart, devices, install, layout, plan, prepared, storage
from imagebuild.kickstrap.agent.command import CommandRunner, Result
from imagebuild.kickstrap.agent.identity import DiskIdentity
from imagebuild.kickstrap.agent.kickstart import read
from imagebuild.kickstrap.agent.machine import TargetMachine

MIB = 1024 * 1024
VERSION = "mke2fs 1.47.2 (1-Jan-2025)"
ARCHIVE = "ab" * 32
KNOWN = DiskIdentity("cd" * 32, "1795542072", payload=ARCHIVE)
PLAIN = "part / --size=64 --grow\n"
MACHINE = TargetMachine((128,), existing=())
BOOTS = "zerombr\nclearpart --all --initlabel\nbootloader --location=mbr\n"
ESP = "part /boot/efi --fstype=efi --size=20\n"


def kickstart(disks: str = PLAIN, more: str = "", archive: str = ARCHIVE, url: str = "/run/kickstrap/payload") -> str:
    return (
        f"lang C.UTF-8\nkeyboard us\ntimezone UTC --utc\nrootpw --lock\n{BOOTS}{disks}"
        f"liveimg --url=file://{url} --checksum={archive}\npoweroff\n%packages --nocore\nvim\n%end\n{more}"
    )


def planned(text: str, firmware: str = "bios") -> plan.InstallPlan:
    return plan.make(read(text), firmware)


def found(text: str, machine: TargetMachine = MACHINE, identity: DiskIdentity = KNOWN) -> prepared.PreparedRoot | None:
    whole = planned(text, machine.firmware)
    wanted = autopart.complete(whole.storage, machine)
    return prepared.root(whole, wanted, layout.place(wanted, machine), identity)


def some(text: str = "", identity: DiskIdentity = KNOWN) -> prepared.PreparedRoot:
    one = found(text or kickstart(), identity=identity)
    assert one is not None
    return one


def test_one_ext4_can_be_prepared() -> None:
    assert (some().file_system.mountpoint, some().start, some().placed.size) == ("/", MIB, 127)
    assert some(kickstart(f"part swap --size=16\n{PLAIN}")).file_system.mountpoint == "/"
    uefi = found(kickstart(f"{ESP}{PLAIN}"), TargetMachine((128,), "uefi", existing=()))
    assert uefi is not None
    assert (uefi.start, uefi.placed.number) == (21 * MIB, 2)
    second = found(kickstart("part / --size=64 --ondisk=vdb\n"), TargetMachine((32, 128), existing=()))
    assert second is not None
    assert second.placed.disk == 1


@pytest.mark.parametrize(
    "disks",
    [
        "part / --size=64 --fstype=xfs\n",
        "part / --size=64 --mkfsoptions='-E stride=2'\n",
        "part / --size=64\npart /boot --size=32\n",
        "part / --size=64\npart /tmp --size=32\n",
        "part / --size=64 --encrypted --passphrase=x\npart /boot --size=32\n",
        "part / --size=64\npart swap --size=32 --encrypted --passphrase=x\n",
        "part pv.1 --size=100\nvolgroup vg pv.1\nlogvol / --vgname=vg --name=root --size=64\n",
        "part raid.1 --size=50\npart raid.2 --size=50\nraid / --device=md0 --level=1 raid.1 raid.2\n",
    ],
)
def test_what_is_more_than_that_is_made_in_the_machine(disks: str) -> None:
    assert found(kickstart(disks), TargetMachine((1024,), existing=())) is None


@pytest.mark.parametrize("section", ["%pre", "%pre-install"])
def test_what_a_script_may_change_is_made_in_the_machine(section: str) -> None:
    assert found(kickstart(more=f"{section}\ntrue\n%end\n")) is None
    assert found(kickstart(more="%post\ntrue\n%end\n")) is not None


def test_only_the_archive_of_the_host_is_prepared() -> None:
    assert found(kickstart(archive="ef" * 32)) is None
    assert found(kickstart(url="/run/kickstrap/other")) is None
    assert found(kickstart(), identity=KNOWN._replace(seed="")) is None


def test_the_digest_is_that_of_all_that_determines_the_file_system() -> None:
    def digest(text: str = "", version: str = VERSION, identity: DiskIdentity = KNOWN) -> str:
        text = text or kickstart(archive=identity.payload)
        return prepared.digest(some(text, identity), identity, version)

    different = [
        digest(),
        digest(kickstart("part / --size=64\n")),
        digest(kickstart("part / --size=64 --grow --label=root\n")),
        digest(kickstart(f"part swap --size=16 --ondisk=vda\n{PLAIN}")),
        digest(version="mke2fs 1.47.3 (8-Jul-2025)"),
        digest(version="mke2fs 1.46.2 (28-Feb-2021)"),
        digest(identity=KNOWN._replace(seed="00" * 32)),
        digest(identity=KNOWN._replace(epoch="1")),
        digest(identity=KNOWN._replace(payload="00" * 32)),
    ]
    assert len(set(different)) == len(different)
    assert digest() == digest(version=f"{VERSION}\n")


def made(path: Path, label: str = "", identity: DiskIdentity = KNOWN, at: int = MIB, size: int = 127) -> Path:
    """A disk with the file system that is wanted, or with one that differs from it."""
    with path.open("wb") as file:
        file.truncate(128 * MIB)
    one = some(kickstart(f"part / --size=64 --grow{f' --label={label}' if label else ''}\n"))
    argv = prepared.command(one, identity, VERSION, str(path))
    argv[argv.index("-E") + 1] += f",offset={at}"
    CommandRunner(lambda _: None).run([*argv, f"{size * 1024}k"])
    return path


def test_the_file_system_is_found_by_what_identifies_it(tmp_path: Path) -> None:
    assert prepared.is_on(str(made(tmp_path / "same")), some(), KNOWN)
    assert not prepared.is_on(str(made(tmp_path / "label", label="other")), some(), KNOWN)
    assert not prepared.is_on(str(made(tmp_path / "uuid", identity=KNOWN._replace(seed="00" * 32))), some(), KNOWN)
    assert not prepared.is_on(str(made(tmp_path / "size", size=126)), some(), KNOWN)
    assert not prepared.is_on(str(made(tmp_path / "place", at=2 * MIB, size=126)), some(), KNOWN)
    (tmp_path / "short").write_bytes(bytes(MIB))
    assert not prepared.is_on(str(tmp_path / "short"), some(), KNOWN)


@pytest.mark.parametrize(("offset", "value"), [(56, b"\0"), (58, b"\0"), (96, b"\xff"), (236, b"\xff")])
def test_a_damaged_one_is_not_it(tmp_path: Path, offset: int, value: bytes) -> None:
    disk = made(tmp_path / "disk")
    with disk.open("r+b") as file:
        file.seek(MIB + 1024 + offset)
        file.write(value)
    assert not prepared.is_on(str(disk), some(), KNOWN)


class MachineOfTest(CommandRunner):
    """Records what would be run; knows the version of mkfs."""

    def __init__(self) -> None:
        self.logged: list[str] = []
        super().__init__(self.logged.append)
        self.ran: list[list[str]] = []

    def run(self, argv: Any, **_: Any) -> Result:
        words = [str(word) for word in argv]
        if words[1:] == ["-V"]:
            return Result(0, VERSION)
        self.ran.append(words)
        return Result(0, "")


def target(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    disk: Path,
    given: str,
    text: str = "",
    firmware: str = "bios",
) -> storage.TargetDisks:
    monkeypatch.setattr(devices, "find_disks", lambda: [str(disk)])
    monkeypatch.setattr(devices, "find_partitions", lambda _: ())
    monkeypatch.setattr(devices, "wait_for", lambda _: None)
    monkeypatch.setattr(devices, "link_by_uuid", lambda *_: None)
    whole, identity = planned(text or kickstart(), firmware), KNOWN._replace(prepared=given)
    disks = storage.TargetDisks(MachineOfTest(), whole.storage, tmp_path / "root", identity)
    disks.prepare(f"kickstrap.firmware={firmware}")
    disks.adopt(whole)
    disks.make()
    return disks


def test_the_prepared_file_system_is_kept_and_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = made(tmp_path / "disk")
    disks = target(tmp_path, monkeypatch, disk, prepared.digest(some(), KNOWN, VERSION))
    assert disks.adopted
    assert [words[0] for words in disks._commands.ran] == ["sfdisk", "mount"]  # type: ignore[attr-defined]
    wiped = disks._commands.ran[0]  # type: ignore[attr-defined]
    assert wiped[wiped.index("--wipe-partitions") + 1] == "never"
    assert [(one.file_system.mountpoint, one.uuid) for one in disks.mounted] == [("/", KNOWN.uuid("file system", "/"))]


def test_the_other_partitions_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, machine = kickstart(f"{ESP}part swap --size=16\n{PLAIN}"), TargetMachine((128,), "uefi", existing=())
    one = found(text, machine)
    assert one is not None
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(128 * MIB)
    argv = prepared.command(one, KNOWN, VERSION, str(disk))
    argv[argv.index("-E") + 1] += f",offset={one.start}"
    CommandRunner(lambda _: None).run([*argv, f"{one.placed.size * 1024}k"])
    disks = target(tmp_path, monkeypatch, disk, prepared.digest(one, KNOWN, VERSION), text, "uefi")
    assert disks.adopted
    ran = disks._commands.ran  # type: ignore[attr-defined]
    assert [words[0] for words in ran] == ["sfdisk", "mkfs.vfat", "mkswap", "mount", "mount"]
    assert [words[-1].removeprefix(str(tmp_path)) for words in ran[-2:]] == ["/root", "/root/boot/efi"]


@pytest.mark.parametrize("why", ["nothing", "another", "empty"])
def test_anything_else_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    disk = made(tmp_path / "disk", size=127 if why != "empty" else 100)
    given = {"nothing": "", "another": "00" * 32}.get(why, prepared.digest(some(), KNOWN, VERSION))
    disks = target(tmp_path, monkeypatch, disk, given)
    assert not disks.adopted
    assert [words[0] for words in disks._commands.ran] == ["sfdisk", "mkfs.ext4", "mount"]  # type: ignore[attr-defined]
    wiped = disks._commands.ran[0]  # type: ignore[attr-defined]
    assert wiped[wiped.index("--wipe-partitions") + 1] == "always"
    assert bool(disks._commands.logged) == (why != "nothing")  # type: ignore[attr-defined]


def test_the_partition_table_leaves_it_as_it_is(tmp_path: Path) -> None:
    disk = made(tmp_path / "disk")
    before = disk.read_bytes()[MIB:]
    placed = layout.place(planned(kickstart()).storage._replace(label="msdos"), MACHINE)
    script = layout.sfdisk_script(placed, "msdos", "/", [KNOWN.uuid("a"), KNOWN.uuid("b")])
    argv = ["sfdisk", "--quiet", "--wipe", "always", "--wipe-partitions", "never", "--no-reread", disk]
    CommandRunner(lambda _: None).run(argv, input=script)
    assert disk.read_bytes()[MIB:] == before
    listed = subprocess.check_output(["/usr/sbin/sfdisk", "--dump", disk], text=True)
    assert "start=        2048, size=      260096, type=83, bootable" in listed


def test_the_archive_is_not_unpacked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def log(self, text: str) -> None:
            self.lines.append(text)

    monkeypatch.setattr(storage, "bind_kernel", lambda *_: None)
    monkeypatch.setattr(install.payload, "unpack", lambda *_, **__: pytest.fail("unpacked"))
    screen = Screen()
    one = install.Installation(planned(kickstart()), screen, MachineOfTest(), tmp_path, KNOWN)  # type: ignore[arg-type]
    assert "unpack the root archive" in [step.text for step in one.steps()]
    one._disks._prepared = some()
    assert "use the host's root file system" in [step.text for step in one.steps()]
    one._payload()
    assert screen.lines == ["the root archive has been unpacked by the host"]
    untils = [step.until for step in one.steps()]
    assert untils == sorted(untils)
