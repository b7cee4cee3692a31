"""The packages of guests of every kind with their licences, and the files that belong to none."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.contents.inventory import PackageRecord
from imagebuild.customise.contents import apk_packages, dpkg_packages, package_reader
from imagebuild.customise.contents.collect import collect
from imagebuild.customise.contents.rpm_packages import described
from tests.customise.test_collect import Surveyed
from tests.operations.memory import Node, with_folders

STATUS = """\
Package: bash
Status: install ok installed
Maintainer: Matthias Klose <doko@debian.org>
Installed-Size: 7000
Architecture: amd64
Source: bash (5.2.37-2)
Version: 5.2.37-2+b3
Homepage: http://example.org/bash
Description: shell
 Version: 1

Package: coreutils
Status: install ok installed
Architecture: amd64
Version: 9.7-3

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.41-12

Package: libc6
Status: install ok installed
Architecture: i386
Source: glibc
Version: 2.41-12
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
Copyright: nobody
License: GPL-3+
 The text. License: not this

Files: doc
License:  Latex2e
"""
DEBIAN = {
    "/var/lib/dpkg/status": STATUS,
    "/var/lib/dpkg/info/bash.list": "/.\n/bin\n/bin/bash\n/etc/skel/.bashrc\n",
    "/var/lib/dpkg/info/coreutils.list": "/usr/bin/ls\n/usr/lib/python3/mod.py\n",
    "/var/lib/dpkg/info/libc6:amd64.list": "/lib/x86_64-linux-gnu/libc.so.6\n",
    "/var/lib/dpkg/info/libc6:i386.list": "/usr/lib/i386-linux-gnu/libc.so.6\n",
    "/var/lib/dpkg/info/gone.list": "/etc/gone.conf\n",
    "/var/lib/dpkg/diversions": "/usr/bin/ls\n/usr/bin/ls.coreutils\nbusybox\n",
    "/usr/share/doc/bash/copyright": COPYRIGHT,
    "/usr/share/doc/coreutils/copyright": "This is free software.\nLicense: GPL\n",
    "/usr/bin/bash": "elf",
    "/usr/bin/ls.coreutils": "elf",
    "/usr/lib/python3/mod.py": "x = 1",
    "/usr/lib/python3/__pycache__/mod.cpython-313.pyc": "code",
    "/usr/lib/python3/__pycache__/other.cpython-313.pyc": "code",
    "/usr/lib/x86_64-linux-gnu/libc.so.6": "elf",
    "/usr/lib/i386-linux-gnu/libc.so.6": "elf",
    "/etc/gone.conf": "left",
    "/etc/skel/.bashrc": "alias",
    "/usr/local/bin/tool": "ours",
    "/usr/local/bin/a\nb": "ours",
}
LINKS = {"/bin": "usr/bin", "/lib": "usr/lib", "/usr/bin/awk": "/etc/alternatives/awk"}


def guest(files: Mapping[str, str | bytes], modes: Mapping[str, int] | None = None) -> Surveyed:
    content = {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}
    nodes = {path: Node("file", (modes or {}).get(path, 0o644), data) for path, data in content.items()}
    return Surveyed(with_folders(nodes | {path: Node("symlink", 0o777, one.encode()) for path, one in LINKS.items()}))


def test_packages_of_a_debian_guest() -> None:
    found = collect(guest(DEBIAN))
    assert found.installed == (
        PackageRecord("bash", "5.2.37-2+b3", "amd64", "bash", "5.2.37-2", "Matthias Klose <doko@debian.org>",
                      "http://example.org/bash", 7000 * 1024, ("GPL-3+", "Latex2e")),
        PackageRecord("coreutils", "9.7-3", "amd64", "coreutils", "9.7-3"),
        PackageRecord("libc6", "2.41-12", "amd64", "glibc", "2.41-12"),
        PackageRecord("libc6", "2.41-12", "i386", "glibc", "2.41-12"),
    )  # fmt: skip
    assert found.packages == {"bash": "5.2.37-2+b3", "coreutils": "9.7-3", "libc6": "2.41-12"}


def test_files_of_no_package() -> None:
    found = {one.path: one.sha256 for one in collect(guest(DEBIAN, {"/usr/local/bin/tool": 0o600})).unowned or ()}
    assert found.keys() - {f"/usr/share/doc/{name}/copyright" for name in ("bash", "coreutils")} == {
        "/etc/gone.conf",
        "/usr/lib/python3/__pycache__/other.cpython-313.pyc",
        "/usr/local/bin/tool",
        "/usr/local/bin/a\nb",
    }
    assert found["/usr/local/bin/tool"] == "", "not everybody may read it"
    assert len(found["/etc/gone.conf"]) == len(found["/usr/local/bin/a\nb"]) == 64


def test_links_of_a_guest_lead_nowhere_on_the_host() -> None:
    hostile = guest(DEBIAN)
    for path in ("/usr/share/doc/bash/copyright", "/var/lib/dpkg/info/bash.list"):
        hostile.tree[path] = Node("symlink", 0o777, b"/../../../../etc/passwd")
    found = collect(hostile)
    assert found.installed is not None
    assert found.installed[0].licences == ()


def test_copyright_files_that_are_too_large_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_reader, "_LARGEST_COPYRIGHT", 20)
    found = collect(guest(DEBIAN))
    assert found.installed is not None
    assert not any(one.licences for one in found.installed)


def test_too_many_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpkg_packages, "MOST_PACKAGES", 2)
    assert [one.name for one in dpkg_packages.records(STATUS)] == ["bash", "coreutils"]


def test_a_damaged_status_file_is_unknown() -> None:
    found = collect(guest(DEBIAN | {"/var/lib/dpkg/status": b"\xff\0\n\n:\n"}))
    assert (found.packages, found.installed, found.unowned) == (None, None, None)


@given(st.text(), st.binary())
def test_no_text_is_an_error(text: str, output: bytes) -> None:
    dpkg_packages.records(f"Package: a\nStatus: install ok installed\nSource: {text}\nInstalled-Size: {text}\n")
    dpkg_packages.licences(output)
    list(dpkg_packages.diverted(text))
    apk_packages.records(f"P:a\n{text}")
    list(apk_packages.owned(text))


APK = """\
C:Q1abc=
P:musl
V:1.2.5-r9
A:x86_64
S:411112
I:667648
T:the musl c library
U:https://musl.libc.org/
L:MIT
o:musl
m:Somebody <a@example.org>
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
F:
R:top

