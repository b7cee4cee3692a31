"""Packages that are newer on the mirror, or too old; builds that do not check keep using what they
have.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from faulty_server import FaultyServer

from imagebuild import fingerprint
from imagebuild.build import freshness
from imagebuild.build.engine import Outlook, planned
from imagebuild.build.freshness import Freshness, in_force
from imagebuild.build.step_cache import Settings, StepCache
from imagebuild.cli.main import cli
from imagebuild.errors import HostError
from imagebuild.fetch import NotThere
from imagebuild.kickstrap import index
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.kickstrap.steps import archive
from imagebuild.progress import SILENT_REPORTER, Progress
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.artifact import ArtifactFolder
from imagebuild.store.store import Store

INPUTS = {"suite": "trixie", "packages": "vim"}
THERE = {"vim": "2:9.1.1230-2", "libc6": "2.41-12", "tree": "2.2.1-1", "gone": "1"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class LocalMirror:
    """A mirror on the loopback interface with the suites of a release."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self.mirror = Mirror(f"{address}/debian", f"{address}/security", updates=True)
        for suite in ("trixie", "trixie-updates"):
            self.offer("debian", suite, THERE if suite == "trixie" else {})
        self.offer("security", "trixie-security", {})

    @property
    def spec(self) -> PayloadSpec:
        return PayloadSpec("trixie", self.mirror, packages=("vim",))

    def offer(self, archive: str, suite: str, packages: dict[str, str]) -> None:
        path = self._folder / archive / "dists" / suite / "main/binary-amd64/Packages.xz"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(f"Package: {name}\nVersion: {version}\nDepends: libc6\n" for name, version in packages.items())
        path.write_bytes(lzma.compress(text.encode()))


