"""The record of a template."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.publish import state
from imagebuild.publish.state import LARGEST, RecordError, decoded, encoded, first
from tests.publish.conftest import published


def test_a_record_is_read_as_it_was_written() -> None:
    record = first("web", published("1")).with_version(published("2", disks=2))
    assert decoded(encoded(record), "web") == record
    assert encoded(record).isascii()


def test_a_new_version_is_current_and_the_former_previous() -> None:
    record = first("web", published("1"))
    assert (record.current, record.previous) == ("1", "")
    record = record.with_version(published("2"))
    assert (record.current, record.previous) == ("2", "1")
    again = record.with_version(published("2"))
    assert (again.current, again.previous) == ("2", "1"), "a second publish of the current version changes nothing"
    back = record.switched("1")
    assert (back.current, back.previous) == ("1", "2")
    assert [one.version for one in back.versions] == ["1", "2"]


def test_a_removed_version_is_not_the_previous_one_any_more() -> None:
    record = first("web", published("1")).with_version(published("2"))
    left = record.without("1")
    assert (left.current, left.previous, left.version("1")) == ("2", "", None)


def version(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["versions"][0]
    return found


BAD: dict[str, Callable[[dict[str, Any]], object]] = {
    "another schema": lambda data: data.update(schema=99),
    "another template": lambda data: data.update(template="db"),
    "no versions": lambda data: data.update(versions=[]),
    "current is not there": lambda data: data.update(current="9"),
    "previous is not there": lambda data: data.update(previous="9"),
    "a name with a slash": lambda data: version(data)["files"][0].update(name="../etc/passwd"),
    "a name of no template": lambda data: version(data)["files"][0].update(name="web.qcow2"),
    "another digest than in the name": lambda data: version(data)["files"][0].update(sha256="0" * 64),
    "no digest": lambda data: version(data)["files"][0].pop("sha256"),
    "a negative size": lambda data: version(data)["files"][0].update(size=-1),
    "a size that is a truth value": lambda data: version(data)["files"][0].update(size=True),
    "no file": lambda data: version(data).update(files=[]),
    "a version twice": lambda data: data["versions"].append(version(data)),
    "a version that is a path": lambda data: version(data).update(version="../1"),
    "a huge definition": lambda data: version(data).update(definition="x" * (65 << 10)),
    "versions that are no list": lambda data: data.update(versions={"0": version(data)}),
}


@pytest.mark.parametrize("what", BAD)
def test_a_record_that_somebody_changed_is_refused(what: str) -> None:
    data = json.loads(encoded(first("web", published("1"))))
    BAD[what](data)
    with pytest.raises(RecordError, match="record of the template web cannot be used"):
        decoded(json.dumps(data), "web")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, " " * (LARGEST + 1), '"x"'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        decoded(text, "web")


def refused(text: str | bytes, file: str = "") -> RecordError:
    with pytest.raises(RecordError) as caught:
        decoded(text, "weby", file)
    return caught.value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{x", "it is not JSON from line 1, column 2"),
        (b"\xff\xff", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ("{}", "it has no schema"),
        ('{"schema": 1, "template": "weby", "versions": [[]]}', "it has a wrong value"),
        ('{"schema": 1, "template": "weby", "versions": [7]}', "it has a wrong value"),
        ('{"schema": 1, "template": ["a"]}', "it belongs to another template"),
        ('{"schema": 1, "template": "a/b"}', "it belongs to another template"),
        ('{"schema": 1, "template": "weby", "versions": [], "current": ".."}',
         "a name in it is not valid: '..' is not a valid name of a template"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_sentence_with_the_place(text: str | bytes, why: str) -> None:
    start = f"the record of the template weby cannot be used: {why}"
    assert refused(text).message == f"{start} (the metadata of the domain weby)"
    in_file = refused(text, "/srv/weby.json")
    assert in_file.message == f"{start} (/srv/weby.json)"
    assert "restore it from a backup" in str(in_file.hint)
    assert "virsh undefine weby" in str(refused(text).hint)


def test_a_renamed_or_copied_record_names_its_template() -> None:
    text = encoded(first("web", published("1")))
    domain, file = refused(text), refused(text, "/srv/weby.json")
    assert "it belongs to the template web " in domain.message
    assert domain.hint == "if it was renamed: virsh domrename weby web; if it is a clone: virsh undefine weby"
    assert "it belongs to the template web (/srv/weby.json)" in file.message
    assert file.hint == "if the file was renamed, name it web.json again; if it is a copy, remove it"


KEYS = st.sampled_from(["schema", "template", "current", "previous", "versions", "files", "name"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(JSON)
def test_nothing_but_a_record_error_comes_of_any_json(data: Any) -> None:
    with pytest.raises(RecordError):
        decoded(json.dumps(data), "web")


def test_the_largest_record_still_fits_into_a_message_of_libvirt() -> None:
    assert state.LARGEST < 4 << 20
