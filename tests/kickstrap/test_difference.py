"""The difference between two root archives."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagebuild.customise.additions import Additions
from imagebuild.errors import NotShareable
from imagebuild.files import read_record
from imagebuild.kickstrap import difference

Member = str | tuple[bytes, str] | None
"""The text of a file, a type with the target of a link, or None for a folder."""
COMMON: Mapping[str, Member] = {
    "./": None,
    "./etc/": None,
    "./etc/passwd": "root:x:0:0::/root:/bin/sh\n",
    "./usr/": None,
    "./usr/bin/": None,
    "./usr/bin/vi": "editor",
    "./usr/bin/view": (tarfile.LNKTYPE, "./usr/bin/vi"),
    "./usr/bin/ex": (tarfile.SYMTYPE, "vi"),
    "./var/": None,
    "./var/status": "vi",
}


def archive(path: Path, members: Mapping[str, Member], *, mtime: int = 1, modes: Mapping[str, int] | None = None,
            xattrs: Mapping[str, str] | None = None) -> Path:  # fmt: skip
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for name, what in members.items():
            one = tarfile.TarInfo(name)
            one.mtime, one.mode = mtime, (modes or {}).get(name, 0o755 if what is None else 0o644)
            content = b""
            if what is None:
                one.type = tarfile.DIRTYPE
            elif isinstance(what, tuple):
                one.type, one.linkname = what
            else:
                content = what.encode()
                one.size = len(content)
            if xattrs and name in xattrs:
                one.pax_headers = {"SCHILY.xattr.user.test": xattrs[name]}
            made.addfile(one, io.BytesIO(content))
    return path


def made(tmp_path: Path, whole: Mapping[str, Member], **more: object) -> tuple[Additions, dict[str, tarfile.TarInfo]]:
    common = archive(tmp_path / "common.tar", COMMON)
    other = archive(tmp_path / "whole.tar", whole, **more)  # type: ignore[arg-type]
    found = difference.write(difference.contents(common), difference.contents(other), tmp_path)
    with tarfile.open(found) as opened:
        members = {one.name: one for one in opened}
    return read_record(tmp_path / difference.DESCRIPTION, Additions), members


def test_new_and_changed_files(tmp_path: Path) -> None:
    whole = {**COMMON, "./usr/bin/htop": "top", "./usr/share/": None, "./usr/share/doc": "text", "./var/status": "both"}
    additions, members = made(tmp_path, whole, mtime=7)
    assert [*members] == ["./var/status", "./usr/bin/htop", "./usr/share", "./usr/share/doc"]
    assert {one.mtime for one in members.values()} == {7}
    assert additions.added == ("/usr/bin/htop", "/usr/share/doc")
    assert additions.replaced == {"/var/status": hashlib.sha256(b"vi").hexdigest()}
    assert additions.removed == {}


def test_equal_archives_but_for_times_have_no_difference(tmp_path: Path) -> None:
    additions, members = made(tmp_path, COMMON, mtime=99)
    assert members == {}
    assert additions == Additions({}, (), {})


def test_modes_and_attributes_count(tmp_path: Path) -> None:
    whole = dict(COMMON)
    _, members = made(
        tmp_path, whole, modes={"./usr/bin/": 0o700, "./usr/bin/vi": 0o4755}, xattrs={"./var/status": "x"}
    )
    assert {"./usr/bin", "./usr/bin/vi", "./var/status"} <= members.keys()
    assert members["./usr/bin/vi"].mode == 0o4755
    assert members["./var/status"].pax_headers["SCHILY.xattr.user.test"] == "x"


def test_other_names_of_a_replaced_file_are_made_again(tmp_path: Path) -> None:
    _, members = made(tmp_path, {**COMMON, "./usr/bin/vi": "another editor"})
    assert [*members] == ["./usr/bin/vi", "./usr/bin/view"]
    assert members["./usr/bin/view"].islnk()


def test_links_and_what_is_gone(tmp_path: Path) -> None:
    whole = {**COMMON, "./usr/bin/ex": (tarfile.SYMTYPE, "../share/vim")}
    whole.pop("./var/status")
    additions, members = made(tmp_path, whole)
    assert [*members] == ["./usr/bin/ex"]
    assert additions.replaced == {"/usr/bin/ex": "vi"}
    assert [*additions.removed] == ["/var/status"]


def test_accounts_are_described_and_not_copied(tmp_path: Path) -> None:
    more = "root:x:0:0::/root:/bin/sh\nmessagebus:x:100:101::/:/bin/false\n"
    additions, members = made(tmp_path, {**COMMON, "./etc/passwd": more})
    assert members == {}
    assert [(one.path, one.before, one.after) for one in additions.accounts] == [
        ("/etc/passwd", COMMON["./etc/passwd"], more)
    ]


@pytest.mark.parametrize(
    "path",
    [
        "./boot/initrd.img-6.12",
        "./etc/default/grub",
        "./etc/grub.d/40_more",
        "./usr/lib/modules/6.12/kernel/x.ko",
        "./usr/sbin/NetworkManager",
        "./usr/bin/os-prober",
        "./usr/lib/systemd/system/firewalld.service",
        "./etc/skel/.profile",
    ],
)
def test_what_the_installer_looks_at_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(NotShareable, match=path.removeprefix("./").replace(".", r"\.")):
        made(tmp_path, {**COMMON, path: "new"})


def test_a_file_that_becomes_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotShareable, match="/var/status"):
        made(tmp_path, {**COMMON, "./var/status": None})


def test_tar_gets_the_same_files_as_from_the_whole_archive(tmp_path: Path) -> None:
    whole = {**COMMON, "./usr/bin/htop": "top", "./usr/bin/vi": "another editor", "./var/status": "both"}
    made(tmp_path, whole)
    roots = []
    for name, archives in (("one", ["common.tar", difference.ARCHIVE]), ("other", ["whole.tar"])):
        (tmp_path / name).mkdir()
        for each in archives:
            subprocess.run(["tar", "--extract", "--file", each, "--directory", name], cwd=tmp_path, check=True)
        found = {path.relative_to(tmp_path / name): path for path in (tmp_path / name).rglob("*")}
        roots.append({
            str(at): (one.lstat().st_mode, one.lstat().st_nlink, one.read_text() if one.is_file() else "")
            for at, one in found.items()
        })  # fmt: skip
    assert roots[0] == roots[1]
