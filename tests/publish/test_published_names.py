"""The names of published files."""

from __future__ import annotations

import pytest

from imagebuild.errors import UsageError
from imagebuild.publish import names

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize("disk", ["web", "debian-13", "a", "rocky_9.4+x", "web-disk2"])
def test_a_name_says_what_it_is_of(disk: str) -> None:
    name = names.file_name(disk, "2026-11-29.1", DIGEST)
    assert name == f"{disk}--2026-11-29.1--0123456789abcdef.qcow2"
    assert names.parsed(name) == names.FileName(disk, "2026-11-29.1", "0123456789abcdef")


@pytest.mark.parametrize(
    "name",
    [
        "web.qcow2",
        "web--1--0123456789abcde.qcow2",
        "web--1--0123456789ABCDEF.qcow2",
        "web--1--2--0123456789abcdef.qcow2",
        "../web--1--0123456789abcdef.qcow2",
        ".web--1--0123456789abcdef.qcow2",
        "web--1--0123456789abcdef.qcow2\n",
        "web --1--0123456789abcdef.qcow2",
        "web--1--0123456789abcdef.raw",
        "--1--0123456789abcdef.qcow2",
    ],
)
def test_other_names_are_not_of_published_files(name: str) -> None:
    assert names.parsed(name) is None


def test_a_file_belongs_to_the_template_that_its_name_begins_with() -> None:
    assert names.is_of(names.file_name("web", "1", DIGEST), "web")
    assert names.is_of(names.file_name("web-disk2", "1", DIGEST), "web")
    assert names.is_of(names.file_name("web-disk12", "1", DIGEST), "web")
    for disk in ("web-disk", "web-disk1", "web-disk02", "web-db", "webs"):
        assert not names.is_of(names.file_name(disk, "1", DIGEST), "web"), disk
    assert not names.is_of("web.qcow2", "web")


@pytest.mark.parametrize("name", ["", "-web", "web-", "a--b", "a/b", "a b", "a\nb", ".", "ä", "x" * 101])
def test_names_that_could_be_mistaken_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a valid name"):
        names.checked(name)


@pytest.mark.parametrize("name", ["web", "debian-13", "2026-11-29.1", "x" * 100])
def test_the_names_of_recipes_and_versions_are_valid(name: str) -> None:
    assert names.checked(name) == name
