"""How the package manager of each family is called, and what is recorded afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from imagebuild.customise import registry
from imagebuild.customise.guest import Guest
from imagebuild.customise.linux.packages import parse_apk_installed
from imagebuild.customise.runner import apply_one
from imagebuild.errors import GuestError
from tests.operations.memory import MemoryDisk, Node, with_folders

PROGRAM = Node("file", 0o755, b"x")
RPM = {"/usr/bin/rpm": PROGRAM}
FAMILIES: dict[str, dict[str, Node]] = {
    "apt": {"/var/lib/dpkg/status": Node("file", 0o644, b""), "/usr/sbin/invoke-rc.d": PROGRAM},
    "dnf": {**RPM, "/usr/bin/dnf": PROGRAM},
    "yum": {**RPM, "/usr/bin/yum": PROGRAM},
    "zypper": {**RPM, "/usr/bin/zypper": PROGRAM},
    "apk": {"/lib/apk/db/installed": Node("file", 0o644, b"")},
}


class Family(MemoryDisk):
    """A guest whose package manager has the given packages, and records how it was called."""

    def __init__(self, kind: str, *names: str) -> None:
        super().__init__(with_folders(FAMILIES[kind]))
        self.kind = kind
        self.calls: list[list[str]] = []
        self.policies: list[bool] = []
        self.has(dict.fromkeys(names, "1"))

    def has(self, versions: dict[str, str]) -> None:
        self.versions = versions
        self.provided = {"editor": "vim", "/usr/bin/vim": "vim", "perl(JSON)": "tree"}
        dpkg = "\n".join(f"Package: {n}\nStatus: install ok installed\nVersion: {v}\n" for n, v in versions.items())
        apk = "\n".join(f"P:{n}\nV:{v}\n" for n, v in versions.items())
        path, text = ("/var/lib/dpkg/status", dpkg) if self.kind == "apt" else ("/lib/apk/db/installed", apk)
        if path in self.tree:
            self.tree[path] = Node("file", 0o644, text.encode())

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> str:
        if argv[0] == "rpm":
            return self.rpm(argv)
        argv = list(argv)
        self.calls.append(argv)
        self.policies.append("/usr/sbin/policy-rc.d" in self.tree)
        if {"install", "add"} & set(argv):
            self.has({**self.versions, argv[-1]: "2"})
        elif {"purge", "remove", "del"} & set(argv):
            self.has({name: version for name, version in self.versions.items() if name != argv[-1]})
        elif {"upgrade", "dist-upgrade"} & set(argv) or argv[:1] + argv[3:4] == ["zypper", "update"]:
            self.has(dict.fromkeys(self.versions, "3"))
        return ""

    def rpm(self, argv: Sequence[str]) -> str:
        if "--all" in argv:
            return "".join(f"{name}\t{version}\tx86_64\n" for name, version in self.versions.items())
        name = self.provided.get(argv[-1], argv[-1]) if "--whatprovides" in argv else argv[-1].partition("-")[0]
        if name not in self.versions:
            raise GuestError(f"rpm failed in the guest: no package provides {argv[-1]}")
        return f"{name}-{self.versions[name]}.x86_64\n"


@pytest.mark.parametrize("kind", FAMILIES)
def test_install_remove_and_update(kind: str) -> None:
    disk = Family(kind, "vim")
    installed = apply_one(disk, registry.call("install-packages", {"packages": ["vim", "tree"]}))
    assert [(one.path, one.what) for one in installed.changes] == [("package tree", "installed 2")]
    assert disk.calls[-1][-1] == "tree"
    assert "vim" not in disk.calls[-1], "installed packages are not requested"
    removed = apply_one(disk, registry.call("remove-packages", {"packages": ["tree", "absent"]}))
    assert [(one.path, one.what) for one in removed.changes] == [("package tree", "removed")]
    assert "absent" not in disk.calls[-1]
    updated = apply_one(disk, registry.call("update-packages"))
    assert [(one.path, one.what) for one in updated.changes] == [("package vim", "updated to 3")]
    assert {call[0] for call in disk.calls} == {"apt-get" if kind == "apt" else kind}
    if kind == "apt":
        assert all(disk.policies), "services must not start"
    assert "/usr/sbin/policy-rc.d" not in disk.tree


@pytest.mark.parametrize("kind", FAMILIES)
def test_nothing_asks_questions(kind: str) -> None:
    disk = Family(kind)
    apply_one(disk, registry.call("install-packages", {"packages": ["tree"]}))
    quiet = {
        "apt-get": "--yes",
        "dnf": "--assumeyes",
        "yum": "--assumeyes",
        "zypper": "--non-interactive",
        "apk": "add",
    }
    assert quiet[disk.calls[-1][0]] in disk.calls[-1]


@pytest.mark.parametrize("kind", ["dnf", "yum", "zypper"])
@pytest.mark.parametrize("name", ["vim", "editor", "/usr/bin/vim", "vim.x86_64", "vim-1"])
def test_what_rpm_knows_is_there(kind: str, name: str) -> None:
    disk = Family(kind, "vim")
    call = registry.call("install-packages", {"packages": [name]})
    asks = registry.get("install-packages").needs_network
    assert asks is not None
    assert not asks(Guest(disk), call.params)
    apply_one(disk, call)
    assert not disk.calls


def test_what_a_new_package_provides_is_there_afterwards() -> None:
    disk = Family("dnf")
    disk.provided["perl(JSON)"] = "perl(JSON)"
    apply_one(disk, registry.call("install-packages", {"packages": ["perl(JSON)"]}))
    assert disk.calls[-1][-1] == "perl(JSON)"


def test_a_group_is_left_to_the_package_manager() -> None:
    disk = Family("dnf", "vim")
    for _ in range(2):
        apply_one(disk, registry.call("install-packages", {"packages": ["@core", "vim"]}))
        assert disk.calls[-1][-1] == "@core"


def test_the_database_of_apk() -> None:
    found = parse_apk_installed("C:Q1x\nP:busybox\nV:1.37.0-r12\np:cmd:sh=1 so:x\n\nP:vim\nV:9.1\nF:usr\nR:vim\n")
    assert found.versions == {"busybox": "1.37.0-r12", "vim": "9.1"}
    assert not found.missing(("cmd:sh",))
