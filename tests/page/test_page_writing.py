"""The pages of artifacts: what is written, what is kept, and what is never done with a hostile artifact."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import page_artifacts
import pytest
from page_artifacts import HOSTILE

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.host import locks
from imagebuild.page import page_folder, plots, reading, rendering, writing
from imagebuild.page.facts import KnownOutcome, VersionRow
from imagebuild.page.page_folder import RECORD
from imagebuild.page.rendering import TEMPLATES, ImageCard
from imagebuild.page.writing import PageWritten, write_page
from imagebuild.store.history import Build, History, StepRecord
from imagebuild.store.store import Store

pytestmark = pytest.mark.seconds
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


class Elements(HTMLParser):
    """The elements of a document with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def write(folder: Path, **options: Any) -> PageWritten:
    options = {"title": "Images", "base_url": None, "history": None, "now": NOW, **options}
    return write_page(folder / "artifacts", folder / "public", **options)


def content(folder: Path) -> dict[str, bytes]:
    """The files of a page, without its record; links are not followed."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return {str(path.relative_to(folder)): b"" if path.is_symlink() else path.read_bytes() for path in paths}


def text(folder: Path, page: str) -> str:
    return (folder / "public" / page).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images, one of them hostile, and their page."""
    folder = tmp_path_factory.mktemp("made")
    page_artifacts.fleet(folder / "artifacts", images=1, versions=4)
    page_artifacts.artifact(
        folder / "artifacts", "hostile", inventory=page_artifacts.hostile_guest(), verdict="failed",
        description=HOSTILE, message=HOSTILE,
    )  # fmt: skip
    page_artifacts.artifact(folder / "artifacts", "hostile", 1)
    write(folder)
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "site", symlinks=True)
    write(tmp_path / "site")  # the links lead to these artifacts
    return tmp_path / "site"


def test_every_reference_leads_to_a_file_of_the_page(made: Path) -> None:
    pages = sorted((made / "public").rglob("*.html"))
    assert len(pages) == 1 + 2 + 6
    for page in pages:
        elements = Elements(page.read_text(encoding="utf-8")).found
        ids = {attributes.get("id") for _, attributes in elements}
        for _, attributes in elements:
            target = attributes.get("href") or attributes.get("src")
            if target is None:
                continue
            assert ":" not in target, "no other host"
            assert target[1:] in ids if target[0] == "#" else (page.parent / target).is_file(), (page, target)


def test_no_page_has_anything_that_runs(made: Path) -> None:
    for page in (made / "public").rglob("*.html"):
        document = page.read_text(encoding="utf-8")
        for tag, attributes in Elements(document).found:
            assert tag not in ("script", "iframe", "object", "embed", "form", "base", "style")
            assert not any(name.startswith("on") or name == "style" for name in attributes), (page, tag, attributes)
        assert document.count("default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'") == 1
    for picture in (made / "public").rglob("*.svg"):
        found = picture.read_text(encoding="utf-8")
        assert not re.search(r"<script|<a |href|\son\w+=|url\(|@import", found), picture


def test_text_of_a_guest_is_shown_as_text(made: Path) -> None:
    page = text(made, "images/hostile/2026-11-01.1/index.html")
    shown = r"&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;\x1b[31m\u202e&#34;&#39;&amp;amp;{{ 7*7 }}"
    assert page.count(shown) > 5, "description, system, packages, checks, folders"
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", page)
    assert r"/&lt;/td&gt;" in text(made, "images/hostile/2026-11-02.1/index.html"), "the setuid file that went"
    assert r"\xff" in text(made, "images/hostile/2026-11-02.1/index.html"), "a byte that is no UTF-8"


