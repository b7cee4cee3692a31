"""The kickstarts that ``tests/e2e/test_foreign.py`` installs for real are accepted, within a second."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imagebuild.kickstrap.agent import kickstart, supported
from imagebuild.kickstrap.agent.machine import TargetMachine
from tests.e2e.foreign_guests import GUESTS

FOREIGN = Path(__file__).parents[1] / "e2e/foreign"


def rendered(name: str) -> str:
    """The kickstart as a recipe renders it, in short."""
    text = (FOREIGN / f"{name}.ks").read_text(encoding="utf-8")
    return re.sub(r"\{\{.*?\}\}", "words", text) + "liveimg --url=file:///run/kickstrap/payload\n"


def size(disk: str) -> int:
    """MiB of a disk of a recipe."""
    return int(disk.removesuffix("GiB")) * 1024


def test_each_kickstart_has_a_guest() -> None:
    assert sorted(GUESTS) == sorted(path.stem for path in FOREIGN.glob("*.ks"))


@pytest.mark.parametrize("name", GUESTS)
def test_nothing_of_it_is_refused(name: str) -> None:
    guest, text = GUESTS[name], rendered(name)
    handler = kickstart.parse(text, guest.syntax or None)
    found = supported.check(handler, text, TargetMachine(tuple(map(size, guest.disks))))
    assert [finding for finding in found if finding.severity == "error"] == []
