"""Where a link may lead a cleanup, and where not."""

from __future__ import annotations

import pytest

from imagebuild.customise.system_folders import is_of_system, leads_astray, names_little


@pytest.mark.parametrize(
    ("asked", "real"),
    [
        ("/tmp", "/var/tmp"),
        ("/var/tmp", "/tmp"),
        ("/tmp", "/data/tmp"),
        ("/var/log", "/data/log"),
        ("/var/log", "/var/data/log"),
        ("/root/.ssh", "/data/ssh"),
        ("/root/.ssh", "/var/roothome/.ssh"),
        ("/home", "/var/home"),
        ("/home/ann/.cache", "/scratch/ann"),
        ("/var/run/console", "/run/console"),
        ("/lib/systemd/system", "/usr/lib/systemd/system"),
        ("/etc/lvm/archive", "/etc/lvm/backup"),
        ("/var/lib/puppet/ssl", "/var/lib/puppet/state"),
        ("/var/mail", "/var/spool/mail"),
    ],
)
def test_a_link_that_is_followed(asked: str, real: str) -> None:
    assert not leads_astray(asked, real)


@pytest.mark.parametrize("asked", ["/tmp", "/root/.ssh", "/var/log", "/var/crash", "/home/ann/.cache", "/tmp/../tmp/."])
@pytest.mark.parametrize(
    "real",
    ["/", "/etc", "/usr", "/usr/bin", "/usr/lib/x/y", "/usr/share/doc", "/bin", "/sbin", "/lib", "/lib64/x", "/boot",
        "/dev", "/proc", "/sys",
     "/run", "/home", "/root", "/var", "/var/lib", "/var/lib/dpkg", "/etc/ssh", "/etc/pam.d/x", "/opt", "/srv",
     "/usr/local/bin", "/usr/local",
     "/boot/efi/EFI"],
)  # fmt: skip
def test_a_link_into_the_system(asked: str, real: str) -> None:
    assert leads_astray(asked, real)


def test_the_root_of_another_file_system() -> None:
    assert leads_astray("/var/log", "/srv/disk", ["/", "/srv/disk"])
    assert not leads_astray("/var/log", "/srv/disk/log", ["/", "/srv/disk"])
    assert not leads_astray("/tmp", "/var/tmp", ["/", "/var/tmp"])


@pytest.mark.parametrize("pattern", ["/a/*", "/a/*.bin", "/a/*/b", "/a/*_*", "/var/log/[a-z]*", "/x/??/secretname"])
def test_a_pattern_that_fits_anything(pattern: str) -> None:
    assert names_little(pattern)


@pytest.mark.parametrize("pattern", ["/etc/ssh/ssh_host_*_key", "/root/install.log*", "/etc/passwd"])
def test_a_pattern_that_names_something(pattern: str) -> None:
    assert not names_little(pattern)


@pytest.mark.parametrize(
    "home", ["/", "/usr/bin", "/bin", "/dev", "/usr/games", "/etc", "/var", "/tmp", "/home", "/proc/1", "/usr/lib/news"]
)
def test_no_home(home: str) -> None:
    assert is_of_system(home)


@pytest.mark.parametrize(
    "home", ["/home/ann", "/var/lib/postgresql", "/u01/app/oracle", "/var/www", "/usr/sap/x", "/opt/app", "/data/app"]
)
def test_a_home(home: str) -> None:
    assert not is_of_system(home)
