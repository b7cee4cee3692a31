"""How the record of a shelf changes, and which records are not read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from imagebuild.errors import UsageError
from imagebuild.shelf import record as records
from imagebuild.shelf.changes import changed
from imagebuild.shelf.record import EMPTY, ShelfRecord, ShelvedVersion
from tests.shelf.test_indexes import shelved

NOW, LATER = "2026-11-29T10:00:00+00:00", "2026-11-30T10:00:00+00:00"


def after(former: ShelfRecord, *versions: ShelvedVersion, keep: int = 2, **options: Any) -> ShelfRecord:
    """The next record, of a build that has ended."""
    arrivals = [("web", one) for one in versions]
    return replace(changed(former, arrivals, keep=keep, now=options.pop("now", NOW), **options), complete=True)


def versions(record: ShelfRecord) -> list[str]:
    return [version.version for one in record.templates for version in one.versions]


def number(count: int) -> ShelvedVersion:
    return shelved(version=f"2026-11-29.{count}")


def names(version: ShelvedVersion) -> set[str]:
    return {one.name for one in version.files}


def test_revisions_rise_with_changes_and_only_then() -> None:
    one = after(EMPTY, number(1))
    assert (one.serial, one.templates[0].revision, one.templates[0].current.revision) == (1, 1, 1)
    same = after(one, number(1), now=LATER)
    assert (same.serial, same.templates[0].revision, same.changed) == (1, 1, NOW)
    two = after(same, number(2), now=LATER)
    assert (two.serial, two.templates[0].revision, two.changed) == (2, 2, LATER)
    assert [version.revision for version in two.templates[0].versions] == [1, 2]
    other = changed(two, [("db", shelved("db"))], keep=2, now=LATER)
    assert {one.name: one.revision for one in other.templates} == {"web": 2, "db": 3}


def test_another_description_is_no_other_image() -> None:
    one = after(EMPTY, number(1))
    better = after(one, replace(number(1), verdict="passed"))
    assert (better.templates[0].revision, better.templates[0].current.verdict) == (1, "passed")


def test_a_way_back_is_a_new_revision() -> None:
    two = after(EMPTY, number(1), number(2))
    back = after(two, drop=["web/2026-11-29.2"])
    assert (versions(back), back.templates[0].revision) == (["2026-11-29.1"], 2)
    again = after(after(back, drop=["web"]), number(1))
    assert again.templates[0].revision == 4, "clients may have another image of revision 1 to 3"


def test_the_newest_versions_are_kept_by_number() -> None:
    found = after(EMPTY, *(number(count) for count in (9, 10, 2)), keep=3)
    assert versions(found) == ["2026-11-29.2", "2026-11-29.9", "2026-11-29.10"]
    assert versions(after(found, number(11), keep=2)) == ["2026-11-29.10", "2026-11-29.11"]
    with pytest.raises(UsageError, match="older than the 2 newest"):
        after(found, number(1), keep=2)


def test_files_of_the_former_index_are_kept_once_more() -> None:
    found = after(after(EMPTY, number(1)), number(2), keep=1)
    assert set(found.grace) == names(number(1))
    assert after(found, number(2), keep=1).grace == ()


def test_after_an_unfinished_build_those_of_both_are_kept() -> None:
    found = after(after(EMPTY, number(1)), number(2), keep=1)
    unfinished = replace(found, complete=False)
    assert set(after(unfinished, number(3), keep=1).grace) == names(number(1)) | names(number(2))


def test_a_version_never_gets_another_image() -> None:
    one = after(EMPTY, number(1))
    changed_image = replace(number(1), files=number(2).files)
    with pytest.raises(UsageError, match="with another image"):
        after(one, changed_image)


def test_versions_with_missing_files_are_left_out() -> None:
    two = after(EMPTY, number(1), number(2))
    left = after(two, missing=[number(2).files[0].name])
    assert (versions(left), left.templates[0].revision) == (["2026-11-29.1"], 2)


@pytest.mark.parametrize(("drop", "says"), [("db", "no template db"), ("web/2026-11-29.7", "no such version")])
def test_nothing_to_drop(drop: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        after(after(EMPTY, number(1)), drop=[drop])


def good() -> ShelfRecord:
    return after(after(EMPTY, number(1)), number(2), keep=1, signer="A" * 40)


def test_a_record_is_read_as_it_was_written() -> None:
    assert records.decoded(records.encoded(good()).encode()) == good()


def template(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["templates"][0]
    return found


def version(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template(data)["versions"][0]
    return found


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another schema": lambda data: data.update(schema=2),
    "unknown key": lambda data: data.update(more=1),
    "serial as text": lambda data: data.update(serial="2"),
    "negative serial": lambda data: data.update(serial=-1),
    "huge serial": lambda data: data.update(serial=1 << 62),
    "revision of the future": lambda data: template(data).update(revision=3),
    "boolean": lambda data: data.update(complete=1),
    "signer is an option": lambda data: data.update(signer="--output=/etc/passwd"),
    "grace is a path": lambda data: data.update(grace=["../../etc/passwd"]),
    "grace is another file": lambda data: data.update(grace=["index.html"]),
    "file is a path": lambda data: version(data)["files"][0].update(name="../x"),
    "file of another content": lambda data: version(data)["files"][0].update(sha256="0" * 64),
    "no digest": lambda data: version(data)["files"][0].update(sha512=""),
    "digest and a line": lambda data: version(data)["files"][0].update(sha512="0" * 128 + "\n"),
    "unknown item": lambda data: version(data)["files"][0].update(item="x"),
    "no image": lambda data: version(data).update(files=version(data)["files"][1:]),
    "file twice": lambda data: version(data).update(files=version(data)["files"] * 2),
    "no versions": lambda data: template(data).update(versions=[]),
    "version twice": lambda data: template(data).update(versions=[version(data)] * 2),
    "template twice": lambda data: data.update(templates=[template(data)] * 2),
    "name of a template": lambda data: template(data).update(name="a/b"),
    "architecture with a line": lambda data: version(data).update(arch="x86\nfile=x"),
    "expand": lambda data: version(data).update(expand="/dev/sda1\nx=y"),
    "title": lambda data: version(data).update(title="x" * 2000),
    "time": lambda data: data.update(changed="now"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record(name: str) -> None:
    data = json.loads(json.dumps(asdict(good())))
    HOSTILE[name](data)
    with pytest.raises(ValueError):  # noqa: PT011 - each with another message
        records.decoded(json.dumps(data).encode())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"null", b"{", b"\xff", b"[" * 100_000, b'{"schema": 1, "schema": 1']
)
def test_no_record(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each with another message
        records.decoded(content)
