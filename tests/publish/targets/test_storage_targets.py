"""What all storage targets have in common, each with its real peer."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from conftest import Place
from storage_driver import MIB, TEMPLATE, WrongBytes, after, publish, quiet

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.publish.release import Release
from imagebuild.publish.state import RecordError, encoded
from imagebuild.publish.targets.records import LOCK

pytestmark = pytest.mark.seconds
RECORD = f"{TEMPLATE}.json"
Releases = tuple[Release, Release]


class Cut(Exception):
    """The connection was cut, as far as the target can see."""


def cut_after(count: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done >= count:
            raise Cut

    return progress


def published_names(place: Place) -> set[str]:
    return {name for name in place.names() if name.endswith(".qcow2")}


def test_two_versions_are_published(place: Place, releases: Releases) -> None:
    one, two = releases
    target = place.target()
    assert target.state(TEMPLATE) is None
    assert target.templates() == []
    assert publish(target, one) == one.size
    assert publish(place.target(), two) == two.size
    found = place.target().state(TEMPLATE)
    assert found is not None
    assert (found.current, found.previous) == (two.version, one.version)
    assert target.templates() == [TEMPLATE]
    for release in releases:
        assert place.read(release.files[0].stored.name) == release.files[0].path.read_bytes()
    assert dict(target.stored()) == {release.files[0].stored.name: release.size for release in releases}
    assert place.names() - {LOCK} == {RECORD, *target.stored()}
    assert target.used(found) == {}


def test_what_is_there_is_not_sent_again(place: Place, releases: Releases) -> None:
    publish(place.target(), releases[0])
    assert publish(place.target(), releases[0]) == 0


def test_a_cut_upload_is_resumed(place: Place, releases: Releases) -> None:
    one, _ = releases
    with pytest.raises(Cut):
        publish(place.target(), one, cut_after(6 * MIB))
    assert published_names(place) == set()
    assert RECORD not in place.names()
    name = one.files[0].stored.name
    assert name in place.target().stored()
    count = publish(place.target(), one)
    assert 0 < count < one.size - 4 * MIB
    assert place.read(name) == one.files[0].path.read_bytes()


def test_wrong_bytes_under_the_right_name_are_found(place: Place, releases: Releases) -> None:
    one, _ = releases
    name = one.files[0].stored.name
    wrong = bytearray(one.files[0].path.read_bytes())
    wrong[len(wrong) // 2] ^= 1
    place.write(name, bytes(wrong))
    with pytest.raises(WrongBytes):
        publish(place.target(), one)
    assert place.read(name) == wrong
    assert RECORD not in place.names()
    place.target().remove(name)
    assert publish(place.target(), one) == one.size


def test_an_absent_file_has_no_digest(place: Place, releases: Releases) -> None:
    assert place.target().digest(releases[0].files[0].stored, quiet) == ""


def test_a_file_that_changes_while_it_is_sent_is_not_published(place: Place, releases: Releases) -> None:
    one, _ = releases
    file = one.files[0]
    file.path.write_bytes(file.path.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(ImageBuildError, match="was changed"):
        publish(place.target(), one)
    assert published_names(place) == set()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 99}', b"\xff\xfe", b" " * (4 << 20)], ids=len)
def test_a_record_that_cannot_be_used_stays(place: Place, content: bytes, releases: Releases) -> None:
    place.write(RECORD, content)
    with pytest.raises(RecordError):
        publish(place.target(), releases[0])
    assert place.read(RECORD) == content


def test_a_record_that_somebody_changed_is_not_overwritten(place: Place, releases: Releases) -> None:
    one, two = releases
    publish(place.target(), one)
    target = place.target()
    state = target.state(TEMPLATE)
    other = json.dumps(json.loads(encoded(after(state, one)))).encode()
    place.write(RECORD, other)
    with pytest.raises(HostError, match="changed by somebody else"):
        target.switch(after(state, two))
    assert place.read(RECORD) == other
    assert place.names() - {LOCK} == {RECORD, *published_names(place)}


def test_a_record_that_appeared_is_not_overwritten(place: Place, releases: Releases) -> None:
    target = place.target()
    assert target.state(TEMPLATE) is None
    place.write(RECORD, b"somebody's")
    with pytest.raises(HostError, match="changed by somebody else"):
        target.switch(after(None, releases[0]))
    assert place.read(RECORD) == b"somebody's"


def test_removing_leaves_the_rest(place: Place, releases: Releases) -> None:
    one, two = (release.files[0].stored.name for release in releases)
    publish(place.target(), releases[0])
    with pytest.raises(Cut):
        publish(place.target(), releases[1], cut_after(6 * MIB))
    target = place.target()
    target.remove(two)
    target.remove(two)
    assert list(target.stored()) == [one]
    target.remove(one)
    assert place.names() - {LOCK} == {RECORD}
    with pytest.raises(UsageError):
        target.remove(RECORD)


def test_other_names_are_not_touched(place: Place, releases: Releases) -> None:
    place.write("README", b"hello")
    place.write("x.qcow2", b"hello")
    place.write("-.json", b"hello")
    publish(place.target(), releases[0])
    target = place.target()
    assert target.templates() == [TEMPLATE]
    assert list(target.stored()) == [releases[0].files[0].stored.name]


def test_the_lock_excludes_other_publishers(place: Place, releases: Releases) -> None:
    target, other = place.target(), place.target()
    other._patience = 1.0  # type: ignore[attr-defined]
    with target.lock():
        with pytest.raises(HostError, match="somebody else"), other.lock():
            pass
        publish_without_lock = target.state(TEMPLATE)
        assert publish_without_lock is None
    with other.lock():
        pass
