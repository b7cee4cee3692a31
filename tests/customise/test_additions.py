"""What further packages bring is added to an installed guest, or nothing is changed."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from imagebuild.customise import process
from imagebuild.customise.additions import AccountFile, Additions, GuestDiffers, merged
from imagebuild.files import write_record
from imagebuild.host import accelerator

BEFORE = "root:x:0:0:root:/root:/bin/bash\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
AFTER = BEFORE + "rsync:x:101:101::/:/usr/sbin/nologin\n"
USER = "admin:x:1000:1000::/home/admin:/bin/bash\n"


def of(before: str = BEFORE, after: str = AFTER, path: str = "/etc/passwd") -> AccountFile:
    return AccountFile(path, before, after)


def test_accounts_of_both_in_the_order_of_one_installation() -> None:
    assert merged(of(), BEFORE + USER) == AFTER + USER


def test_an_entry_that_only_one_has_changed() -> None:
    changed = BEFORE.replace("/root:/bin/bash", "/root:/bin/sh")
    assert merged(of(), changed) == AFTER.replace("/root:/bin/bash", "/root:/bin/sh")
    assert merged(of(after=changed), BEFORE + USER) == changed + USER
    assert merged(of(after=changed), changed) == changed


def test_what_the_installation_has_removed_stays_away() -> None:
    assert merged(of(), BEFORE.splitlines(keepends=True)[0]) == AFTER.replace(BEFORE.splitlines(keepends=True)[1], "")


def test_the_day_of_a_password_is_no_change() -> None:
    before, after = "root:*:20000:0:99999:7:::\n", "root:*:20001:0:99999:7:::\nrsync:!:20001::::::\n"
    locked = "root:!*:20000:0:99999:7:::\n"
    assert merged(of(before, after, "/etc/shadow"), locked) == locked + "rsync:!:20001::::::\n"


@pytest.mark.parametrize(
    ("after", "now"),
    [
        (BEFORE.replace("/bin/bash", "/bin/zsh"), BEFORE.replace("/bin/bash", "/bin/sh")),
        (AFTER, BEFORE + "rsync:x:1000:1000::/home/rsync:/bin/bash\n"),
        (AFTER, BEFORE + "admin:x:101:101::/home/admin:/bin/bash\n"),
    ],
    ids=["changed by both", "created by both", "the same number"],
)
def test_accounts_that_cannot_be_merged(after: str, now: str) -> None:
    with pytest.raises(GuestDiffers, match="/etc/passwd"):
        merged(of(after=after), now)


# -- in a guest ------------------------------------------------------------------------------------


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def archive(path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for name, text, mode, attributes in (
            ("./etc/issue", "further packages\n", 0o640, {}),
            ("./usr/local/bin/ping", "a program", 0o4711, {"SCHILY.xattr.user.origin": "package"}),
        ):
            one = tarfile.TarInfo(name)
            one.size, one.mode, one.mtime, one.uid, one.gid, one.pax_headers = len(text), mode, 5, 3, 4, attributes
            made.addfile(one, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("./usr/local/bin/ping6")
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "ping", 5
        made.addfile(link)
    return path


def debugfs(disk: Path, command: str) -> str:
    return subprocess.run(["debugfs", "-R", command, disk], capture_output=True, text=True, check=True).stdout


def apply(disk: Path, tmp_path: Path, wanted: Additions) -> None:
    write_record(tmp_path / "difference.json", wanted)
    made = archive(tmp_path / "difference.tar")
    process.run(disk, "raw", [], accel=accelerator.verdict(tmp_path / "host.json").accelerator, workdir=tmp_path,
                additions=(made, tmp_path / "difference.json"))  # fmt: skip


@pytest.mark.guestfs
def test_files_and_accounts_in_a_guest(debian: Path, tmp_path: Path) -> None:
    issue, passwd = debugfs(debian, "cat /etc/issue"), debugfs(debian, "cat /etc/passwd")
    wanted = Additions(
        replaced={"/etc/issue": sha256(issue)},
        added=("/usr/local/bin/ping", "/usr/local/bin/ping6"),
        removed={"/etc/debian_version": sha256(debugfs(debian, "cat /etc/debian_version"))},
        accounts=(of(passwd, passwd + "rsync:x:801:801::/:/usr/sbin/nologin\n"),),
    )
    apply(debian, tmp_path, wanted)
    assert debugfs(debian, "cat /etc/issue") == "further packages\n"
    about = debugfs(debian, "stat /usr/local/bin/ping")
    assert "Mode:  04711" in about
    assert "User:     3   Group:     4" in about
    assert 'user.origin (7) = "package"' in about
    assert 'Fast link dest: "ping"' in debugfs(debian, "stat /usr/local/bin/ping6")
    assert debugfs(debian, "cat /etc/passwd").endswith("rsync:x:801:801::/:/usr/sbin/nologin\n")
    assert "debian_version" not in debugfs(debian, "ls /etc")


@pytest.mark.guestfs
@pytest.mark.parametrize("what", ["replaced", "added", "link"])
def test_a_guest_with_other_files_is_left_alone(debian: Path, tmp_path: Path, what: str) -> None:
    issue = debugfs(debian, "cat /etc/issue")
    wanted = {
        "replaced": Additions({"/etc/issue": sha256("another")}, (), {}),
        "added": Additions({}, ("/etc/issue",), {}),
        "link": Additions({"/etc/os-release": "../elsewhere"}, (), {}),
    }[what]
    with pytest.raises(GuestDiffers, match=r"/etc/issue" if what != "link" else "/etc/os-release"):
        apply(debian, tmp_path, wanted)
    assert debugfs(debian, "cat /etc/issue") == issue
    assert "ping6" not in debugfs(debian, "ls /usr/local/bin")
