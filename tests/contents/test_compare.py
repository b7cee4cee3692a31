"""What a difference contains."""

from __future__ import annotations

from imagebuild.contents.compare import SizeChange, VersionChange, compare, file_changes
from imagebuild.contents.inventory import EnabledUnit, FileRecord, GuestAccount
from tests.contents.inventories import CHANGED, HOSTILE, image, inventory


def test_an_image_does_not_differ_from_itself() -> None:
    diff = compare(image(), image())
    assert diff.is_empty
    assert all(one.growth == 0 for one in diff.sizes)


def test_packages() -> None:
    packages = compare(image(), CHANGED).packages
    assert packages.added == {"tree": "2.2.1-1"}
    assert packages.removed == {"vim": "2:9.1.1230-2"}
    assert packages.upgraded == (VersionChange("bash", "5.2.37-2+b3", "5.2.37-2+b4"),)
    assert packages.downgraded == (VersionChange("openssh-server", "1:10.0p1-7", "1:9.2p1-2"),)


def test_a_version_that_counts_as_equal_is_neither_up_nor_down() -> None:
    packages = compare(image(packages={"a": "1.0"}), image(packages={"a": "0:1.00"})).packages
    assert packages.rewritten == (VersionChange("a", "1.0", "0:1.00"),)
    assert not packages.upgraded + packages.downgraded


def test_unknown_packages_are_not_compared() -> None:
    packages = compare(image(), image(packages=None)).packages
    assert not packages.known
    assert not packages.removed


def test_files() -> None:
    files = compare(image(), CHANGED).files
    assert [one.path for one in files.added] == [HOSTILE, "/usr/bin/ping"]
    assert [one.path for one in files.removed] == ["/etc/localtime"]
    assert [(new.path, file_changes(old, new)) for old, new in files.changed] == [
        ("/etc", ("mode",)),
        ("/etc/hostname", ("content",)),
    ]


def test_each_property_of_a_file() -> None:
    old = FileRecord("/a", "f", 0o644, 0, 0, 1, "", "", "aa")
    new = FileRecord("/a", "l", 0o777, 1, 2, 0, "b", "01", "")
    assert file_changes(old, new) == ("type", "mode", "owner", "group", "size", "link target", "capabilities")


def test_contents_are_compared_only_if_both_were_read() -> None:
    old = FileRecord("/a", "f", 0o644, 0, 0, 1, "", "", "aa")
    assert compare(image(files=(old,)), image(files=(old._replace(sha256=""),))).is_empty


def test_privileges_are_gained_and_lost() -> None:
    diff = compare(image(), CHANGED)
    assert [one.path for one in diff.gained] == [HOSTILE, "/usr/bin/ping"]
    assert diff.lost == ()
    assert [one.path for one in compare(CHANGED, image()).lost] == [HOSTILE, "/usr/bin/ping"]
    plain, setgid = (FileRecord("/a", "f", mode, 0, 0) for mode in (0o4755, 0o6755))
    assert compare(image(files=(plain,)), image(files=(setgid,))).gained == (setgid,)
    more = plain._replace(capabilities="02")
    assert compare(image(files=(plain._replace(capabilities="01"),)), image(files=(more,))).gained == (more,)


def test_accounts_units_and_kernels() -> None:
    diff = compare(image(), CHANGED)
    assert [one.name for one in diff.accounts.added] == ["eve"]
    assert [one.name for one in diff.listening.added] == ["ssh.socket"]
    assert diff.kernels.added == ("6.12.50+deb13-amd64",)
    assert diff.system == (VersionChange("name", "Debian GNU/Linux 13 (trixie)", "Debian GNU/Linux 13.1 (trixie)"),)
    unlocked = GuestAccount("root", 0, 0, "/root", "/bin/bash", ("password",))
    assert compare(image(), image(accounts=(inventory().accounts[0], unlocked))).accounts.changed


def test_a_unit_that_listens_elsewhere_has_changed() -> None:
    units = [EnabledUnit("x.socket", ("sockets.target",), (port,)) for port in ("80", "443")]
    diff = compare(image(units=(units[0],)), image(units=(units[1],)))
    assert diff.listening.changed == ((units[0], units[1]),)


def test_growth() -> None:
    assert SizeChange("file", 100, 110).growth == 10
    assert SizeChange("file", 0, 1).growth == float("inf")
    assert SizeChange("file", 0, 0).growth == 0
