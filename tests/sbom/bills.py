"""A guest's inventory for tests of SBOMs: names, versions and licences of every kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from imagebuild.contents.inventory import Inventory, PackageRecord, UnownedFile
from imagebuild.sbom.bill import Bill, BilledImage, bill
from tests.contents.inventories import HOSTILE, inventory

PACKAGES = (
    PackageRecord("bash", "5.2.37-2+b3", "amd64", "bash", "5.2.37-2", "Matthias Klose <doko@debian.org>",
                  "http://tiswww.case.edu/php/chet/bash/bashtop.html", 7000 << 10, ("GPL-3+", "Latex2e")),
    PackageRecord("libc6", "2.41-12", "amd64", "glibc", "2.41-12"),
    PackageRecord("libc6", "2.41-12", "i386", "glibc", "2.41-12"),
    PackageRecord("libstdc++6", "14.2.0-19", "amd64", "gcc-14", "14.2.0-19", licences=("GPL-3+ or Expat", "weird one")),
    PackageRecord("openssh-server", "1:10.0p1-7~deb13u1", "amd64", "openssh", "1:10.0p1-7~deb13u1",
                  "Debian OpenSSH (team) <team@example.org>", "not an address", 2000, ("Expat",)),
)  # fmt: skip
FILES = (
    UnownedFile("/etc/hostname", "aa" * 32),
    UnownedFile("/etc/shadow"),
    UnownedFile("/usr/local/bin/tool +%", "bb" * 32),
)
EVIL = PackageRecord(
    HOSTILE, "1:2\n\udcff~", "\x1b[31m", "a@b?c#d", "%%", "<\x00>", "http://[", 1, (HOSTILE, "(((", "", ", and")
)
IMAGE = BilledImage("web", "2026-11-29.1", "web.qcow2", "ab" * 32, datetime(2026, 11, 29, 20, 1, 2, tzinfo=UTC))


def guest(**changes: Any) -> Inventory:
    """The small Debian guest with these packages; ``changes`` are fields to replace."""
    return inventory(**({"installed": PACKAGES, "unowned": FILES} | changes))


def a_bill(**changes: Any) -> Bill:
    """Its bill."""
    return bill(guest(**changes), IMAGE)