def test_a_version_has_what_people_ask_for(made: Path) -> None:
    page = text(made, "images/web/2026-11-03.1/index.html")
    for words in (
        'Since <a href="../2026-11-02.1/index.html">', "3.5.1-1 → 3.5.2-1", "extra1", "Debian GNU/Linux 13 (trixie)",
        "2 checks passed, 0 failed; login after 12 s", "the machine has all its CPUs", "install", "4 min 2 s",
        "from the store", "/usr/share", "210 MiB", "All 125 packages", "virsh define web.xml",
        "imagebuild run web.qcow2", "gpgv --keyring ./trusted.gpg SHA256SUMS.asc SHA256SUMS", "SBOM, CycloneDX",
        "SBOM, SPDX", "provenance, in-toto", "provenance, sigstore", "OpenPGP",
        'src="screenshot.png" width="64" height="48"',
        "Newer: 2026-11-04.1",
    ):  # fmt: skip
        assert words in page, words
    digest = json.loads((made / "artifacts/web/2026-11-03.1/manifest.json").read_text())["image"]["sha256"]
    assert '<a href="files/web.qcow2" download>web.qcow2</a></th><td>image</td>' in page
    assert digest in page
    assert (made / "public/images/web/2026-11-03.1/files/web.qcow2").read_bytes()
    assert "This is the oldest version that is there." in text(made, "images/web/2026-11-01.1/index.html")


def test_the_index_has_the_verdicts_of_all_versions(made: Path) -> None:
    index = text(made, "index.html")
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", index))
    assert "2026-11-04.1 not verified 26 days 4.2 KiB 126" in words
    assert "2026-11-03.1 verified signature 27 days 4.1 KiB 125 12 s" in words
    assert "hostile 2026-11-02.1 verified 4.1 KiB 28 days 2" in words
    assert "verification failed" in words


def test_what_is_known_elsewhere_is_shown(copied: Path) -> None:
    outcomes = {
        ("web", "2026-11-04.1"): KnownOutcome(gates="failed", fired=("a new <setuid> file",)),
        ("web", "2026-11-03.1"): KnownOutcome(gates="passed", published=("kvm1", "kvm2")),
    }
    done = write(copied, outcomes=outcomes)
    assert done.kept == 4
    assert "gates failed" in text(copied, "index.html")
    assert "Gate: a new &lt;setuid&gt; file" in text(copied, "images/web/2026-11-04.1/index.html")
    assert "kvm1, kvm2" in text(copied, "images/web/2026-11-03.1/index.html")


def test_the_last_builds_are_shown_failures_included(copied: Path, tmp_path: Path) -> None:
    history = History(Store(tmp_path / "store"))
    began = "2026-11-05T03:00:00.000+00:00"
    steps = (StepRecord("install", "install", "f" * 64, "run", 61.0),)
    history.put(Build(run="1", recipe="web", began=began, ended="2026-11-05T03:02:00.000+00:00", outcome="failed",
                      error="the mirror <b>is</b> down", steps=steps))  # fmt: skip
    write(copied, history=history)
    assert "The last build failed: install 61 s; the mirror &lt;b&gt;is&lt;/b&gt; down" in text(copied, "index.html")
    assert "2026-11-05 03:00" in text(copied, "images/web/index.html")


def test_a_history_that_cannot_be_read_is_only_noted(copied: Path, tmp_path: Path) -> None:
    history = History(Store(tmp_path / "store"))
    history.path.mkdir()
    assert "the last builds are left out" in write(copied, history=history).notes[0]


def test_what_has_not_changed_is_not_written_again(copied: Path) -> None:
    before = content(copied / "public")
    inodes = {path: (copied / "public" / path).lstat().st_ino for path in before}
    done = write(copied)
    assert (done.written, done.kept, done.removed) == (0, 6, 0)
    assert content(copied / "public") == before
    assert inodes == {path: (copied / "public" / path).lstat().st_ino for path in before}


def test_a_changed_artifact_changes_its_page_and_that_of_its_successor(copied: Path) -> None:
    manifest = copied / "artifacts/web/2026-11-02.1/manifest.json"
    manifest.write_text(manifest.read_text().replace('"verdict": "passed"', '"verdict": "failed"'))
    assert write(copied).kept == 6 - 2
    assert "verification failed" in text(copied, "images/web/2026-11-02.1/index.html")


def test_a_page_that_somebody_removed_is_written_again(copied: Path) -> None:
    (copied / "public/images/web/2026-11-02.1/index.html").unlink()
    assert write(copied).kept == 5
    assert text(copied, "images/web/2026-11-02.1/index.html")


