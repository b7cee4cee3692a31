"""Which packages are installed first, which packages apt chooses, and what a mirror offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imagebuild.kickstrap import archive_times, chosen, foundation, release_file
from imagebuild.kickstrap.agent import without_sync
from imagebuild.kickstrap.base_root import BaseSpec
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.stored_roots import base_step
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from tests.kickstrap.test_archive_times import DAY, PACKAGE, archive

RELEASE = """\
Origin: Debian
Codename: trixie-security
Date: {date}
SHA256:
 {digest} 2259602 main/binary-amd64/Packages
 {other} 100 main/binary-arm64/Packages
 {other} 100 contrib/binary-amd64/Packages
 {digest} 90 main/binary-amd64/Release
"""
SIMULATED = """\
NOTE: This is only a simulation!
Inst libnl-3-200 (3.7.0-2 Debian:13.2/stable [amd64])
Inst gone [1.0] (2.0 Debian:13.2/stable [amd64]) [other:amd64 ]
Inst htop:amd64 (3.4.1-5 Debian:13.2/stable [amd64])
Remv old [1.2]
Conf htop (3.4.1-5 Debian:13.2/stable [amd64])
"""


def test_the_part_depends_on_the_list_alone() -> None:
    common = sorted(foundation.PACKAGES)
    assert foundation.part([*common, "htop"]) == tuple(common)
    assert foundation.part(["htop", *reversed(common), "htop"]) == tuple(common)
    assert foundation.part([*common[1:], "htop"]) == tuple(common[1:])


def test_no_part_without_more_or_with_too_little_in_common() -> None:
    common = sorted(foundation.PACKAGES)
    assert foundation.part(common) == ()
    assert foundation.part([]) == ()
    assert foundation.part([*common[:5], "htop"]) == ()


def test_they_are_those_of_the_shipped_recipe() -> None:
    from imagebuild.build import plan as plans
    from imagebuild.kickstrap.installer import KickstrapPreparation
    from imagebuild.step import Tools

    recipe = load("debian-13")
    assert isinstance(recipe, Recipe)
    tools = Tools(mmdebstrap="1.3.5", libguestfs="1", qemu="1")
    plan = plans.make(recipe, Mirror("http://mirror.example/debian"), tools=tools, secret_key=b"k" * 32)
    assert isinstance(plan.preparation, KickstrapPreparation)
    assert set(plan.preparation.payload_spec.packages) == foundation.PACKAGES


def test_what_apt_would_do() -> None:
    there = {"base-files": "13.8", "gone": "1.0", "old": "1.2"}
    assert chosen.parsed(there, SIMULATED.splitlines()) == {
        "base-files": "13.8",
        "gone": "2.0",
        "htop": "3.4.1-5",
        "libnl-3-200": "3.7.0-2",
    }


def release(digest: str = "a", other: str = "b", date: str = "Sat, 09 Nov 2024 09:59:14 UTC") -> str:
    return RELEASE.format(digest=digest * 64, other=other * 64, date=date)


def test_a_mirror_with_the_same_packages_has_the_same_name() -> None:
    name = release_file.offered([release()], ("main",), "amd64")
    assert name == release_file.offered([release(other="c", date="today")], ("main",), "amd64")
    assert name != release_file.offered([release("c")], ("main",), "amd64")
    assert name != release_file.offered([release()], ("main", "contrib"), "amd64")
    assert release_file.offered([release()], ("non-free",), "amd64") == ""
    assert release_file.offered([release(), "Origin: x\n"], ("main",), "amd64") == ""


@pytest.mark.parametrize(
    "other",
    [
        BaseSpec("bookworm"),
        BaseSpec("trixie", Mirror("http://mirror.example/debian")),
        BaseSpec("trixie", components=("main", "contrib")),
        BaseSpec("trixie", excluded=("nano",)),
        BaseSpec("trixie", recommends=True),
        BaseSpec("trixie", arch="arm64"),
    ],
)
def test_all_but_the_date_is_in_a_bases_fingerprint(other: BaseSpec) -> None:
    plain = base_step(BaseSpec("trixie", epoch=1), "offered", "1.3.5")
    assert plain.fingerprint == base_step(BaseSpec("trixie", epoch=2), "offered", "1.3.5").fingerprint
    assert plain.fingerprint != base_step(other, "offered", "1.3.5").fingerprint
    assert plain.fingerprint != base_step(BaseSpec("trixie"), "other", "1.3.5").fingerprint
    assert plain.fingerprint != base_step(BaseSpec("trixie"), "offered", "1.5").fingerprint


def test_files_apart_are_not_the_newest(tmp_path: Path) -> None:
    made = archive(tmp_path / "root.tar", 20100 * DAY)
    assert archive_times.settle(made, 20100 * DAY, apart="./usr/bin") == 20100 * DAY
    assert archive_times.settle(made, 20100 * DAY, apart="./usr/share") == PACKAGE


def test_syncing_succeeds_and_does_nothing() -> None:
    """As root: a sync of a descriptor that does not exist fails, unless the kernel never sees it."""
    code = (
        "import ctypes; libc = ctypes.CDLL(None)\n"
        "print(libc.fsync(999), libc.fdatasync(999), libc.syncfs(999), libc.close(999))"
    )
    argv = [sys.executable, "-I", without_sync.__file__, "sh", "-c", f"{sys.executable} -c '{code}'; exit 3"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "0", "0", "-1"]
    assert done.returncode == 3
