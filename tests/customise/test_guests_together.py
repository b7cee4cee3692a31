"""Several guests: in one appliance if its kernel has named the disks in order, otherwise one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagebuild.customise.contents import guests
from imagebuild.errors import GuestError

DISKS = (Path("a"), Path("b"), Path("c"))
IN_ORDER = "/sys/block/sda/device/scsi_disk/0:0:0:0 /sys/block/sdb/device/scsi_disk/0:0:1:0 "
SWAPPED = "/sys/block/sdb/device/scsi_disk/0:0:0:0 /sys/block/sda/device/scsi_disk/0:0:1:0 "
OWN = "/sys/block/sdc/device/scsi_disk/0:0:2:0"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, ...]]:
    """The guests that are opened in an appliance of their own; the shared one lists its disks as
    the test says.
    """
    opened: list[tuple[Path, ...]] = []

    @contextmanager
    def fake(first: Path, fmt: str, *, more: list[Path], **options: Any) -> Iterator[str]:
        opened.append((first, *more))
        yield first.name

    @contextmanager
    def started(disks: Any, fmt: str, **options: Any) -> Iterator[Any]:
        yield SimpleNamespace(g=SimpleNamespace(debug=lambda name, words: SWAPPED + OWN))

    monkeypatch.setattr("imagebuild.guest.opened", fake)
    monkeypatch.setattr("imagebuild.guest.launch.started", started)
    monkeypatch.setattr("imagebuild.guest.inventory.plain", lambda g: {})
    return opened


def test_one_guest_is_opened_as_always(alone: list[tuple[Path, ...]]) -> None:
    guests.each([DISKS], "raw", lambda disk: None, accel="tcg", tmpdir=Path())
    assert alone == [DISKS]


def test_disks_in_another_order_are_not_opened_together(alone: list[tuple[Path, ...]]) -> None:
    used: list[Any] = []
    guests.each([DISKS[:1], DISKS[1:2]], "raw", used.append, accel="tcg", tmpdir=Path())
    assert alone == [DISKS[:1], DISKS[1:2]]
    assert used == ["a", "b"]


def test_an_error_says_which_image_it_is_about(alone: list[tuple[Path, ...]]) -> None:
    def use(disk: Any) -> None:
        if disk == "b":
            raise GuestError("this disk is empty", "is it the first?")

    with pytest.raises(GuestError, match="image 2: this disk is empty") as caught:
        guests.each([DISKS[:1], DISKS[1:2]], "raw", use, accel="tcg", tmpdir=Path())
    assert caught.value.hint == "is it the first?"


@pytest.mark.parametrize(("listed", "expected"), [(IN_ORDER + OWN, True), (SWAPPED + OWN, False)])
def test_the_order_of_the_disks(listed: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagebuild.guest.inventory.plain", lambda g: {})
    session: Any = SimpleNamespace(g=SimpleNamespace(debug=lambda name, words: listed))
    assert guests._Bus(session, 2).in_order() is expected