def test_pages_of_removed_versions_go_and_other_files_stay(copied: Path) -> None:
    other = copied / "public/images/web/2026-11-01.1/notes.txt"
    other.write_text("mine")
    (copied / "public/robots.txt").write_text("mine")
    shutil.rmtree(copied / "artifacts/web/2026-11-01.1")
    shutil.rmtree(copied / "artifacts/hostile")
    done = write(copied)
    assert done.removed > 10
    assert sorted(path.name for path in (copied / "public/images").iterdir()) == ["web"]
    assert [path.name for path in other.parent.iterdir()] == ["notes.txt"]
    assert (copied / "public/robots.txt").read_text() == "mine"
    assert "This is the oldest version that is there." in text(copied, "images/web/2026-11-02.1/index.html")
    assert "hostile" not in text(copied, "index.html")


def test_only_some_images(copied: Path) -> None:
    assert write(copied, recipes=["web"]).images == 1
    with pytest.raises(UsageError, match="has no artifact of wbe") as raised:
        write(copied, recipes=["wbe"])
    assert "web" in str(raised.value.hint)


def test_a_page_without_images(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the artifacts in .*: No such file"):
        write(tmp_path)
    (tmp_path / "artifacts").mkdir()
    assert write(tmp_path).images == 0
    assert "There is no image yet" in text(tmp_path, "index.html")


def test_a_folder_with_other_files_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "artifacts").symlink_to(made / "artifacts")
    (tmp_path / "public").mkdir()
    (tmp_path / "public/thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"neither empty nor a page: it contains thesis\.txt"):
        write(tmp_path)
    assert [path.name for path in (tmp_path / "public").iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_a_page_is_not_replaced(copied: Path) -> None:
    page_artifacts.artifact(copied / "artifacts", "web", 9)
    own = copied / "public/images/web/2026-11-10.1/index.html"
    own.parent.mkdir()
    own.write_text("mine")
    before = content(copied / "public")
    with pytest.raises(UsageError, match="is in the folder, but not part of the page"):
        write(copied)
    assert content(copied / "public") == before


def test_a_link_in_the_place_of_a_folder_is_not_followed(copied: Path, tmp_path: Path) -> None:
    page_artifacts.artifact(copied / "artifacts", "web", 9)
    (tmp_path / "elsewhere").mkdir()
    (copied / "public/images/web/2026-11-10.1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is not a folder"):
        write(copied)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("record", ["", "{}[", '{"units": 3}', '{"units": {"x": {"key": 1}}}'])
def test_a_damaged_record_is_reported(copied: Path, record: str) -> None:
    (copied / "public" / RECORD).write_text(record)
    with pytest.raises(UsageError, match="is not the record of a page"):
        write(copied)


def test_a_record_cannot_make_anything_else_go(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    record = json.loads((copied / "public" / RECORD).read_text())
    record["claimed"] = ["../../precious", str(tmp_path / "precious"), "images/../../../precious"]
    (copied / "public" / RECORD).write_text(json.dumps(record))
    write(copied)
    assert (tmp_path / "precious").read_text() == "mine"


def test_two_writers_exclude_each_other(copied: Path) -> None:
    descriptor = os.open(copied / "public", os.O_RDONLY)
    assert locks.free(descriptor)
    try:
        with pytest.raises(HostError, match="another process is writing the page"):
            write(copied)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("after", [0, 3, 10])
def test_a_full_disk_leaves_the_page_as_it_was(copied: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    page_artifacts.artifact(copied / "artifacts", "web", 9, signed=True)
    before = content(copied / "public")
    calls = 0

    def full(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > after and ".imagebuild-page.new" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(page_folder, "sync", full)
        with pytest.raises(HostError, match="no space left for the page"):
            write(copied)
    assert content(copied / "public") == before
    assert not (copied / "public/.imagebuild-page.new").exists()
    assert write(copied).versions == 7


@pytest.mark.parametrize("after", range(0, 14, 3))
def test_a_run_that_was_killed_is_continued(copied: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Killed while files get their names: the next run ends as if nothing had happened, even if the
    version is gone by then."""
    page_artifacts.artifact(copied / "artifacts", "web", 9, signed=True)
    whole = copied.parent / "whole"
    whole.mkdir()
    (whole / "artifacts").symlink_to(copied / "artifacts")
    write_page(copied / "artifacts", whole / "public", title="Images", base_url=None, history=None, now=NOW)
    calls, make = 0, page_folder._make_folders

    def killed(root: Path, path: str) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        make(root, path)

    earlier = content(copied / "public")
    with monkeypatch.context() as patched:
        patched.setattr(page_folder, "_make_folders", killed)
        with pytest.raises(KeyboardInterrupt):
            write(copied)
    if after % 2:
        shutil.rmtree(copied / "artifacts/web/2026-11-10.1")
        (copied / "artifacts/web/latest").unlink()
        write(copied)
        assert content(copied / "public") == earlier
    else:
        write(copied)
        assert content(copied / "public") == content(whole / "public")


def test_an_artifact_that_cannot_be_read_is_a_row_that_says_why(copied: Path) -> None:
    for version, manifest in (("2026-11-01.1", "[]"), ("2026-11-02.1", '{"name": "other", "version": "1"}')):
        (copied / f"artifacts/web/{version}/manifest.json").write_text(manifest)
    (copied / "artifacts/web/2026-11-03.1/manifest.json").unlink()
    (copied / "artifacts/web/2026-11-03.1/manifest.json").symlink_to("/etc/passwd")
    write(copied)
    whys = [text(copied, f"images/web/2026-11-0{day}.1/index.html") for day in (1, 2, 3)]
    assert "manifest.json cannot be used: it is not JSON with an object" in whys[0]
    assert "manifest.json cannot be used: it belongs to another artifact" in whys[1]
    assert "manifest.json cannot be used: it is a link" in whys[2]
    assert text(copied, "index.html").count("unreadable") == 3


@pytest.mark.parametrize(
    "built",
    [
        None,
        3,
        {},
        {"began": [], "ended": "never"},
        {"began": "9999-12-31T23:59:59-23:59", "ended": "0001-01-01T00:00:00+23:59"},
    ],
)
def test_values_of_a_wrong_type_count_as_absent(copied: Path, built: object) -> None:
    path = copied / "artifacts/web/2026-11-04.1/manifest.json"
    manifest = json.loads(path.read_text())
    manifest |= {
        "built": built,
        "description": 7,
        "tools": [1],
        "steps": {"a": 1, "b": {"seconds": "x"}},
        "packages": 4,
    }
    manifest["verification"] = {"verdict": ["passed"]}
    path.write_text(json.dumps(manifest))
    (path.parent / "verify.json").write_text(
        '{"results": [1, {"name": 2, "status": [], "seconds": 1e999}], "seconds_to_login": NaN}'
    )
    row = reading.details(reading.Artifact(path.parent, "web", "2026-11-04.1")).row
    assert (row.description, row.built, row.verdict, row.boot_seconds) == ("", "", "", None)
    write(copied)


def test_an_inventory_that_does_not_belong_to_the_image_is_not_used(copied: Path) -> None:
    (copied / "artifacts/web/2026-11-03.1/inventory.json.gz").write_bytes(b"x")
    write(copied)
    page = text(copied, "images/web/2026-11-03.1/index.html")
    assert "inventory.json.gz beside the image is not used: the manifest has another checksum for it." in page
    assert "there is no inventory of this version that can be used" in page
    after = text(copied, "images/web/2026-11-04.1/index.html")
    assert "there is no inventory of 2026-11-03.1 that can be used" in after


def test_no_file_is_offered_that_a_browser_would_run(copied: Path) -> None:
    folder = copied / "artifacts/web/2026-11-04.1"
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "web.html").write_text("<script>alert(1)</script>")
    (folder / "web.svg").write_text("<svg/>")
    (folder / "passwd.qcow2").symlink_to("/etc/passwd")
    (folder / ".hidden.qcow2").write_text("x")
    (folder / "build.log").write_text("x")
    script = '<s:script xmlns:s="http://www.w3.org/1999/xhtml">alert(1)</s:script>'
    (folder / "web.xml").write_text(f"<domain>{script}</domain>")
    (folder / "verify.xml").write_text("<?xml-stylesheet href='x.xsl'?><testsuites/>")
    (folder / "other.xml").write_text('<!DOCTYPE d [<!ENTITY e "x">]><d>&e;</d>')
    for name in ("../../../etc/passwd", "web.html"):
        manifest["image"]["file"] = name
        (folder / "manifest.json").write_text(json.dumps(manifest))
        write(copied)
        files = sorted(path.name for path in (copied / "public/images/web/2026-11-04.1/files").iterdir())
        assert files == ["SHA256SUMS", "inventory.json.gz", "manifest.json", "web.qcow2"]
    page = text(copied, "images/web/2026-11-04.1/index.html")
    assert page.count("not offered: a browser would run what is in it") == 2
    assert page.count("not offered: it is not plain XML") == 1


def test_copies_are_checked_against_their_digests(copied: Path) -> None:
    write(copied, downloads="copy")
    copy = copied / "public/images/web/2026-11-04.1/files/web.qcow2"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (copied / "artifacts/web/2026-11-04.1/web.qcow2").read_bytes()
    before = content(copied / "public")
    image = copied / "artifacts/web/2026-11-04.1/web.qcow2"
    image.write_bytes(image.read_bytes()[:-1] + b"!")
    with pytest.raises(ImageBuildError, match="was changed after it was built"):
        write(copied, downloads="copy")
    assert content(copied / "public") == before


def test_without_downloads_there_are_digests_only(copied: Path) -> None:
    write(copied, downloads="none")
    assert not list((copied / "public").rglob("files"))
    page = text(copied, "images/web/2026-11-04.1/index.html")
    assert 'href="files' not in page
    assert "web.qcow2" in page


def test_without_pygal_there_are_no_plots_and_the_page_says_so(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygal", None)
    done = write(copied)
    assert not done.plots
    assert "these need the Python package pygal" in text(copied, "index.html")
    assert "<img" not in text(copied, "index.html") + text(copied, "images/web/index.html")
    assert not list((copied / "public/images/web").glob("*.svg"))


@pytest.mark.parametrize(
    "url", ["images.example.org", "ftp://example.org/", "https://e.org/?a=1", "javascript:alert(1)"]
)
def test_an_address_that_is_none_is_refused(copied: Path, url: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a page"):
        write(copied, base_url=url)


@pytest.mark.parametrize(("images", "versions"), [(1, 500), (10, 50), (30, 17), (100, 5), (500, 1)])
def test_the_index_of_500_versions_is_light(images: int, versions: int) -> None:
    cards, curves = [], 0
    for at in range(images):
        rows = [
            VersionRow(
                image=f"database-server-{at}", version=f"2026-{1 + day // 28:02}-{1 + day % 28:02}.1",
                description="A database server for the shop, on Debian 13", built="2026-11-01T03:00:00+00:00",
                size=400 << 20 | day * 77777, packages=400 + day % 9, boot_seconds=9.0 + day % 7,
                build_seconds=400.0 + day % 31, verdict="passed", signed=("OpenPGP",),
            )
            for day in range(versions)
        ]  # fmt: skip
        outcomes = [KnownOutcome(gates="passed", published=("kvm1",))] * versions
        most = max(1, min(writing._ROWS_OF_IMAGE, writing._ROWS_OF_INDEX // images))
        tiles = () if images > writing._MOST_CARDS else plots.tiles(rows, drawn=True)
        cards.append(ImageCard(rows[0].image, rows[:most], outcomes[:most], versions, tiles))
        drawn = plots.pictures(rows) if at == 0 and versions > 1 else {}
        curves = curves or sum(len(one) for name, one in drawn.items() if name.endswith("-curve.svg"))
    index = rendering.index(
        "Images", cards, compact=images > writing._MOST_CARDS, plots=True, summary="500 versions", now=NOW
    )
    sheet = sum((TEMPLATES / name).stat().st_size for name in ("style.css", "icon.svg"))
    pictures = 0 if images > writing._MOST_CARDS else curves * images
    assert len(index.encode()) + sheet + pictures < 300_000
