"""Files that stop a careless cleanup, on real file systems: odd names, depth, flags, hard links, no
space, large numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagebuild.customise import registry
from imagebuild.customise.guest import Guest
from imagebuild.customise.runner import apply_one
from imagebuild.errors import GuestFileError
from imagebuild.guest import GuestDisk
from imagebuild.guest.session import Session
from imagebuild.schema.customised import OperationResult
from tests.appliance import appliance

pytestmark = pytest.mark.guestfs
ODD = b"caf\xe9 \x01\x80\x81\x82\x88'\"$(x)\\\n*[-"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[Path]]]:
    with appliance(tmp_path_factory.mktemp("appliance"), 96 << 20, 512 << 20) as (g, disks):
        g.mkfs("ext4", "/dev/sda")
        g.mkfs("xfs", "/dev/sdb")
        yield g, disks


@pytest.fixture(params=["/dev/sda", "/dev/sdb"], ids=["ext4", "xfs"])
def guest(request: pytest.FixtureRequest, started: tuple[Any, list[Path]]) -> Iterator[tuple[Any, GuestDisk]]:
    g, disks = started
    g.mount(request.param, "/")
    sh(g, "cd /sysroot && chattr -R -f -i -a . ; rm -rf etc var tmp root")
    for folder in ("/etc", "/var/log", "/var/tmp", "/tmp", "/root/.ssh"):
        g.mkdir_p(folder)
    g.write("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
    yield g, GuestDisk(Session(lambda: g, disks, "raw"))
    g.umount_all()


def sh(g: Any, script: str) -> str:
    """The output of a script in the appliance's shell, without the final newline; the guest is at
    /sysroot."""
    return str(g.debug("sh", [script])).rstrip("\n")


def at(g: Any, folder: str, script: str, name: bytes = ODD) -> str:
    """The same in a folder of the guest, for a name of arbitrary bytes in ``$1``."""
    octal = "".join(f"\\{byte:03o}" for byte in name)
    return sh(
        g, f"""cd /sysroot{folder} && printf '{octal}\\0' >/tmp/name && xargs -0 -a /tmp/name sh -c '{script}' sh"""
    )


def applied(disk: GuestDisk, name: str) -> OperationResult:
    return apply_one(disk, registry.call(name))


def test_names_of_any_bytes(guest: tuple[Any, GuestDisk]) -> None:
    g, disk = guest
    name = ODD.decode("utf-8", "surrogateescape")
    at(
        g,
        "/tmp",
        'echo text >"./$1"; mkdir d; echo deep >"d/$1"; mkdir "/sysroot/var/log/$1"; echo log '
        '>"/sysroot/var/log/$1/$1"',
    )
    assert [entry.name for entry in disk.listdir("/tmp")] == [name, "d"] or disk.stat(f"/tmp/{name}") is not None
    assert disk.read(f"/tmp/{name}", 100) == b"text\n"
    disk.write(f"/tmp/{name}", b"other")
    disk.chmod(0o600, f"/tmp/{name}")
    disk.chown(5, 6, f"/tmp/{name}")
    disk.rename(f"/tmp/{name}", f"/tmp/2{name}")
    found = disk.stat(f"/tmp/2{name}")
    assert found is not None
    assert (found.size, found.mode, found.uid, found.gid) == (5, 0o600, 5, 6)
    assert disk.stat(f"/tmp/{name}") is None
    assert disk.glob("/tmp/2caf*") == [f"/tmp/2{name}"]
    logs = applied(disk, "clean-logs")
    assert [change.what for change in logs.changes] == ["emptied"]
    assert "caf\\xe9" in logs.changes[0].path
    assert at(g, "/var/log", 'stat -c %s "./$1/$1"') == "0"
    assert applied(disk, "clean-temporary-files").status == "changed"
    assert sh(g, "ls -A /sysroot/tmp") == ""


def test_folders_deeper_than_a_path_can_be_long(guest: tuple[Any, GuestDisk]) -> None:
    g, disk = guest
    # Nested from below: a shell that changes into each folder determines its own path at each step.
    chain = "/".join(["d" * 20] * 130)
    grow = (
        "mkdir t && echo secret >t/last.log && echo secret >t/last.1 && for i in $(seq 10); do mkdir -p "
        f"n/{chain} && mv t n/{chain}/d && mv n t || exit 1; done"
    )  # fmt: skip
    sh(g, f"cd /sysroot/tmp && {grow}; cd /sysroot/var/log && {grow}")
    logs = applied(disk, "clean-logs")
    assert sorted(change.what for change in logs.changes) == ["emptied", "removed"]
    assert applied(disk, "clean-temporary-files").status == "changed"
    assert sh(g, "ls -A /sysroot/tmp; find /sysroot/var/log -type f -printf '%f %s\\n'") == "last.log 0"
    assert applied(disk, "remove-backup-files").status == "nothing to do"
    assert disk.remove(["/var/log/t"]) == {}
    assert sh(g, "ls -A /sysroot/var/log") == ""


def test_what_must_not_be_changed_is_changed_and_keeps_its_flag(guest: tuple[Any, GuestDisk]) -> None:
    g, disk = guest
    sh(
        g,
        "cd /sysroot && echo x >etc/conf && echo key >root/.ssh/id && echo log >var/log/a.log && mkdir -p "
        "tmp/d/e && echo x >tmp/d/e/f"
        " && chattr +i etc/conf root/.ssh/id tmp/d/e/f tmp/d/e && chattr +a var/log/a.log && chattr +i "
        "root/.ssh var/log",
    )
    inside = Guest(disk)
    inside.edit("/etc/conf", lambda text: text + "y\n", "edited")
    inside.create("/var/log/new", "text", mode=0o600)
    for name in ("remove-user-ssh", "clean-logs", "clean-temporary-files"):
        assert applied(disk, name).status == "changed", name
    assert (
        sh(g, "cd /sysroot && cat etc/conf; ls -A root/.ssh tmp; stat -c %s var/log/a.log")
        == "x\ny\nroot/.ssh:\n\ntmp:\n0"
    )
    flags = sh(g, "cd /sysroot && lsattr -d etc/conf root/.ssh var/log var/log/a.log").splitlines()
    assert ["".join(flag for flag in line.split()[0] if flag in "ia") for line in flags] == ["i", "i", "i", "a"]


def test_other_names_of_a_file_keep_its_content(guest: tuple[Any, GuestDisk]) -> None:
    g, disk = guest
    sh(
        g,
        "cd /sysroot && chmod 640 etc/passwd && chown 3:4 etc/passwd && ln etc/passwd var/log/x.log && echo "
        "old >var/log/x.log- && echo a >etc/a && ln etc/a etc/b",
    )
    Guest(disk).edit("/etc/a", lambda _: "new\n", "edited")
    applied(disk, "clean-logs")
    assert sh(
        g, "cd /sysroot && cat etc/passwd etc/a etc/b; stat -c '%a %u %g %s %h' var/log/x.log; ls var/log etc"
    ) == ("root:x:0:0::/root:/bin/sh\nnew\na\n640 3 4 0 1\netc:\na\nb\npasswd\n\nvar/log:\nx.log\nx.log-")


def test_a_full_file_system(guest: tuple[Any, GuestDisk]) -> None:
    g, disk = guest
    old = b"old content\n" * 300
    g.write("/etc/conf", old)
    sh(
        g,
        "cd /sysroot/var && dd if=/dev/zero of=fill bs=64k 2>/dev/null; dd if=/dev/zero of=fill2 bs=512 "
        "2>/dev/null; true",
    )
    inside = Guest(disk)
    with pytest.raises(GuestFileError, match=r"/etc/conf in the guest: .*No space left"):
        inside.edit("/etc/conf", lambda _: "x" * 900_000, "edited")
    with pytest.raises(GuestFileError, match="No space left"):
        inside.create("/etc/new", "x" * 900_000)
    assert g.read_file("/etc/conf") == old
    assert disk.stat("/etc/new") is None
    assert not inside.changes


def test_thousands_of_files_take_few_calls_and_few_lines(
    guest: tuple[Any, GuestDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    g, disk = guest
    sh(g, "mkdir /sysroot/var/log/many && cd /sysroot/tmp && seq -f %020g 6000 | xargs touch && mkdir d-x && "
        "touch d-x/config && cd ../var/log/many && seq -f %g.log 3000 | xargs sh -c 'for name; do echo x >$name; "
        "done' sh && seq -f %g.old 3000 | xargs touch")  # fmt: skip
    calls: list[str] = []
    debug = g.debug
    monkeypatch.setattr(g, "debug", lambda *args: calls.append(str(args)) or debug(*args))
    emptied, removed = applied(disk, "clean-logs"), applied(disk, "clean-temporary-files")
    assert len(calls) < 20
    assert [(change.path, change.what) for change in removed.changes] == [
        ("/tmp", "removed all 6002 files and folders in it")
    ]
    assert [change.path for change in emptied.changes] == ["/var/log/many", "/var/log/many"]
    assert (
        sh(g, "ls -A /sysroot/tmp; find /sysroot/var/log -type f -size +0; ls /sysroot/var/log/many | wc -l") == "3000"
    )


def test_what_is_known_stays_true(guest: tuple[Any, GuestDisk]) -> None:
    _g, disk = guest
    list(disk.walk("/"))
    disk.mkdir("/etc/new/folder")
    disk.write("/etc/new/folder/file", b"x")
    disk.symlink("new/folder", "/etc/link")
    disk.write("/etc/link/second", b"xy")
    disk.chmod(0o600, "/etc/link/second")
    disk.rename("/etc/new", "/etc/other")
    disk.remove(["/etc/link"])
    disk.symlink("other/folder", "/etc/link")
    disk.copy("/etc/link/file", "/tmp/copy")
    disk.empty(["/etc/other/folder/second"])
    fresh = GuestDisk(disk._session)
    assert list(disk.walk("/")) == list(fresh.walk("/"))
    assert disk.realpath("/etc/link/file") == "/etc/other/folder/file"


def test_looks_as_libguestfs_does(guest: tuple[Any, GuestDisk]) -> None:
    g, disk = guest
    sh(g, r"cd /sysroot/etc && mkdir -p d/.e 'f[1]' && touch d/.e/x d/y 'f[1]/z' 'a*b' && ln -s /etc/d abs && "
        r"ln -s ../etc/./d/.. up && ln -s loop loop && ln -s ../../../../etc/d far && ln -s nowhere gone")  # fmt: skip
    for pattern in (
        "/etc/*",
        "/etc/.*",
        "/etc/*/y",
        "/etc/f\\[1\\]/*",
        "/etc/a\\*b",
        "/etc/[!a-c]*",
        "/etc/far/.e/?",
        "/etc/d/[.]e",
        "/*/loop",
        "/etc/gone",
    ):
        found = [path for path in g.glob_expand(pattern, directoryslash=False) if not path.endswith(("/.", "/.."))]
        assert disk.glob(pattern) == sorted(found), pattern
    for path in (
        "/etc/abs/y",
        "/etc/up/abs",
        "/etc/far",
        "/etc/loop",
        "/etc/gone",
        "/etc/d/y/..",
        "/etc/../../etc/abs/.e/../y",
    ):
        try:
            expected = g.realpath(path)
        except RuntimeError:
            with pytest.raises(GuestFileError):
                disk.realpath(path)
        else:
            assert disk.realpath(path) == expected
