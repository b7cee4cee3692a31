"""What follows from a list of files."""

from __future__ import annotations

from imagebuild.contents import derive
from imagebuild.contents.inventory import EnabledUnit, FileRecord, FolderSize


def files(*paths: str, kind: str = "f") -> list[FileRecord]:
    return [FileRecord(path, kind, 0o644, 0, 0) for path in paths]


def link(path: str, target: str = "") -> FileRecord:
    return FileRecord(path, "l", 0o777, 0, 0, 0, target)


def test_kernels() -> None:
    found = derive.kernels(
        [
            *files("/boot/vmlinuz-6.12.1", "/boot/vmlinuz-0-rescue-4fb1", "/boot/initrd.img-6.12.1", "/srv/vmlinuz-1"),
            *files("/usr/lib/modules/6.12.1", "/usr/lib/modules/6.11.0", "/lib/modules", kind="d"),
            link("/boot/vmlinuz-old"),
        ]
    )
    assert found == ("6.11.0", "6.12.1")


def test_units() -> None:
    found = derive.units(
        [
            link("/etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service"),
            link("/etc/systemd/system/network.target.requires/ssh.service"),
            link("/usr/lib/systemd/system/sockets.target.wants/dbus.socket", "../dbus.socket"),
            link("/usr/lib/systemd/system/sysinit.target.wants/masked.service"),
            link("/etc/systemd/system/masked.service", "/dev/null"),
            link("/etc/systemd/system/sshd.service", "/usr/lib/systemd/system/ssh.service"),
            link("/etc/rc2.d/S01cron", "../init.d/cron"),
        ]
    )
    assert found == (
        EnabledUnit("dbus.socket", ("sockets.target",), vendor=True),
        EnabledUnit("ssh.service", ("multi-user.target", "network.target")),
    )


def test_guests_without_systemd() -> None:
    assert derive.units([link("/etc/runlevels/default/sshd", "/etc/init.d/sshd")]) == (
        EnabledUnit("sshd", ("default",)),
    )
    both = [link("/etc/rc2.d/S01cron"), link("/etc/rc3.d/S02cron"), link("/etc/rc0.d/K01cron"), link("/etc/rc3.d/K01x")]
    assert derive.units(both) == (EnabledUnit("cron", ("2", "3")),)


def test_folders() -> None:
    size = 1 << 20
    deep = "/usr/lib/a/b/c/d"
    found = derive.folders({"/usr": 0, deep: size, "/usr/share/x": size, "/etc/small": 4096})
    assert found == (
        FolderSize("/", 2 * size + 4096),
        FolderSize("/usr", 2 * size),
        FolderSize("/usr/lib", size),
        FolderSize("/usr/lib/a", size),
        FolderSize("/usr/share", size),
    )