P:libcrypto3
V:3.3.2-r1
o:openssl
"""


def test_packages_of_an_alpine_guest() -> None:
    found = collect(
        guest({"/usr/lib/apk/db/installed": APK, "/usr/lib/ld-musl-x86_64.so.1": "elf", "/top": "", "/etc/own": "x"})
    )
    assert found.installed == (
        PackageRecord("libcrypto3", "3.3.2-r1", "", "openssl", "3.3.2-r1"),
        PackageRecord("musl", "1.2.5-r9", "x86_64", "musl", "1.2.5-r9", "Somebody <a@example.org>",
                      "https://musl.libc.org/", 667648, ("MIT",)),
    )  # fmt: skip
    assert [one.path for one in found.unowned or ()] == ["/etc/own"]


def rpm_header(**changes: tuple[int, int, int, bytes]) -> bytes:
    """A package as rpm stores it: tag, type, count and value of each entry."""
    entries = {
        "name": (1000, 6, 1, b"bash\0"), "version": (1001, 6, 1, b"5.1.8\0"), "release": (1002, 6, 1, b"9.el9\0"),
        "indexes": (1116, 4, 2, struct.pack(">II", 0, 1)), "names": (1117, 8, 2, b"bash\0bashrc\0"),
        "folders": (1118, 8, 2, b"/usr/bin/\0/etc/\0"), "size": (1009, 4, 1, struct.pack(">I", 7000)),
        "vendor": (1011, 6, 1, b"Rocky\0"), "licence": (1014, 6, 1, b"GPLv3+\0"), "url": (1020, 6, 1, b"http://x.org\0"),
        "arch": (1022, 6, 1, b"x86_64\0"), "source": (1044, 6, 1, b"bash-5.1.8-9.el9.src.rpm\0"),
    } | changes  # fmt: skip
    index, store = b"", b""
    for tag, kind, count, value in entries.values():
        index += struct.pack(">IIII", tag, kind, len(store), count)
        store += value
    return struct.pack(">II", len(entries), len(store)) + index + store


def rpm_database(*blobs: bytes) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in blobs])
    connection.commit()
    content = connection.serialize()
    connection.close()
    return content


def test_packages_of_an_rpm_guest() -> None:
    database = rpm_database(rpm_header())
    record = PackageRecord(
        "bash", "5.1.8-9.el9", "x86_64", "bash", "5.1.8-9.el9", "Rocky", "http://x.org", 7000, ("GPLv3+",)
    )
    assert described(database) == ([record], {"/usr/bin/bash", "/etc/bashrc"})
    files = {"/usr/lib/sysimage/rpm/rpmdb.sqlite": database, "/usr/bin/bash": b"elf", "/etc/own": b"x"}
    found = collect(guest(files))
    assert found.installed == (record,)
    assert [one.path for one in found.unowned or ()] == ["/etc/own"]


@pytest.mark.parametrize(
    "change",
    [
        {"indexes": (1116, 4, 1 << 30, b"\0\0\0\0")},
        {"names": (1117, 8, 1 << 31, b"a\0")},
        {"names": (1117, 6, 1, b"a\0")},
        {"size": (1009, 4, 0, b"")},
    ],
)
def test_lists_of_files_that_are_no_lists(change: dict[str, tuple[int, int, int, bytes]]) -> None:
    found = collect(guest({"/usr/lib/sysimage/rpm/rpmdb.sqlite": rpm_database(rpm_header(**change))}))
    assert (found.installed, found.unowned) == (None, None)


def test_a_guest_without_a_package_manager() -> None:
    found = collect(guest({"/etc/own": "x"}))
    assert (found.packages, found.installed, found.unowned) == ({}, (), None)
