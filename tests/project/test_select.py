"""Which hosts and targets the words on the command line select."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.errors import UsageError
from imagebuild.project.load import validate
from imagebuild.project.model import Host, Project, StorageTarget
from imagebuild.project.select import Destination, select
from imagebuild.recipe.yaml.reader import parse

TEXT = """\
hosts:
  kvm2: {uri: qemu+ssh://root@kvm2/system, labels: [dc2, fast]}
  kvm1: {uri: qemu+ssh://root@kvm1/system, labels: [dc1]}
targets:
  mirror: {url: images, labels: [dc1]}
groups:
  canary: [kvm1]
  outer: [mirror, canary, inner]
  inner: [kvm1, canary]
  empty: []
"""
FILE = Path("/srv/project/imagebuild.yaml")


@pytest.fixture(scope="module")
def project() -> Project:
    return validate(parse(TEXT, str(FILE)), FILE)


def names(project: Project, *words: str) -> list[str]:
    return [one.name for one in select(project, words)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["kvm1"], ["kvm1"]),
        (["kvm1", "kvm2"], ["kvm2", "kvm1"]),
        (["kvm1,kvm2,kvm1"], ["kvm2", "kvm1"]),
        (["all"], ["kvm2", "kvm1", "mirror"]),
        (["canary"], ["kvm1"]),
        (["outer"], ["kvm1", "mirror"]),
        (["label=dc1"], ["kvm1", "mirror"]),
        (["label=fast,canary"], ["kvm2", "kvm1"]),
        (["./x", "mirror", "qemu:///system", "./x"], ["mirror", "./x", "qemu:///system"]),
        (["qemu:///system,qemu:///session"], ["qemu:///system", "qemu:///session"]),
        ([], []),
    ],
)
def test_selections(project: Project, words: list[str], expected: list[str]) -> None:
    assert names(project, *words) == expected


def test_entries_of_the_file_keep_its_folder(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named, direct = select(project, ["mirror", "./out"])
    assert named == Destination("mirror", project.targets["mirror"], FILE.parent)
    assert named.path("images") == FILE.parent / "images"
    assert named.path("/x") == Path("/x")
    assert direct.path("out") == tmp_path / "out"
    with pytest.raises(UsageError, match=r"^mirror: there is no such user: ~no\.such\.user/x$"):
        named.path("~no.such.user/x")


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("qemu:///session", Host),
        ("qemu+ssh://h/system", Host),
        ("/srv/x", StorageTarget),
        ("x/", StorageTarget),
        (".", StorageTarget),
        ("sftp://h/x", StorageTarget),
        ("s3://bbb/x", StorageTarget),
        ("file:///x", StorageTarget),
    ],
)
def test_places_given_directly(project: Project, word: str, kind: type[Host] | type[StorageTarget]) -> None:
    (one,) = select(project, [word])
    assert (one.name, type(one.entry)) == (word, kind)


@pytest.mark.parametrize(
    ("word", "expected", "hint"),
    [
        ("kvm3", f"--to kvm3: there is no host, target or group 'kvm3' in {FILE}", "did you mean 'kvm"),
        ("zzz", f"--to zzz: there is no host, target or group 'zzz' in {FILE}",
         "known: kvm2, kvm1, mirror, canary, outer, inner, empty, all"),
        ("", f"--to : there is no host, target or group '' in {FILE}",
         "known: kvm2, kvm1, mirror, canary, outer, inner, empty, all"),
        ("label=dc3", "--to label=dc3: no host or target has the label 'dc3'", "did you mean 'dc"),
        ("empty", "--to empty: this group has no members", f"see {FILE}"),
    ],
)  # fmt: skip
def test_words_that_select_nothing(project: Project, word: str, expected: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        select(project, [word])
    assert refused.value.message == expected
    assert (refused.value.hint or "").startswith(hint)


def test_all_wrong_words_are_reported_together(project: Project) -> None:
    with pytest.raises(UsageError) as refused:
        select(project, ["zzz,kvm3", "kvm1", "label=dc3"])
    for word in ("zzz", "kvm3", "label=dc3"):
        assert f"--to {word}: " in refused.value.message
    for hint in ("known: kvm2", "did you mean 'kvm", "did you mean 'dc"):
        assert hint in str(refused.value.hint)


def test_a_folder_without_a_slash(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fold").mkdir()
    for known in (project, Project()):
        with pytest.raises(UsageError) as refused:
            select(known, ["fold"])
        assert refused.value.hint == "for the folder of this name: ./fold"
    with pytest.raises(UsageError):
        select(project, ["x" * 5000])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("qemu+tcp://h/system", "qemu+tcp neither encrypts nor verifies anything"),
        ("qemu+ssh://h/system?no_verify=1", "no_verify=1 accepts any machine"),
        ("qemu+ssh://u:hunter2@h/system", "a URL must not contain a password"),
        ("https://h/x", "nothing can be published to a web server"),
        ("sftp://h", "expected an absolute path after the host"),
    ],
)
def test_a_place_given_directly_obeys_the_rules_of_the_file(project: Project, word: str, expected: str) -> None:
    with pytest.raises(UsageError) as refused:
        select(project, [word])
    assert refused.value.message.startswith(f"--to: {expected}")
    assert refused.value.hint == "an entry in imagebuild.yaml can have more keys, such as insecure"


@pytest.mark.parametrize("word", ["kvm1", "all", "label=dc1"])
def test_without_a_file_there_are_no_names(word: str) -> None:
    with pytest.raises(UsageError) as refused:
        select(Project(), [word], "--on")
    assert refused.value.message == f"--on {word}: there is no imagebuild.yaml here, so there are no names of hosts"
    assert "--config" in str(refused.value.hint)


@pytest.mark.parametrize("word", ["kvm1", "all", "label=dc1"])
def test_an_empty_file_has_no_names(word: str) -> None:
    with pytest.raises(UsageError, match=r"imagebuild\.yaml has no hosts and no targets"):
        select(validate(parse("groups: {}\n", "imagebuild.yaml"), Path("imagebuild.yaml")), [word])


@given(st.text(max_size=40).map(lambda text: text.replace("all", "")))
def test_hostile_words_are_errors_or_places_and_not_tracebacks(text: str) -> None:
    try:
        found = select(Project(), [text])
    except UsageError:
        return
    assert all(one.name in text.split(",") for one in found)
