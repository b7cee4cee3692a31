"""The times in a root archive are those of its packages, whenever it was written."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from imagebuild.kickstrap import archive_times, release_date

DAY = 86400
PACKAGE = 20000 * DAY + 17
SHADOW = "root:*:{day}:0:99999:7:::\nold:!:17000:0:99999:7:::\n"


def archive(path: Path, written: int, *, packages: bool = True) -> Path:
    """As mmdebstrap writes it at the time ``written``: a package's file, generated files, a long name."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        generated = {"./etc/ld.so.cache": "cache", "./etc/shadow": SHADOW.format(day=written // DAY)}
        for name, text, mtime in [
            *((("./usr/bin/old", "o", PACKAGE - 5), ("./usr/bin/new", "n", PACKAGE)) if packages else ()),
            *((name, text, written) for name, text in generated.items()),
            ("./usr/share/" + "x" * 300, "long", written),
        ]:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.pax_headers = len(text), mtime, {"SCHILY.xattr.user.a": "b"}
            out.addfile(member, io.BytesIO(text.encode()))
        folder = tarfile.TarInfo("./run")
        folder.type, folder.mtime = tarfile.DIRTYPE, written
        out.addfile(folder)
    return path


def test_two_days_give_the_same_bytes(tmp_path: Path) -> None:
    first = archive(tmp_path / "first", 20100 * DAY)
    second = archive(tmp_path / "second", 20107 * DAY + 5000)
    assert first.read_bytes() != second.read_bytes()
    assert archive_times.settle(first, 20100 * DAY) == PACKAGE
    assert archive_times.settle(second, 20107 * DAY + 5000) == PACKAGE
    assert first.read_bytes() == second.read_bytes()


def test_the_archive_remains_one(tmp_path: Path) -> None:
    made = archive(tmp_path / "root.tar", 20100 * DAY)
    archive_times.settle(made, 20100 * DAY)
    with tarfile.open(made) as root:
        members = {member.name: member for member in root}
        shadow = root.extractfile("./etc/shadow")
        assert shadow is not None
        assert shadow.read().decode() == SHADOW.format(day=20000)
    assert {name: member.mtime for name, member in members.items() if member.mtime != PACKAGE} == {
        "./usr/bin/old": PACKAGE - 5
    }
    assert members["./etc/ld.so.cache"].pax_headers["SCHILY.xattr.user.a"] == "b"


def test_an_archive_of_generated_files_stays(tmp_path: Path) -> None:
    made = archive(tmp_path / "root.tar", 20100 * DAY, packages=False)
    before = made.read_bytes()
    assert archive_times.settle(made, 20100 * DAY) == 20100 * DAY
    assert made.read_bytes() == before


def test_the_date_of_a_release_file() -> None:
    text = "Origin: Debian\nDate: Sat, 09 Nov 2024 09:59:14 UTC\nValid-Until: Sat, 16 Nov 2024 09:59:14 UTC\n"
    assert release_date.parsed(text) == 1731146354


@pytest.mark.parametrize("text", ["", "Date: soon\n", "Date: Thu, 01 Jan 1970 00:00:00 UTC\n", "Update: x\n"])
def test_a_release_file_without_a_date(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        release_date.parsed(text)