@pytest.fixture
def local(tmp_path: Path, no_proxy: None) -> Iterator[LocalMirror]:
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield LocalMirror(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_a_later_version_in_any_suite_is_newer(local: LocalMirror) -> None:
    assert index.newer(local.spec, THERE) == {}
    local.offer("debian", "trixie-updates", {"tree": "2.2.1-1+deb13u1", "other": "9"})
    local.offer("security", "trixie-security", {"libc6": "2.41-12+deb13u1", "vim": "2:9.1.999-1"})  # an older vim
    assert index.newer(local.spec, THERE) == {"libc6": "2.41-12+deb13u1", "tree": "2.2.1-1+deb13u1"}


def test_all_versions_that_are_offered(local: LocalMirror) -> None:
    local.offer("security", "trixie-security", {"vim": "2:9.1.1230-2+deb13u1", "other": "9"})
    found = index.offered_versions(local.spec, {"vim": "2:9.1.1230-2", "nowhere": "1"})
    assert found == {"vim": {"2:9.1.1230-2", "2:9.1.1230-2+deb13u1"}}


def test_a_mirror_that_cannot_be_queried_is_reported(local: LocalMirror) -> None:
    with pytest.raises(HostError, match="cannot query the mirror that mmdebstrap chooses"):
        index.newer(PayloadSpec("trixie", Mirror()), THERE)
    with pytest.raises(NotThere):
        index.newer(PayloadSpec("forky", local.mirror), THERE)
    for name, suite in (("debian", "trixie"),):
        local.offer(name, suite, {})
        path = local._folder / name / "dists" / suite / "main/binary-amd64/Packages.xz"
        path.write_bytes(b"<html>")
    with pytest.raises(HostError, match="package index is damaged"):
        index.newer(local.spec, THERE)


def test_a_mirror_with_gzip_only(local: LocalMirror) -> None:
    for path in local._folder.rglob("Packages.xz"):
        path.with_suffix(".gz").write_bytes(gzip.compress(lzma.decompress(path.read_bytes())))
        path.unlink()
    assert index.newer(local.spec, THERE) == {}
    (path,) = (local._folder / "debian/dists/trixie-updates").rglob("Packages.gz")
    path.write_bytes(gzip.compress(b"Package: vim\nVersion: 2:9.2-1\n"))
    assert index.newer(local.spec, THERE) == {"vim": "2:9.2-1"}
    for damaged in (path.read_bytes()[:-9], b"<html>", gzip.compress(b"\xff")):
        path.write_bytes(damaged)
        with pytest.raises(HostError, match="package index is damaged"):
            index.newer(local.spec, THERE)


def keep(store: Store, inputs: dict[str, str], packages: dict[str, str]) -> Path:
    """Store a root archive, as a build does."""
    with store.make("payload", fingerprint.of(inputs), within=store.root, label="web", inputs=inputs) as folder:
        (folder / "root.tar").write_bytes(b"")
        (folder / "payload.json").write_text(json.dumps({"path": "root.tar", "sha256": "0" * 64, "packages": packages}))
    in_force(store, inputs)
    found = store.find("payload", fingerprint.of(inputs))
    assert found
    return found


def test_newer_packages_make_a_new_archive_only_for_builds_that_check(local: LocalMirror, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    asking, plain = Freshness(store, if_changed=True), Freshness(store)
    assert plain.payload(archive(local.spec), INPUTS).inputs == INPUTS
    assert (
        asking.payload(archive(local.spec), INPUTS).inputs != INPUTS
    )  # the store is empty: it will be built from what the mirror has
    keep(store, INPUTS, THERE)
    assert asking.payload(archive(local.spec), INPUTS).inputs == INPUTS
    local.offer("security", "trixie-security", {"libc6": "2.41-12+deb13u1", "tree": "2.2.1-2"})
    fresh, because = asking.payload(archive(local.spec), INPUTS)
    assert fresh != INPUTS
    assert because == "the mirror has 2 newer packages"
    assert Freshness(store, if_changed=True).payload(archive(local.spec), INPUTS).inputs == fresh  # two builds agree
    assert plain.payload(archive(local.spec), INPUTS).inputs == INPUTS
    keep(store, fresh, THERE | {"libc6": "2.41-12+deb13u1", "tree": "2.2.1-2"})
    assert plain.payload(archive(local.spec), INPUTS).inputs == fresh
    again = Freshness(store, if_changed=True)
    assert again.payload(archive(local.spec), INPUTS) == (fresh, "")


RECIPE = """\
name: web
os: {family: debian, version: 13, codename: trixie}
disk: {size: 2GiB}
installer: {mirror: '%s', payload: %s}
packages: [vim, lrzsz, net-tools, screen, tree, wget]
"""


@dataclass
class Builds:
    """A recipe, and builds of it that need no privileges: each step stores only what identifies it."""

    recipe: Recipe
    folder: Path

    @property
    def settings(self) -> Settings:
        return Settings(Store(self.folder / "store"), self.folder / "out")

    def outlook(self, *, if_changed: bool = False, max_age: int | None = None) -> Outlook:
        return planned(self.recipe, replace(self.settings, if_changed=if_changed, max_age=max_age))

    def build(self, outlook: Outlook, packages: dict[str, str] | None = None) -> None:
        def fill(folder: Path, _progress: Progress) -> str:
            (folder / "root.tar").write_bytes(b"")
            about = {"path": "root.tar", "sha256": "0" * 64, "packages": packages or {}}
            (folder / "payload.json").write_text(json.dumps(about))
            return "done"

        with ExitStack() as held:
            entries = StepCache("web", self.settings, SILENT_REPORTER, self.settings.store.root, held)
            for step in outlook.plan.steps[:-1]:
                if step.name in outlook.to_run:
                    entries.make(step, fill)
        with ArtifactFolder(self.folder / "out", "web").new(datetime.now().astimezone().date()) as artifact:
            image = {"file": "web.qcow2", "size": 5, "sha256": "0"}
            about = {"fingerprint": outlook.plan.convert.fingerprint, "image": image}
            (artifact.folder / "web.qcow2").write_bytes(b"image")
            (artifact.folder / "manifest.json").write_text(json.dumps(about))


@pytest.fixture
def builds(tmp_path: Path) -> Callable[[str], Builds]:
    def of(text: str) -> Builds:
        (tmp_path / "web.yaml").write_text(text)
        return Builds(load(tmp_path / "web.yaml"), tmp_path)

    return of


@pytest.mark.seconds
def test_a_new_archive_leads_to_a_new_image_once(local: LocalMirror, builds: Callable[[str], Builds]) -> None:
    web = builds(RECIPE % (local.mirror.main, "host"))
    web.build(web.outlook(), THERE)
    assert web.outlook().artifact
    assert web.outlook(if_changed=True).artifact
    local.offer("debian", "trixie", THERE | {"vim": "2:9.2-1"})
    assert web.outlook().artifact
    nightly = web.outlook(if_changed=True)
    assert list(nightly.to_run) == ["payload", "install", "customise", "convert"]
    web.build(nightly, THERE | {"vim": "2:9.2-1"})
    for after in (web.outlook(), web.outlook(if_changed=True)):
        assert after.artifact
        assert after.plan.convert.fingerprint == nightly.plan.convert.fingerprint


@pytest.mark.seconds
def test_an_image_whose_store_is_gone_is_compared_with_the_mirror(
    local: LocalMirror, builds: Callable[[str], Builds]
) -> None:
    """As on a CI runner that starts with nothing but earlier images."""
    web = builds(RECIPE % (local.mirror.main, "host"))
    web.build(web.outlook(if_changed=True), THERE)
    (web.folder / "store").rename(web.folder / "gone")
    assert web.outlook(if_changed=True).artifact
    local.offer("debian", "trixie", THERE | {"vim": "2:9.2-1"})
    assert "payload" in web.outlook(if_changed=True).to_run


@pytest.mark.seconds
def test_an_image_whose_store_is_gone_grows_old(
    local: LocalMirror, builds: Callable[[str], Builds], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        days = 0

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(2026, 11, 26, tzinfo=tz) + timedelta(days=cls.days)

    monkeypatch.setattr(freshness, "datetime", Clock)
    web = builds(RECIPE % (local.mirror.main, "host"))
    web.build(web.outlook(max_age=7 * 86400), THERE)
    (web.folder / "store").rename(web.folder / "gone")
    assert web.outlook(max_age=7 * 86400).artifact
    Clock.days = 8
    assert web.outlook(max_age=7 * 86400).artifact is None


@pytest.mark.seconds
def test_packages_that_the_vm_fetches_count_too(local: LocalMirror, builds: Callable[[str], Builds]) -> None:
    web = builds(RECIPE % (local.mirror.main, "in-vm"))
    web.build(web.outlook(if_changed=True))
    assert web.outlook(if_changed=True).artifact
    local.offer("debian", "trixie", THERE | {"vim": "2:9.2-1"})
    assert web.outlook().artifact
    nightly = web.outlook(if_changed=True)
    assert nightly.to_run["install"] == "trixie/main: packages have changed"
    web.build(nightly)
    assert web.outlook().artifact
    assert web.outlook(if_changed=True).artifact
    installed = web.folder / "store" / "installed" / nightly.plan.install.fingerprint
    old = time.time() - 8.5 * 86400
    os.utime(installed, (old, old))
    assert web.outlook(max_age=9 * 86400).artifact
    weekly = web.outlook(max_age=7 * 86400)
    assert weekly.to_run["install"] == "its packages are 8 days old"
    web.build(weekly)
    assert web.outlook(max_age=7 * 86400).artifact
    assert web.outlook(if_changed=True).artifact  # what the mirror had is recorded, even without a check


def test_what_was_made_without_a_check_is_rebuilt_once(local: LocalMirror, builds: Callable[[str], Builds]) -> None:
    web = builds(RECIPE % (local.mirror.main, "in-vm"))
    web.build(web.outlook())
    nightly = web.outlook(if_changed=True)
    assert nightly.to_run["install"] == "trixie/main: earlier packages were not recorded"
    web.build(nightly)
    assert web.outlook(if_changed=True).artifact


ANACONDA = """\
name: web
os: {family: redhat, distribution: rocky, version: 9}
installer:
  insecure: true
  source: {%s}
  repositories: [{name: epel, url: '%s/epel/$releasever/$basearch'}]
kickstart: {template: redhat.ks.j2}
locale: {language: en_US.UTF-8}
"""
SOURCES = {
    "tree": "tree: '{0}/os'",
    "folder": "tree: '{1}'",
    "iso": "iso: '{0}/a.iso', sha256: '%s'" % ("0" * 64),
}


@pytest.mark.seconds
@pytest.mark.parametrize("kind", SOURCES)
def test_the_repositories_of_anaconda(
    server: FaultyServer, builds: Callable[[str], Builds], kind: str, tmp_path: Path
) -> None:
    treeinfo = (
        b"[general]\nfamily = Example\nversion = 9\narch = x86_64\n"
        b"[images-x86_64]\nkernel = vmlinuz\ninitrd = initrd.img\n[stage2]\nmainimage = install.img\n"
    )
    folder = tmp_path / "os"
    (folder / "repodata").mkdir(parents=True)
    for name in ("vmlinuz", "initrd.img", "install.img", ".treeinfo", "repodata/repomd.xml"):
        content = treeinfo if name == ".treeinfo" else name.encode()
        (folder / name).write_bytes(content)
        server.content[f"/os/{name}"] = content
    epel = "/epel/9/x86_64/repodata/repomd.xml"
    server.content[epel] = b"<repomd/>"
    web = builds(ANACONDA % (SOURCES[kind].format(server.url(""), folder), server.url("")))
    web.build(web.outlook(if_changed=True))
    assert web.outlook(if_changed=True).artifact
    server.seen.clear()
    assert web.outlook().artifact
    assert not [path for path, _ in server.seen if "repomd" in path]  # without the option the mirror is not queried
    server.content[epel] = b"<repomd>newer</repomd>"
    nightly = web.outlook(if_changed=True)
    assert list(nightly.to_run) == ["install", "customise", "convert"]
    assert nightly.to_run["install"] == "epel: packages have changed"
    web.build(nightly)
    assert web.outlook().artifact
    assert web.outlook(if_changed=True).artifact
    server.content["/os/repodata/repomd.xml"] = b"<repomd>newer</repomd>"
    (folder / "repodata/repomd.xml").write_bytes(b"<repomd>newer</repomd>")
    why = web.outlook(if_changed=True).to_run.get("install")
    assert why == (None if kind == "iso" else "tree: packages have changed")
    del server.content["/os/repodata/repomd.xml"]  # as in a tree whose packages are in folders that .treeinfo names
    (folder / "repodata/repomd.xml").unlink()
    assert web.outlook(if_changed=True).artifact
    del server.content[epel]
    with pytest.raises(NotThere):
        web.outlook(if_changed=True)


def test_a_build_reports_that_nothing_is_new(
    local: LocalMirror, builds: Callable[[str], Builds], capfd: pytest.CaptureFixture[str]
) -> None:
    web = builds(RECIPE % (local.mirror.main, "host"))
    web.build(web.outlook(), THERE)
    words = [
        "build",
        str(web.folder / "web.yaml"),
        "--store",
        str(web.folder / "store"),
        "--output",
        str(web.folder / "out"),
    ]
    words.append("--if-changed")
    version = f"{datetime.now().astimezone():%Y-%m-%d}.1"
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert f"unchanged since {version}" in done.output + capfd.readouterr().err
    done = CliRunner().invoke(cli, [*words, "--json"])
    assert done.exit_code == 0, done.output
    event = json.loads(done.output.splitlines()[-1])
    assert (event["event"], event["unchanged"], event["version"]) == ("artifact", True, version)
    assert event["image"].endswith(f"{version}/web.qcow2")


def test_old_packages_make_a_new_archive_without_a_query(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    spec = PayloadSpec("trixie", Mirror("http://mirror.invalid/debian"))
    made = keep(store, INPUTS, THERE)
    week = Freshness(store, max_age=7 * 86400)
    assert week.payload(archive(spec), INPUTS).inputs == INPUTS
    old = time.time() - 8.5 * 86400
    os.utime(made / "root.tar", (old, old))
    fresh, because = week.payload(archive(spec), INPUTS)
    assert fresh != INPUTS
    assert because == "its packages are 8 days old"
    assert Freshness(store, max_age=9 * 86400).payload(archive(spec), INPUTS).inputs == INPUTS


def test_an_archive_grows_old_again_on_the_day_it_was_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    spec = PayloadSpec("trixie", Mirror("http://mirror.invalid/debian"))
    inputs, made = [INPUTS], keep(store, INPUTS, THERE)
    for hours in (8, 5, 2):
        old = time.time() - hours * 3600
        os.utime(made / "root.tar", (old, old))
        asking = Freshness(store, max_age=3600)
        found, because = asking.payload(archive(spec), INPUTS)
        inputs.append(found)
        assert Freshness(store, max_age=3600).payload(archive(spec), INPUTS).inputs == inputs[-1]  # two builds agree
        assert because == f"its packages are {hours} h old"
        made = keep(store, inputs[-1], THERE)
    assert len({fingerprint.of(each) for each in inputs}) == 4


def test_a_plan_reports_why(local: LocalMirror, tmp_path: Path) -> None:
    recipe = tmp_path / "web.yaml"
    recipe.write_text(
        "name: web\nos: {family: debian, version: 13, codename: trixie}\ndisk: {size: 2GiB}\n"
        f"installer: {{mirror: '{local.mirror.main}'}}\npackages: [vim, lrzsz, net-tools, screen, tree, wget]\n"
    )
    words = ["plan", str(recipe), "--store", str(tmp_path / "store"), "--output", str(tmp_path / "out"), "--json"]

    def payload(*more: str) -> dict[str, str]:
        done = CliRunner().invoke(cli, [*words, *more])
        assert done.exit_code == 0, done.output
        (step,) = [one for one in json.loads(done.output)["steps"] if one["step"] == "payload"]
        return dict(step)

    store = Store(tmp_path / "store")
    before = payload()
    with store.make("payload", before["fingerprint"], within=store.root, label="web", inputs={}) as folder:
        (folder / "root.tar").write_bytes(b"")
        (folder / "payload.json").write_text(json.dumps({"path": "root.tar", "sha256": "0" * 64, "packages": THERE}))
    assert payload("--if-changed", "--max-age", "1d12h")["cached"]
    local.offer("debian", "trixie", THERE | {"vim": "2:9.2-1"})
    after = payload("--if-changed")
    assert (after["cached"], after["why"]) == (False, "the mirror has a newer vim")
    assert payload()["cached"]
    wrong = CliRunner().invoke(cli, [*words, "--max-age", "soon"])
    assert wrong.exit_code == 2
    assert "such as 7d or 36h" in wrong.output
