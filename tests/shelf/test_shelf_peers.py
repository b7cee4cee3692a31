"""The real clients read shelves: virt-builder, virt-index-validate, python-simplestreams, sha256sum, gpg."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gpg_key import Signer, signer

from imagebuild.host.gpg import signing_key
from imagebuild.store.artifact import write_checksums
from imagebuild.trust.attesting import attest
from tests.shelf.artifacts import artifact, problems, sections
from tests.shelf.peers import served, source, virt_builder
from tests.trust.signed import key_pair, trust

NAME = "Shelf <shelf@example.org>"
PASSPHRASE = "only for this test"
pytestmark = pytest.mark.seconds


@dataclass(frozen=True)
class Command:
    """``imagebuild shelf build`` in a process, with artifacts in ``output``."""

    output: Path
    shelf: Path

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "imagebuild", "shelf", "build", self.shelf, "--output", self.output, *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)

    def done(self, *words: str | Path) -> dict[str, Any]:
        ran = self.run(*words, "--json")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return found


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "artifacts", tmp_path / "shelf")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with signer(tmp_path_factory.mktemp("g") / "home", NAME) as made:
        yield made


def signed(key: Signer) -> tuple[str | Path, ...]:
    return "--sign", "shelf@example.org", "--gpg-home", key.home


def listed(text: str) -> dict[str, dict[str, Any]]:
    return {one["os-version"]: one for one in json.loads(text)["templates"]}


def test_virt_builder_lists_a_shelf(command: Command, tmp_path: Path) -> None:
    artifact(command.output, version="2026-11-28.1")
    command.done()
    artifact(command.output)
    command.done()
    index = command.shelf / "index"
    subprocess.run(["virt-index-validate", index], check=True, capture_output=True)
    plain = ("--source", f"file://{index}", "--no-check-signature", "--no-cache", "--list")
    assert virt_builder(tmp_path, *plain).split()[0] == "web"
    assert len(virt_builder(tmp_path, *plain).splitlines()) == 1, "single versions are hidden"
    found = listed(virt_builder(tmp_path, *plain, "--list-format", "json"))
    assert found.keys() == {"web", "web--2026-11-29.1", "web--2026-11-28.1"}
    assert (found["web"]["arch"], found["web"]["size"], found["web"]["osinfo"]) == ("x86_64", 1 << 20, "debian13")
    assert "Verification: passed" in virt_builder(tmp_path, *plain[:-1], "--notes", "web")
    command.done("--drop", "web")
    assert virt_builder(tmp_path, *plain) == ""


def test_virt_builder_downloads_each_revision_once(command: Command, tmp_path: Path) -> None:
    artifact(command.output)
    command.done()
    with served(command.shelf) as url:
        get = ("--cache-all-templates", "--no-check-signature")
        virt_builder(tmp_path, *get, sources=source(f"{url}/index"))
        artifact(command.output, version="2026-11-29.2")
        command.done()
        virt_builder(tmp_path, *get, sources=source(f"{url}/index"))
    cached = {path.name: path.read_bytes() for path in (tmp_path / "cache/virt-builder").iterdir()}
    found = sections((command.shelf / "index").read_text())
    assert cached.keys() >= {"web.x86_64.1", "web.x86_64.2", "web--2026-11-29.1.x86_64.1", "web--2026-11-29.2.x86_64.2"}
    for name, about in found.items():
        content = cached[f"{name}.x86_64.{about['revision']}"]
        assert hashlib.sha512(content).hexdigest() == about["checksum[sha512]"]


def test_virt_builder_checks_the_signature(command: Command, key: Signer, tmp_path: Path) -> None:
    artifact(command.output)
    done = command.done(*signed(key))
    index, public = command.shelf / "index.asc", command.shelf / "key.asc"
    subprocess.run(["virt-index-validate", index], check=True, capture_output=True)
    words = ("--list", "--no-cache")
    assert virt_builder(tmp_path, *words, sources=source(f"file://{index}", public)).startswith("web")
    with signer(tmp_path / "other", "Other <other@example.org>") as other:
        wrong = other.keys(tmp_path / "other.asc", armoured=True)
    with pytest.raises(subprocess.CalledProcessError):
        virt_builder(tmp_path, *words, sources=source(f"file://{index}", wrong))
    index.write_text(index.read_text().replace("revision=1", "revision=2"))
    with pytest.raises(subprocess.CalledProcessError):
        virt_builder(tmp_path, *words, sources=source(f"file://{index}", public))
    assert done["signed"] in key.gpg("--with-colons", "--list-keys").decode()


def mirrored(url: str, target: Path, keyring: Path | None = None, *words: str) -> subprocess.CompletedProcess[str]:
    """What python-simplestreams mirrors, in a process: it needs distutils, whose use is a warning."""
    program = Path(sys.executable).with_name("sstream-mirror")
    verify = ["--no-verify"] if keyring is None else [f"--keyring={keyring}"]
    index = f"{url}/streams/v1/index.{'json' if keyring is None else 'sjson'}"
    argv = [sys.executable, program, *verify, *words, index, target]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def test_simplestreams_mirrors_a_shelf(command: Command, tmp_path: Path, no_proxy: None) -> None:
    artifact(command.output, version="2026-11-29.9")
    command.done("--keep", "3")
    artifact(command.output, version="2026-11-29.10")
    database = artifact(command.output, "db", disks=2)
    write_checksums(database)
    attest(database, trust(tmp_path / "keys", "one", key_pair(tmp_path / "keys", "one")), tmp_path / "keys")
    command.done("--keep", "3")
    with served(command.shelf) as url:
        for target, words in (("all", ()), ("newest", ("--max=1",))):
            ran = mirrored(url, tmp_path / target, None, *words)
            assert ran.returncode == 0, ran.stderr
    published = {path.name: path.read_bytes() for path in (command.shelf / "images").iterdir()}
    copies = {path.name: path.read_bytes() for path in (tmp_path / "all/images").iterdir()}
    assert copies == published
    assert len(copies) == 3 + 3 + 4 + 2
    newest = [path.name for path in (tmp_path / "newest/images").glob("web--*.qcow2")]
    assert [name.split("--")[1] for name in newest] == ["2026-11-29.10"]
    assert problems(tmp_path / "all", documents=["streams"]) == []


def test_simplestreams_checks_signature_and_content(
    command: Command, key: Signer, tmp_path: Path, no_proxy: None
) -> None:
    artifact(command.output)
    command.done(*signed(key))
    keyring = key.keys(tmp_path / "keyring.gpg", armoured=False)
    with served(command.shelf) as url:
        ran = mirrored(url, tmp_path / "all", keyring)
        assert ran.returncode == 0, ran.stderr
        assert (tmp_path / "all/streams/v1/imagebuild:images.sjson").exists()
        for path in (command.shelf / "images").glob("*.qcow2"):
            path.write_bytes(path.read_bytes()[:-1] + b"x")
        ran = mirrored(url, tmp_path / "changed", keyring)
        assert "InvalidChecksum" in ran.stderr
        assert list((tmp_path / "changed").glob("images/*.qcow2")) == []
        products = command.shelf / "streams/v1/imagebuild:images.sjson"
        products.write_text(products.read_text().replace("web", "bew"))
        ran = mirrored(url, tmp_path / "forged", keyring)
        assert "gpgv" in ran.stderr
        assert not (tmp_path / "forged/images").exists()


def test_checksums_are_those_of_sha256sum(command: Command, key: Signer) -> None:
    artifact(command.output)
    command.done(*signed(key))
    for name in ("SHA256SUMS", "SHA256SUMS.asc"):
        subprocess.run(["sha256sum", "--check", "--status", name], cwd=command.shelf, check=True)
    key.gpg("--verify", command.shelf / "SHA256SUMS.asc")


def test_a_signed_shelf_does_not_lose_its_signatures_unnoticed(command: Command, key: Signer) -> None:
    artifact(command.output)
    command.done(*signed(key))
    ran = command.run()
    assert ran.returncode == 2
    assert "sign it with --sign, or remove the signatures with --unsigned" in ran.stderr
    command.done("--unsigned")
    left = [path.name for path in command.shelf.rglob("*") if path.suffix in (".asc", ".sjson")]
    assert left == []
    assert command.run("--unsigned", *signed(key)).returncode == 2


@pytest.fixture
def protected(key: Signer, tmp_path: Path) -> Iterator[Signer]:
    """A key with a passphrase, which no agent knows."""
    home = tmp_path / "p"
    home.mkdir(mode=0o700)
    made = Signer(home)
    argv = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", PASSPHRASE]
    subprocess.run([*argv, "--quick-generate-key", NAME, "ed25519", "sign", "never"], check=True, capture_output=True)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
    yield made
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)


def test_a_key_with_a_passphrase(command: Command, protected: Signer, tmp_path: Path) -> None:
    artifact(command.output)
    ran = command.run(*signed(protected))
    assert ran.returncode == 1
    assert "--passphrase-file" in ran.stderr
    assert not command.shelf.exists()
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    ran = command.run(*signed(protected), "--passphrase-file", secret, "--verbose")
    assert ran.returncode == 0, ran.stderr
    assert PASSPHRASE not in ran.stdout + ran.stderr
    protected.gpg("--verify", command.shelf / "index.asc")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--sign", "nobody@example.org"), "no secret key"),
        (("--sign", "--export-secret-keys"), "no secret key"),
        (("--sign", "example.org"), "2 secret keys"),
        (("--sign", "x", "--gpg-home", "/proc/no-such-folder"), "there is no folder of GnuPG"),
        (("--sign", "x", "--passphrase-file", "/proc/no-such-file"), "there is no file with a passphrase"),
    ],
)
def test_keys_that_cannot_sign(command: Command, key: Signer, words: tuple[str, ...], says: str) -> None:
    if says.startswith("2"):
        key.gpg("--quick-generate-key", "Second <second@example.org>", "ed25519", "sign", "never")
    artifact(command.output)
    ran = command.run("--gpg-home", key.home, *words)
    assert ran.returncode == 2
    assert says in ran.stderr


def agents(home: Path) -> list[str]:
    """The agents of a folder of GnuPG."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"gpg-agent") and os.fsencode(home) in words:
            found.append(path.parent.name)
    return found


