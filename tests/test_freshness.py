"""What the world changed: packages that are newer on the mirror, or too old, and that builds which do not ask stay with what they have."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from imagebuild import fingerprint
from imagebuild.cli.main import cli
from imagebuild.errors import HostError
from imagebuild.fetch import NotThere
from imagebuild.freshness import Freshness, in_force
from imagebuild.kickstrap import index
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.store import Store

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


def test_what_is_later_in_any_suite_is_newer(local: LocalMirror) -> None:
    assert index.newer(local.spec, THERE) == {}
    local.offer("debian", "trixie-updates", {"tree": "2.2.1-1+deb13u1", "other": "9"})
    local.offer("security", "trixie-security", {"libc6": "2.41-12+deb13u1", "vim": "2:9.1.999-1"})  # an older vim
    assert index.newer(local.spec, THERE) == {"libc6": "2.41-12+deb13u1", "tree": "2.2.1-1+deb13u1"}


def test_a_mirror_that_cannot_be_looked_at_is_told(local: LocalMirror) -> None:
    with pytest.raises(HostError, match="that mmdebstrap chooses offers cannot be looked up"):
        index.newer(PayloadSpec("trixie", Mirror()), THERE)
    with pytest.raises(NotThere):
        index.newer(PayloadSpec("forky", local.mirror), THERE)
    for archive, suite in (("debian", "trixie"),):
        local.offer(archive, suite, {})
        path = local._folder / archive / "dists" / suite / "main/binary-amd64/Packages.xz"
        path.write_bytes(b"<html>")
    with pytest.raises(HostError, match="index of packages is damaged"):
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
        with pytest.raises(HostError, match="index of packages is damaged"):
            index.newer(local.spec, THERE)


def keep(store: Store, inputs: dict[str, str], packages: dict[str, str]) -> Path:
    """As a build that has made the root archive."""
    with store.make("payload", fingerprint.of(inputs), within=store.root, label="web", inputs=inputs) as folder:
        (folder / "root.tar").write_bytes(b"")
        (folder / "payload.json").write_text(json.dumps({"path": "root.tar", "sha256": "0" * 64, "packages": packages}))
    in_force(store, inputs)
    found = store.find("payload", fingerprint.of(inputs))
    assert found
    return found


def test_newer_packages_make_a_new_archive_and_who_does_not_ask_stays(local: LocalMirror, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    asking, plain = Freshness(store, if_changed=True), Freshness(store)
    assert asking.payload(local.spec, INPUTS) == INPUTS  # nothing is there: it will be made of what the mirror has
    keep(store, INPUTS, THERE)
    assert asking.payload(local.spec, INPUTS) == INPUTS
    local.offer("security", "trixie-security", {"libc6": "2.41-12+deb13u1", "tree": "2.2.1-2"})
    fresh = asking.payload(local.spec, INPUTS)
    assert fresh != INPUTS
    assert asking.why == {fingerprint.of(fresh): "the mirror has 2 newer packages"}
    assert Freshness(store, if_changed=True).payload(local.spec, INPUTS) == fresh  # two builds agree
    assert plain.payload(local.spec, INPUTS) == INPUTS
    keep(store, fresh, THERE | {"libc6": "2.41-12+deb13u1", "tree": "2.2.1-2"})
    assert plain.payload(local.spec, INPUTS) == fresh
    again = Freshness(store, if_changed=True)
    assert again.payload(local.spec, INPUTS) == fresh
    assert again.why == {}


def test_old_packages_make_a_new_archive_without_a_look(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    spec = PayloadSpec("trixie", Mirror("http://mirror.invalid/debian"))
    made = keep(store, INPUTS, THERE)
    week = Freshness(store, max_age=7 * 86400)
    assert week.payload(spec, INPUTS) == INPUTS
    old = time.time() - 8.5 * 86400
    os.utime(made / "root.tar", (old, old))
    fresh = week.payload(spec, INPUTS)
    assert week.why == {fingerprint.of(fresh): "its packages are 8 days old"}
    assert Freshness(store, max_age=9 * 86400).payload(spec, INPUTS) == INPUTS


def test_an_archive_grows_old_again_on_the_day_it_was_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    spec = PayloadSpec("trixie", Mirror("http://mirror.invalid/debian"))
    inputs, made = [INPUTS], keep(store, INPUTS, THERE)
    for hours in (8, 5, 2):
        old = time.time() - hours * 3600
        os.utime(made / "root.tar", (old, old))
        asking = Freshness(store, max_age=3600)
        inputs.append(asking.payload(spec, INPUTS))
        assert Freshness(store, max_age=3600).payload(spec, INPUTS) == inputs[-1]  # two builds agree
        assert asking.why == {fingerprint.of(inputs[-1]): f"its packages are {hours} h old"}
        made = keep(store, inputs[-1], THERE)
    assert len({fingerprint.of(each) for each in inputs}) == 4


def test_a_plan_tells_why(local: LocalMirror, tmp_path: Path) -> None:
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
