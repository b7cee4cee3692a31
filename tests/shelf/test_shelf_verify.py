"""``imagebuild shelf verify``: a shelf that is not what was signed, or is older than one seen before, is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gpg_key import signer

from tests.shelf.artifacts import artifact
from tests.shelf.peers import served

pytestmark = pytest.mark.seconds
Ran = subprocess.CompletedProcess[str]


def imagebuild(*words: str | Path) -> Ran:
    argv = [sys.executable, "-m", "imagebuild", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


@dataclass(frozen=True)
class Shelves:
    """A signed shelf, as it was and as it is, and its public key."""

    old: Path
    new: Path
    key: Path

    def verify(self, where: str | Path | None = None, *words: str | Path, key: Path | None = None) -> Ran:
        return imagebuild("shelf", "verify", where or self.new, "--key", key or self.key, *words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelves]:
    folder = tmp_path_factory.mktemp("s")
    new, old, output = folder / "new", folder / "old", folder / "artifacts"
    with signer(folder / "home", "Shelf <shelf@example.org>") as key:
        words = ["--sign", "shelf@example.org", "--gpg-home", key.home, "--output", output]
        for version in ("2026-11-29.1", "2026-11-29.2"):
            artifact(output, version=version)
            assert imagebuild("shelf", "build", new, *words).returncode == 0
            if not old.exists():
                shutil.copytree(new, old)
        yield Shelves(old, new, key.keys(folder / "key.asc", armoured=True))


@pytest.fixture
def shelves(made: Shelves, tmp_path: Path) -> Shelves:
    """Copies that a test may change."""
    shutil.copytree(made.old, tmp_path / "old")
    shutil.copytree(made.new, tmp_path / "new")
    return Shelves(tmp_path / "old", tmp_path / "new", made.key)


def test_a_signed_shelf(made: Shelves) -> None:
    ran = made.verify()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0].split()[:3] == ["web", "revision", "2"]
    assert ran.stdout.splitlines()[1] == f"{made.new}: signed by key.asc; 6 files read and unchanged"
    line = json.loads(made.verify(made.old, "--json").stdout.splitlines()[-1])
    assert (line["event"], line["files"], line["unread"]) == ("shelf verified", 3, 0)
    assert [(one["name"], one["revision"]) for one in line["templates"]] == [("web", 1)]


def test_an_older_index_is_noticed(made: Shelves, tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    assert made.verify(made.old, "--remember", seen).returncode == 0
    assert made.verify(made.new, "--remember", seen).returncode == 0
    before = seen.read_text()
    ran = made.verify(made.old, "--remember", seen)
    assert ran.returncode == 1
    assert "it offers revision 1 of web, and revision 2 was seen before" in ran.stderr
    assert seen.read_text() == before
    assert made.verify(made.new, "--remember", seen).returncode == 0


def test_at_an_address_the_indexes_are_read(made: Shelves, tmp_path: Path) -> None:
    with served(made.new) as url:
        ran = made.verify(url, "--remember", tmp_path / "seen.json")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "6 files signed; their content was not read" in ran.stdout
    with served(made.old) as url:
        assert "was seen before" in made.verify(f"{url}/", "--remember", tmp_path / "seen.json").stderr
    with served(tmp_path) as url:
        assert "it is not signed: there is no index.asc" in made.verify(url).stderr


def image_of(shelf: Path) -> Path:
    return next((shelf / "images").glob("*2026-11-29.2*.qcow2"))


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda shelf: append(image_of(shelf)), "was changed after it was signed"),
        (lambda shelf: image_of(shelf).unlink(), "is missing"),
        (lambda shelf: edit(shelf / "index.asc", "revision=2", "revision=9"), "index.asc: its signature is invalid"),
        (lambda shelf: edit(shelf / "index", "revision=2", "revision=9"), "index does not say what index.asc says"),
        (lambda shelf: (shelf / "SHA256SUMS.asc").unlink(), "there is no SHA256SUMS.asc"),
        (lambda shelf: shutil.copy(shelf / "SHA256SUMS", shelf / "SHA256SUMS.asc"), "SHA256SUMS.asc: it has no valid"),
        (lambda shelf: append(shelf / "streams/v1/imagebuild:images.json"), "does not say what"),
    ],
)
def test_a_changed_shelf(shelves: Shelves, change: Callable[[Path], object], says: str) -> None:
    change(shelves.new)
    ran = shelves.verify()
    assert ran.returncode == 1
    assert says in ran.stderr
    assert ran.stderr.startswith(f"imagebuild: the shelf {shelves.new} cannot be trusted: ")


def test_an_index_of_another_day_among_newer_documents(shelves: Shelves) -> None:
    for name in ("index", "index.asc"):
        shutil.copy(shelves.new / name, shelves.old / name)
    ran = shelves.verify(shelves.old)
    assert ran.returncode == 1
    assert "index names web--2026-11-29.2" in ran.stderr
    assert "which SHA256SUMS does not list" in ran.stderr


def test_a_link_is_not_followed(shelves: Shelves, tmp_path: Path) -> None:
    image = image_of(shelves.new)
    image.rename(tmp_path / "elsewhere")
    image.symlink_to(tmp_path / "elsewhere")
    assert "is missing" in shelves.verify().stderr


def test_another_key(made: Shelves, tmp_path: Path) -> None:
    with signer(tmp_path / "home", "Other <other@example.org>") as other:
        ran = made.verify(key=other.keys(tmp_path / "other.asc", armoured=True))
    assert ran.returncode == 1
    assert "index.asc: it is signed with the key" in ran.stderr


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("expires: 2026-01-01", "the key images expired on 2026-01-01"),
        ("revoked: {on: 2026-02-01, reason: stolen}", "the key images was revoked on 2026-02-01 (stolen)"),
        ("", ""),
    ],
)
def test_keys_of_the_project(made: Shelves, tmp_path: Path, entry: str, says: str) -> None:
    config = tmp_path / "imagebuild.yaml"
    config.write_text(f"trust:\n  keys:\n    - name: images\n      key: {made.key}\n      {entry}\n")
    ran = imagebuild("shelf", "verify", made.new, "--config", config)
    assert (ran.returncode, says in ran.stderr) == (1 if says else 0, True)


def test_what_cannot_be_checked(made: Shelves, tmp_path: Path) -> None:
    nothing = imagebuild("shelf", "verify", made.new, "--config", tmp_path / "imagebuild.yaml")
    assert nothing.returncode == 2
    assert made.verify(tmp_path / "nowhere").returncode == 2
    (tmp_path / "seen.json").write_text("[]")
    ran = made.verify(made.new, "--remember", tmp_path / "seen.json")
    assert ran.returncode == 2
    assert "seen.json is damaged" in ran.stderr