def test_only_an_agent_of_the_user_keeps_running(key: Signer) -> None:
    def end() -> None:
        subprocess.run(["gpgconf", "--homedir", key.home, "--kill", "gpg-agent"], check=True)
        while agents(key.home):
            pass

    end()
    with signing_key("shelf@example.org", key.home) as found:
        found.clear_sign(Path(__file__), key.home / "one")
        assert agents(key.home)
    while agents(key.home):
        pass  # gpgconf does not wait
    key.gpg("--output", key.home / "two", "--clear-sign", __file__)
    running = agents(key.home)
    assert running
    with signing_key("shelf@example.org", key.home):
        pass
    assert agents(key.home) == running


def test_what_the_command_prints(command: Command) -> None:
    artifact(command.output)
    artifact(command.output, "db", disks=2, verdict="")
    ran = command.run()
    assert ran.returncode == 2
    assert "db 2026-11-29.1 (not verified)" in ran.stderr
    found = command.done("--unverified")
    assert (found["event"], found["signed"], found["lost"]) == ("shelf", None, [])
    assert [(one["name"], one["revision"], one["virt_builder"]) for one in found["templates"]] == [
        ("db", 1, False),
        ("web", 1, True),
    ]
    ran = command.run("--unverified", "--drop", "db", "web")
    assert ran.returncode == 0
    assert "1 template, not signed" in ran.stdout
    assert command.run(command.output / "web/latest/web.xml").returncode == 2
    assert command.run("nothing").returncode == 2
    empty = Command(command.output / "none", command.shelf)
    assert "has no artifacts" in empty.run().stderr
