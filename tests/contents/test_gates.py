"""Gates: their names, and what each of them reports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imagebuild.contents import gates
from imagebuild.contents.compare import compare
from imagebuild.contents.described import DescribedImage
from imagebuild.contents.inventory import EnabledUnit
from tests.contents.inventories import CHANGED, MIB, image


def said(*names: str, a: DescribedImage | None = None, b: DescribedImage = CHANGED) -> list[str]:
    diff = compare(a or image(), b)
    return [one.message for one in gates.fired([gates.parse(name) for name in names], diff)]


@pytest.mark.parametrize(
    "name", ["package-removed", "new-setuid-file", "new-listening-unit", "new-user", "size-growth=0%"]
)
def test_no_gate_reports_what_does_not_differ(name: str) -> None:
    assert said(name, b=image()) == []


def test_what_each_reports() -> None:
    assert said("package-removed") == ["1 package is removed: vim"]
    assert said("new-user") == ["1 account is new: eve (uid 1000)"]
    assert said("new-listening-unit") == ["1 socket unit is new or has a new address: ssh.socket (22)"]
    (line,) = said("new-setuid-file")
    assert line.startswith("2 files gain privileges: ")
    assert line.endswith("/usr/bin/ping (capabilities)")


def test_a_downgrade_or_upgrade_is_no_removal() -> None:
    assert said("package-removed", b=image(packages={"bash": "1", "openssh-server": "1", "vim": "1"})) == []


def test_packages_that_are_not_known_do_not_pass() -> None:
    assert said("package-removed", b=image(packages=None)) == [
        "the packages of at least one of the images are not known"
    ]


def test_a_new_address_of_a_known_unit() -> None:
    unit = EnabledUnit("x.socket", ("sockets.target",), ("127.0.0.1:80",))
    wider = replace(unit, listens=("127.0.0.1:80", "0.0.0.0:80"))
    assert said("new-listening-unit", a=image(units=(unit,)), b=image(units=(wider,)))
    assert said("new-listening-unit", a=image(units=(wider,)), b=image(units=(unit,))) == []


def test_growth_of_the_file_and_of_what_is_used() -> None:
    larger = replace(image(), file_size=220 * MIB)
    assert said("size-growth=10%", b=larger) == []
    assert said("size-growth=9.5%", b=larger) == ["the image file grows by 10.0%, from 200 MiB to 220 MiB"]
    assert said("size-growth=5%", a=image(disks=())) == [
        "the space used in its file systems grows, from 0 B to 1.0 GiB"
    ]


def test_shrinking_passes() -> None:
    assert said("size-growth=0%", b=replace(image(), file_size=1)) == []


@pytest.mark.parametrize("name", ["", "new-users", "new-user=1", "package-removed="])
def test_an_unknown_gate_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="there is no gate") as caught:
        gates.parse(name)
    assert all(known in str(caught.value) for known in gates.names())


@pytest.mark.parametrize(
    "name", ["size-growth", "size-growth=", "size-growth=10", "size-growth=-1%", "size-growth=nan%"]
)
def test_growth_needs_a_percentage(name: str) -> None:
    with pytest.raises(ValueError, match="size-growth=10%"):
        gates.parse(name)


def test_a_gate_given_twice_reports_once() -> None:
    assert len(said("new-user", "new-user")) == 1
