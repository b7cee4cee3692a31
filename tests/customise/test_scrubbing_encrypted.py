"""Scrubbing a guest on two disks whose root is LVM in LUKS2, with a LUKS1 data partition and an
unencrypted second disk."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from imagebuild import scrub as scrubbing
from imagebuild.cli.main import cli
from imagebuild.customise import registry
from imagebuild.errors import GuestError
from imagebuild.guest import Key, find_root
from imagebuild.guest.calls import Translated
from imagebuild.guest.encryption import open_all
from imagebuild.guest.layout import mount
from imagebuild.host import accelerator
from imagebuild.scrub import recognised, scrub
from tests.appliance import appliance, started
from tests.volumes import encrypt, partition

pytestmark = pytest.mark.guestfs
ROOT, DATA = "secret of the root", "secret of the data"
HOMES = ("/srv/alice", "/home/bob", "/opt/carol")
"""On LUKS1, on a logical volume of the second disk and on a partition of it, both by UUID."""
PASSWD = "root:x:0:0::/root:/bin/sh\n" + "".join(
    f"{home.split('/')[2]}:x:{uid}:{uid}::{home}:/bin/sh\n" for uid, home in enumerate(HOMES, start=1000)
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], str]:
    """The disks and the UUID of the LUKS1 header."""
    with appliance(tmp_path_factory.mktemp("encrypted"), 288 << 20, 160 << 20) as (g, disks):
        partition(g, "/dev/sda", (48, 160, 48))
        partition(g, "/dev/sdb", (64, 48))
        encrypt(g, "/dev/sda2", ROOT, 2)
        encrypt(g, "/dev/sda3", DATA, 1)
        g.cryptsetup_open("/dev/sda2", ROOT, "one")
        g.cryptsetup_open("/dev/sda3", DATA, "two")
        for name, device in (("fedora", "/dev/mapper/one"), ("data", "/dev/sdb1")):
            g.pvcreate(device)
            g.vgcreate(name, [device])
        g.lvcreate("root", "fedora", 80)
        g.lvcreate("swap", "fedora", 16)
        g.lvcreate("home", "data", 48)
        g.mkswap("/dev/fedora/swap")
        devices = {
            "/": "/dev/fedora/root",
            "/boot": "/dev/sda1",
            "/srv": "/dev/mapper/two",
            "/home": "/dev/data/home",
            "/opt": "/dev/sdb2",
        }
        for place, device in devices.items():
            g.mkfs("ext4", device)
            if place != "/":
                g.mkdir_p(place)
            g.mount(device, place)
        uuids = {place: g.vfs_uuid(device) for place, device in devices.items()}
        luks1, luks2 = g.luks_uuid("/dev/sda3"), g.luks_uuid("/dev/sda2")
        fstab = "/dev/mapper/fedora-root / ext4 defaults 0 1\n/dev/mapper/data /srv ext4 defaults 0 2\n" + "".join(
            f"UUID={uuids[place]} {place} ext4 defaults 0 2\n" for place in ("/boot", "/home", "/opt")
        )
        crypttab = f"luks-{luks2} UUID={luks2} none discard\ndata UUID={luks1} none\n"
        for path, text in {
            "/etc/fstab": f"{fstab}/dev/mapper/fedora-swap none swap defaults 0 0\n",
            "/etc/crypttab": f"# <target> <source>\n{crypttab}",
            "/etc/passwd": PASSWD,
            "/etc/machine-id": "4fb1a1c2d3e4f5061728394a5b6c7d8e\n",
            **{f"{home}/.bash_history": "mysql -psecret\n" for home in HOMES},
        }.items():
            g.mkdir_p(str(Path(path).parent))
            g.write(path, text)
    return disks, luks1


@pytest.fixture
def disks(made: tuple[list[Path], str], tmp_path: Path) -> list[Path]:
    copies = [tmp_path / disk.name for disk in made[0]]
    for disk, copy in zip(made[0], copies, strict=True):
        subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
    return copies


def test_scrub_unlocks_what_there_is_a_key_for(
    disks: list[Path], made: tuple[list[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "verdict", lambda _cache: accelerator.Verdict("tcg", "a test"))
    monkeypatch.setenv("DATA_PASSPHRASE", DATA)
    (tmp_path / "root").write_text(f"{ROOT}\n")
    keys = ["--key", f"/dev/vda2:file:{tmp_path / 'root'}", "--key", f"{made[1]}:env:DATA_PASSPHRASE"]
    store = ["--store", str(tmp_path / "store")]
    names = ("reset-machine-id", "remove-histories", "trim-free-space")
    operations = [word for name in names for word in ("--operation", name)]
    before = sum(disk.stat().st_blocks for disk in disks)
    result = CliRunner().invoke(cli, ["scrub", *map(str, disks), *keys, *operations, *store], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "3 changed" in result.output
    assert "not done" not in result.output
    assert DATA not in result.output
    # Discards pass through LVM and LUKS: overwriting free space with zeros would have filled the disks with
    # encrypted zeros.
    assert sum(disk.stat().st_blocks for disk in disks) < before + (8 << 20) // 512
    found = scrubbing.audit(recognised(disks), accel="tcg", keys=[Key("all", ROOT), Key("all", DATA)])
    changed = {one.name for one in found.operations if one.changes}
    assert changed.isdisjoint({"reset-machine-id", "remove-histories"})


def test_a_wrong_key_leaves_the_images(disks: list[Path]) -> None:
    before = [disk.read_bytes() for disk in disks]
    with pytest.raises(GuestError, match="the key for /dev/sda2 does not unlock it") as caught:
        scrub(recognised(disks), [registry.call("reset-machine-id")], accel="tcg", keys=[Key("all", "secret of hers")])
    assert "secret of hers" not in f"{caught.value} {caught.value.hint}"
    assert [disk.read_bytes() for disk in disks] == before


def test_what_is_not_unlocked_is_reported(disks: list[Path], tmp_path: Path) -> None:
    def told(*keys: Key) -> str:
        with pytest.raises(GuestError) as caught:
            open_all(guestfs, keys)
            mount(guestfs, find_root(guestfs))
        guestfs.umount_all()
        return f"{caught.value} ({caught.value.hint})"

    with started(tmp_path, disks) as g:
        guestfs = Translated(g)
        assert told().startswith(
            "/dev/sda2, /dev/sda3 in this guest is encrypted with LUKS (give its passphrase with `--key "
            "DEVICE:env:NAME`"
        )
        assert "the key for /dev/sda9 matches nothing in the guest (encrypted devices: /dev/sda2, /dev/sda3)" in told(
            Key("/dev/sda9", ROOT)
        )
        close(guestfs, g.list_dm_devices())
        only_root = told(Key("/dev/sda2", ROOT))
        assert "cannot mount /dev/mapper/data on /srv" in only_root
        assert "/dev/sda3 in this guest is encrypted with LUKS (give its passphrase with `--key" in only_root


def close(guestfs: Translated, names: Sequence[str]) -> None:
    for name in names:
        guestfs.cryptsetup_close(name)
