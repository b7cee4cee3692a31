"""Each way in which an artifact can be something else than what was signed has its own sentence."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from imagebuild.project.trust import Trust
from imagebuild.store.artifact import Artifact, write_checksums
from imagebuild.trust.attesting import attest
from imagebuild.trust.checking import CheckOptions, check
from imagebuild.trust.signatures import NotTrusted
from tests.trust.signed import artifact, key_pair, trust

TODAY = date(2026, 11, 29)


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, Trust]:
    """A folder with the key `one`, and the project that signs with it."""
    folder = tmp_path / "project"
    return folder, trust(folder, "one", key_pair(folder, "one"))


@pytest.fixture
def signed(tmp_path: Path, project: tuple[Path, Trust]) -> Artifact:
    made = artifact(tmp_path / "artifacts")
    attest(made, project[1], project[0])
    return made


def edit_manifest(made: Artifact) -> None:
    path = made.folder / "manifest.json"
    path.write_text(path.read_text().replace('"web"', '"web" ', 1))


def edit_image(made: Artifact) -> None:
    (made.folder / "web.qcow2").write_text("image of evil 2026-11-29.1"[:26])


def edit_image_and_all_lists(made: Artifact) -> None:
    """What somebody does who has no key."""
    edit_image(made)
    from imagebuild.files import sha256

    path = made.folder / "manifest.json"
    data = json.loads(path.read_text())
    data["image"]["sha256"] = sha256(made.folder / "web.qcow2")
    path.write_text(json.dumps(data))
    write_checksums(made)


def envelope(made: Artifact, **changes: Any) -> None:
    path = made.folder / "provenance.intoto.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_payload(made: Artifact) -> None:
    data = json.loads((made.folder / "provenance.intoto.json").read_text())
    payload = base64.b64decode(data["payload"]).replace(b"web.xml", b"wex.xml")
    envelope(made, payload=base64.b64encode(payload).decode())


def truncate(made: Artifact) -> None:
    path = made.folder / "provenance.intoto.json"
    path.write_bytes(path.read_bytes()[:-200])


def link_image(made: Artifact) -> None:
    image = made.folder / "web.qcow2"
    image.rename(made.folder.parent / "elsewhere")
    image.symlink_to("../elsewhere")


def pipe_for_provenance(made: Artifact) -> None:
    path = made.folder / "provenance.intoto.json"
    path.unlink()
    os.mkfifo(path)


def list_more(made: Artifact) -> None:
    (made.folder / "more.txt").write_text("more\n")
    write_checksums(made)


def list_fewer(made: Artifact) -> None:
    (made.folder / "build.log").unlink()
    write_checksums(made)


def unlink(name: str) -> Callable[[Artifact], None]:
    return lambda made: (made.folder / name).unlink()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (edit_image, "the image web.qcow2 was changed after it was signed"),
        (edit_manifest, "manifest.json was changed after it was signed"),
        (edit_image_and_all_lists, "manifest.json was changed after it was signed"),
        (unlink("provenance.intoto.json"), "it is not signed: there is no provenance.intoto.json"),
        (unlink("SHA256SUMS"), "its files are not listed: there is no SHA256SUMS"),
        (unlink("manifest.json"), "it is incomplete: there is no manifest.json"),
        (unlink("web.qcow2"), "web.qcow2 is missing"),
        (unlink("web.xml"), "web.xml is missing"),
        (truncate, "provenance.intoto.json cannot be used: it is truncated or damaged: it is not JSON"),
        (lambda made: envelope(made, payloadType="text/plain"), "its payload is of the type 'text/plain', not"),
        (lambda made: envelope(made, signatures=[]), "provenance.intoto.json: it has no signature"),
        (lambda made: envelope(made, signatures={"a": 1}), "its payload or a signature in it is damaged"),
        (lambda made: envelope(made, signatures=[{"sig": "AAAA"}]), "its signature names no key"),
        (edit_payload, "the signature by the key one does not fit: it was changed after it was signed"),
        (list_more, "SHA256SUMS lists more.txt, which is not among the signed files"),
        (list_fewer, "build.log is among the signed files, and SHA256SUMS does not list it"),
        (link_image, "web.qcow2 cannot be read: it is a link"),
        (pipe_for_provenance, "provenance.intoto.json cannot be used: it is not a regular file"),
    ],
)
def test_what_was_changed_is_noticed(
    signed: Artifact, project: tuple[Path, Trust], change: Callable[[Artifact], None], sentence: str
) -> None:
    change(signed)
    with pytest.raises(NotTrusted) as raised:
        check(signed, project[1], project[0])
    assert raised.value.message.startswith("web 2026-11-29.1 cannot be trusted: ")
    assert sentence in raised.value.message
    assert "\n" not in raised.value.message


def test_what_is_right_is_accepted(signed: Artifact, project: tuple[Path, Trust]) -> None:
    (signed.folder / "notes.txt").write_text("not signed\n")
    (signed.folder / "build.log").unlink()
    found = check(signed, project[1], project[0])
    assert [key.name for key in found.signed] == ["one"]
    assert set(found.files) == {"manifest.json", "web.qcow2", "web.xml"}
    assert (found.absent, found.uncovered) == (("build.log",), ("notes.txt",))
    assert found.statement is not None
    assert found.statement.finished == "2026-11-29T10:02:00Z"
    assert [one.note for one in found.statement.dependencies] == ["with changes that were not committed", ""]


def test_the_provenance_of_another_image_is_noticed(
    tmp_path: Path, signed: Artifact, project: tuple[Path, Trust]
) -> None:
    for recipe, version in (("db", "2026-11-29.1"), ("web", "2026-11-28.1")):
        other = artifact(tmp_path / "artifacts", recipe, version)
        shutil.copy(attest(other, project[1], project[0]), signed.folder)
        with pytest.raises(NotTrusted, match=rf"its provenance belongs to {recipe} {version}"):
            check(signed, project[1], project[0])


def test_an_older_version_in_the_place_of_a_newer_one_is_noticed(
    tmp_path: Path, signed: Artifact, project: tuple[Path, Trust]
) -> None:
    newer = signed.folder.parent / "2026-12-01.1"
    shutil.copytree(signed.folder, newer)
    with pytest.raises(NotTrusted, match=r"it is in the folder of version 2026-12-01\.1, and is another version"):
        check(replace(signed, folder=newer), project[1], project[0])
    downloaded = tmp_path / "latest"
    shutil.copytree(signed.folder, downloaded)
    here = replace(signed, folder=downloaded)
    assert check(here, project[1], project[0], CheckOptions(newer_than="2026-11-29.1"))
    with pytest.raises(NotTrusted, match=r"it is older than 2026-11-29\.10, which was seen before"):
        check(here, project[1], project[0], CheckOptions(newer_than="2026-11-29.10"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"expires": "2026-11-28"}, "the key one expired on 2026-11-28"),
        ({"not_before": "2026-11-30"}, "the key one is not valid before 2026-11-30"),
        ({"revoked": {"on": "2026-11-29", "reason": "it leaked"}}, "the key one was revoked on 2026-11-29 (it leaked)"),
    ],
)
def test_keys_have_their_time(
    signed: Artifact, project: tuple[Path, Trust], more: dict[str, Any], sentence: str
) -> None:
    folder, known = project
    entry = {"name": "one", "key": known.keys[0].key, **more}
    with pytest.raises(NotTrusted) as raised:
        check(signed, trust(folder, "one", entry), folder, CheckOptions(TODAY))
    assert raised.value.message == f"web 2026-11-29.1 cannot be trusted: {sentence}"


def test_the_days_themselves_are_included(signed: Artifact, project: tuple[Path, Trust]) -> None:
    folder, known = project
    entry = {"name": "one", "key": known.keys[0].key, "not_before": "2026-11-29", "expires": "2026-11-29"}
    assert check(signed, trust(folder, "one", entry), folder, CheckOptions(TODAY))
    later = {"name": "one", "key": known.keys[0].key, "revoked": {"on": "2026-11-30"}}
    assert check(signed, trust(folder, "one", later), folder, CheckOptions(TODAY))


def test_an_unknown_key(signed: Artifact, project: tuple[Path, Trust]) -> None:
    folder = project[0]
    with pytest.raises(NotTrusted, match=r"it is signed with an unknown key \([0-9a-f]{16}…\)"):
        check(signed, trust(folder, "one", key_pair(folder, "two")), folder)


def test_a_threshold(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    keys = [key_pair(folder, name) for name in ("one", "two", "three")]
    made = artifact(tmp_path / "artifacts")
    attest(made, trust(folder, "one", *keys, threshold=2), folder)
    with pytest.raises(NotTrusted, match="only 1 of the 2 keys that are needed have signed it: one"):
        check(made, trust(folder, "", *keys, threshold=2), folder)
    attest(made, trust(folder, "two", *keys, threshold=2), folder)
    assert [one.name for one in check(made, trust(folder, "", *keys, threshold=2), folder).signed] == ["one", "two"]


def test_a_copy_of_the_image_elsewhere(tmp_path: Path, signed: Artifact, project: tuple[Path, Trust]) -> None:
    copy = tmp_path / "web-copy.img"
    (signed.folder / "web.qcow2").rename(copy)
    found = check(signed, project[1], project[0], CheckOptions(image=copy))
    assert "web.qcow2" in found.files
    copy.write_text("another")
    with pytest.raises(NotTrusted, match="is not one of its signed images"):
        check(signed, project[1], project[0], CheckOptions(image=copy))


def test_a_statement_that_names_too_little(tmp_path: Path, project: tuple[Path, Trust]) -> None:
    """Somebody who has the key may still leave something out."""
    made = artifact(tmp_path / "artifacts")
    sums = made.folder / "SHA256SUMS"
    whole = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(line for line in whole if "web.xml" not in line))
    attest(made, project[1], project[0])
    with pytest.raises(NotTrusted, match=r"web\.xml is not among the signed files"):
        check(made, project[1], project[0])
